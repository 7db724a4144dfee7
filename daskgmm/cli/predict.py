"""`daskgmm predict`: one result per row, written to Zarr."""

from __future__ import annotations

import click

from daskgmm.cli.options import ClusterChoice, cluster_options, output_option, store_options

__all__ = ["predict"]


@click.command(epilog="\b\nExample:\n  daskgmm predict profiles.gmm profiles.zarr -o labels.zarr --n-workers 4")
@click.argument("model")
@click.argument("store")
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
@click.option("--overwrite", is_flag=True, help="Replace the output of an earlier run once the new one is complete.")
@store_options
@cluster_options
def predict(
    model: str,
    store: str,
    output: str,
    what: str,
    dtype: str | None,
    overwrite: bool,
    component: str | None,
    missing_chunks: str,
    cluster: ClusterChoice,
) -> None:
    """Label the rows of a Zarr array.

    Applies the mixture in the file MODEL to each row of STORE and writes a Zarr array with one entry per row. At a path
    it appears when it is complete, or not at all; at a URL its attribute daskgmm.complete is written last. What a run
    that was killed left behind is removed by the next one to the same output.
    """
    from daskgmm.cli.session import command_session

    with command_session():
        from daskgmm.engine.cluster import connected
        from daskgmm.estimator import load
        from daskgmm.storage.dataset import open_zarr
        from daskgmm.storage.output import check_output
        from daskgmm.storage.redaction import public_address
        from daskgmm.writing import check_result, write_results

        check_output(output, overwrite=overwrite)
        mixture = load(model)
        check_result(what, dtype, len(mixture.weights_))
        with connected(cluster.settings()):
            rows = open_zarr(store, component, missing_chunks=missing_chunks)
            write_results(mixture, rows, output, what=what, dtype=dtype, overwrite=overwrite)
        click.echo(f"{public_address(output)}: {what} of {rows.shape[0]} rows")
