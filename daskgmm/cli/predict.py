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
@store_options
@cluster_options
def predict(
    model: str,
    store: str,
    output: str,
    what: str,
    component: str | None,
    missing_chunks: str,
    cluster: ClusterChoice,
) -> None:
    """Label the rows of a Zarr array.

    Applies the mixture in the file MODEL to each row of STORE and writes a Zarr array with one entry per row, whole or
    not at all.
    """
    from daskgmm.cli.session import command_session

    with command_session():
        from daskgmm.engine.cluster import connected
        from daskgmm.estimator import load
        from daskgmm.storage.dataset import open_zarr
        from daskgmm.storage.new_file import check_new_file
        from daskgmm.storage.zarr_open import local_path
        from daskgmm.writing import write_rows

        folder = local_path(output)
        if folder is not None:  # what a URL holds is looked at when the output is created
            check_new_file(folder)
        mixture = load(model)
        apply = {"labels": mixture.predict, "proba": mixture.predict_proba, "log-density": mixture.score_samples}[what]
        with connected(cluster.settings()):
            rows = apply(open_zarr(store, component, missing_chunks=missing_chunks))
            write_rows(rows, output)
        click.echo(f"{output}: {what} of {rows.shape[0]} rows")
