"""`daskgmm fit`: a mixture from a Zarr store."""

from __future__ import annotations

from typing import Any

import click

from daskgmm.cli.em_options import EMChoice, em_options
from daskgmm.cli.options import (
    ClusterChoice,
    StoredRows,
    cluster_options,
    components_option,
    covariance_option,
    json_option,
    output_option,
    overwrite_option,
    rows_options,
    summary_option,
)

__all__ = ["fit"]


@click.command(epilog="\b\nExample:\n  daskgmm fit profiles.zarr -o profiles.gmm --components 8 --n-workers 4")
@output_option("Model file")
@overwrite_option
@components_option
@covariance_option
@em_options
@click.option("--warm-start", metavar="MODEL", help="Model file to start from, of as many components.")
@click.option(
    "--checkpoint",
    metavar="PATH",
    help="File or URL that keeps the state of the fit until the model is written; a fit goes on from there.",
)
@click.option(
    "--checkpoint-every",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Passes between two checkpoints.",
)
@click.option(
    "--max-time",
    metavar="TIME",
    help="Begin no pass after this time, such as 2h: end with exit code 75 if there is a checkpoint, and otherwise "
    "with the best mixture so far.",
)
@click.option("--strict", is_flag=True, help="Write nothing and end with exit code 3 if the fit does not converge.")
@click.option("--dry-run", is_flag=True, help="Check everything, print the plan of the fit, and write nothing.")
@rows_options
@cluster_options
@json_option
@summary_option
def fit(
    rows: StoredRows,
    output: str,
    overwrite: bool,
    components: int,
    covariance_type: str,
    em: EMChoice,
    warm_start: str | None,
    checkpoint: str | None,
    checkpoint_every: int,
    max_time: str | None,
    strict: bool,
    dry_run: bool,
    cluster: ClusterChoice,
    as_json: bool,
    summary: str | None,
) -> None:
    """Fit a mixture to a Zarr array.

    STORE is read block by block, once for a sample to start from and once for each iteration, by this process's threads
    unless an option names a cluster. The mixture is written to one file, for `daskgmm predict`, `score` and `inspect`.

    A model that the same data and settings made is up to date: nothing is read, and the exit code is 0. One that others
    made is replaced with --overwrite, and refused without.
    """
    from daskgmm.cli.session import command_session

    with command_session(checkpoint):
        from daskgmm.cli.fit_run import FitJob
        from daskgmm.cli.plan import say_what_would_be_done
        from daskgmm.cli.results import check_summary, deliver

        check_summary(summary, output, checkpoint, warm_start)
        job = FitJob(
            rows=rows,
            output=output,
            overwrite=overwrite,
            components=components,
            covariance_type=covariance_type,
            em=em,
            checkpoint=checkpoint,
            checkpoint_every=checkpoint_every,
            warm_start=warm_start,
            max_time=max_time,
            strict=strict,
            cluster=cluster,
        )
        if dry_run:
            say_what_would_be_done(job.plan(), output, as_json=as_json)
            return
        result = job.run()
        deliver(result, _text(result), as_json=as_json, summary=summary)


def _text(result: dict[str, Any]) -> str:
    """Return a result as a line for a reader."""
    what = f"{result['n_components']} components, {result['n_samples']} rows of {result['n_features']} features"
    end = "converged" if result["converged"] else "out of time" if result["out_of_time"] else "did not converge"
    bound = "" if result["lower_bound"] is None else f"; mean log-likelihood {result['lower_bound']:.6g}"
    done = "up to date, " if result["up_to_date"] else ""
    return (
        f"{result['model']}: {done}{what}; {end} after {result['n_passes']} passes in {result['seconds']:.1f} s{bound}"
    )
