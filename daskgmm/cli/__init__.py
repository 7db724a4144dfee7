"""The command line: `daskgmm ...`, and `dask gmm ...` through Dask's own command.

Only click is imported until a command runs, so that help comes at once.
"""

from __future__ import annotations

import click

from daskgmm.cli.demo import demo
from daskgmm.cli.export import export
from daskgmm.cli.fit import fit
from daskgmm.cli.inspect import inspect
from daskgmm.cli.plan import plan
from daskgmm.cli.predict import predict
from daskgmm.cli.report import report
from daskgmm.cli.score import score
from daskgmm.cli.select import select
from daskgmm.cli.update import update

__all__ = ["main"]


# The first line keeps click from filling the paragraph.
EXIT_CODES = """\b
Exit codes:
   0 done, or up to date
   1 a bug
   2 wrong usage, or an output that exists
   3 a check failed: --strict, --fail-on-drift
   4 bad input or model, or an output of other data or settings
   5 cluster or storage failed; worth a retry
   6 another run is writing the output
  75 stopped or interrupted; a checkpoint keeps what was done: start again
 143 interrupted without a checkpoint, 130 by Ctrl-C: start again"""


# The name is what `dask` registers it under; the installed script is called daskgmm.
@click.group(
    "gmm",
    epilog=EXIT_CODES,
    context_settings={
        "help_option_names": ["-h", "--help"],
        "max_content_width": 100,
        "auto_envvar_prefix": "DASKGMM",
    },
)
# An image may well set DASKGMM_VERSION, which asks for nothing.
@click.version_option(package_name="daskgmm", allow_from_autoenv=False)
def main() -> None:
    """Fit Gaussian mixtures to data larger than memory.

    Data are Zarr arrays of shape (rows, features), on disk or at a URL. Results go to standard output, logs to standard
    error. Start with `daskgmm demo`, or with `daskgmm fit --help`.

    Options of the longer commands may also come from a file (--config), from the environment (DASKGMM_FIT_TOL and so
    on), or from the namespace daskgmm of Dask's configuration.
    """


for command in (plan, fit, update, select, predict, score, inspect, export, report, demo):
    main.add_command(command)
