"""`daskgmm update`: new rows for a mixture, without reading the old ones again."""

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
    rows_options,
    summary_option,
)

__all__ = ["update"]


@click.command(epilog="\b\nExample:\n  daskgmm update profiles.gmm today.zarr -o profiles-today.gmm --decay 0.99")
@click.argument("model")
@output_option("Model file")
@overwrite_option
@click.option(
    "--decay",
    type=float,
    default=1.0,
    show_default=True,
    help="What rows so far count from now on: 1 as much as new ones, less forgets.",
)
@click.option("--tol", type=float, help="Stop at this gain, in nats a row.  [default: the model's]")
@click.option("--max-iter", type=int, help="Most passes of EM over the new rows.  [default: the model's]")
@click.option(
    "--max-time",
    metavar="TIME",
    help="Begin no pass after this time, such as 10m, and write the best mixture so far.",
)
@click.option("--strict", is_flag=True, help="Write nothing and end with exit code 3 if it does not converge.")
@click.option("--dry-run", is_flag=True, help="Check everything, print the plan of the update, and write nothing.")
@rows_options
@cluster_options
@json_option
@summary_option
def update(
    model: str,
    rows: StoredRows,
    output: str,
    overwrite: bool,
    decay: float,
    tol: float | None,
    max_iter: int | None,
    max_time: str | None,
    strict: bool,
    dry_run: bool,
    cluster: ClusterChoice,
    as_json: bool,
    summary: str | None,
) -> None:
    """Take new rows into a mixture.

    The mixture in the file MODEL stands for the rows that it was fitted to; of these none is read. The Zarr array STORE
    holds the new ones, which are read once or a few times. The mixture of all is written to one file, which may be
    MODEL itself with --overwrite.

    A model that the same update made is up to date: nothing is read, no row counts twice, and the exit code is 0. Rows
    that MODEL has taken in earlier, by its fit or by another update, are refused.
    """
    from daskgmm.cli.session import command_session

    with command_session():
        from daskgmm.cli.plan import say_what_would_be_done
        from daskgmm.cli.results import check_summary, deliver
        from daskgmm.cli.update_run import UpdateJob

        check_summary(summary, output, model)
        job = UpdateJob(model, rows, output, overwrite, decay, tol, max_iter, max_time, strict, cluster)
        if dry_run:
            say_what_would_be_done(job.plan(), output, as_json=as_json)
            return
        result = job.run()
        deliver(result, _text(result), as_json=as_json, summary=summary)


def _text(result: dict[str, Any]) -> str:
    """Return a result as a line for a reader."""
    if result["n_new_samples"] == 0:
        return f"{result['model']}: up to date, has taken these rows in before; {result['n_samples']} rows in all"
    done = "up to date, " if result["up_to_date"] else ""
    end = "converged" if result["converged"] else "out of time" if result.get("out_of_time") else "did not converge"
    return (
        f"{result['model']}: {done}{result['n_new_samples']} new rows, {result['n_samples']} in all; {end} after "
        f"{result['n_passes']} passes over the new ones in {result['seconds']:.1f} s; their mean log-likelihood "
        f"{result['lower_bound']:.6g}"
    )
