"""`daskgmm predict`: one result per row, written to Zarr."""

from __future__ import annotations

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

__all__ = ["predict"]


@click.command(epilog="\b\nExample:\n  daskgmm predict profiles.gmm profiles.zarr -o labels.zarr --n-workers 4")
@click.argument("model")
@output_option("Zarr array")
@click.option(
    "--what",
    type=click.Choice(["labels", "proba", "log-density"]),
    default="labels",
    show_default=True,
    help="Most probable component of each row, probabilities of all, or log density.",
)
@click.option(
    "--dtype",
    type=click.Choice(["int16", "int32", "int64", "float32", "float64"]),
    help="Numbers in the output: int64 for labels and float64 for the others unless given; int16 holds 32,768 labels.",
)
@overwrite_option
@rows_options
@cluster_options
@json_option
@summary_option
def predict(
    model: str,
    rows: StoredRows,
    output: str,
    what: str,
    dtype: str | None,
    overwrite: bool,
    cluster: ClusterChoice,
    as_json: bool,
    summary: str | None,
) -> None:
    """Label the rows of a Zarr array.

    Applies the mixture in the file MODEL to each row of STORE and writes a Zarr array with one entry per row. At a path
    it appears when it is complete, or not at all; at a URL its attribute daskgmm.complete is written last. What a run
    that was killed left behind is removed by the next one to the same output.
    """
    from daskgmm.cli.session import command_session

    with command_session():
        from daskgmm.cli.results import check_summary, deliver
        from daskgmm.engine.cluster import connected
        from daskgmm.estimator import load
        from daskgmm.storage.output import check_output
        from daskgmm.storage.redaction import public_address
        from daskgmm.writing import check_result, write_results

        check_summary(summary, output, model)
        check_output(output, overwrite=overwrite)
        mixture = load(model)
        check_result(what, dtype, len(mixture.weights_))
        with connected(cluster.settings()):
            X = rows.open_for(mixture, model)
            # They are for one kind of place, and another one need not know of them.
            options = rows.storage_options if output.split("://")[0] == rows.store.split("://")[0] else None
            write_results(mixture, X, output, what=what, dtype=dtype, overwrite=overwrite, storage_options=options)
        place, n_samples = public_address(output), int(X.shape[0])
        result = {"output": place, "what": what, "n_samples": n_samples}
        deliver(result, f"{place}: {what} of {n_samples} rows", as_json=as_json, summary=summary)
