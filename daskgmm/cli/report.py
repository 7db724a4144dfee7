"""`daskgmm report`: a mixture explained on one page."""

from __future__ import annotations

from typing import Any

import click

from daskgmm.cli.options import (
    ClusterChoice,
    StoredRows,
    cluster_options,
    json_option,
    output_option,
    overwrite_option,
    storage_option,
    store_options,
)

__all__ = ["report"]


@click.command(epilog="\b\nExample:\n  daskgmm report profiles.gmm --data profiles.zarr -o report.html")
@click.argument("model")
@click.option("--data", metavar="STORE", help="Zarr array whose rows are drawn, and compared with those of the fit.")
@output_option("HTML file")
@overwrite_option
@store_options
@storage_option
@cluster_options
@json_option
def report(
    model: str,
    data: str | None,
    output: str,
    overwrite: bool,
    component: str | None,
    missing_chunks: str,
    storage_options: dict[str, Any] | None,
    cluster: ClusterChoice,
    as_json: bool,
) -> None:
    """Explain a mixture on one page.

    Writes a page of HTML about the mixture in the file MODEL that needs nothing else, no network either: what was
    fitted to which data, weights, means, standard deviations and correlations, pictures, the passes of the fit, the
    search that it won if `daskgmm select` made it, what speaks against relying on it, and how to make it again.

    With --data STORE the page also shows rows of the Zarr array STORE behind the mixture, and how far they have drifted
    from those of the fit; STORE is read a few times. Needs the extra `plot`: pip install 'daskgmm[plot]'.
    """
    from daskgmm.cli.session import command_session

    with command_session():
        from daskgmm.cli.report_run import ReportJob
        from daskgmm.cli.results import deliver

        rows = None if data is None else StoredRows(data, component, missing_chunks, storage_options)
        if rows is None:
            _check_unused(component, storage_options)
        result = ReportJob(model, output, overwrite, rows, cluster).run()
        text = f"{output}: {result['n_components']} components, {result['n_cautions']} cautions"
        deliver(result, text, as_json=as_json, summary=None)


def _check_unused(component: str | None, storage_options: dict[str, Any] | None) -> None:
    """Raise ParameterError if options of a store are given, and no store."""
    from daskgmm.errors import ParameterError

    given = {"--component": component, "--storage-options": storage_options}
    for name, value in given.items():
        if value is not None:
            raise ParameterError(f"{name}: expected --data STORE as well, which it belongs to")
