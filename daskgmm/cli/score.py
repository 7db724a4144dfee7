"""`daskgmm score`: how well a mixture describes data."""

from __future__ import annotations

import json

import click

from daskgmm.cli.options import ClusterChoice, cluster_options, json_option, store_options

__all__ = ["score"]


@click.command(epilog="\b\nExample:\n  daskgmm score profiles.gmm new-profiles.zarr --json")
@click.argument("model")
@click.argument("store")
@store_options
@cluster_options
@json_option
def score(
    model: str,
    store: str,
    component: str | None,
    missing_chunks: str,
    cluster: ClusterChoice,
    as_json: bool,
) -> None:
    """Tell how well a mixture describes data.

    Prints the mean log-likelihood per row, in nats, of the Zarr array STORE under the mixture in the file MODEL. Higher
    is better; numbers compare between mixtures on the same data.
    """
    from daskgmm.cli.session import command_session

    with command_session():
        from daskgmm.engine.cluster import connected
        from daskgmm.estimator import load
        from daskgmm.storage.dataset import open_zarr

        mixture = load(model)
        with connected(cluster.settings()):
            rows = open_zarr(store, component, missing_chunks=missing_chunks)
            mean = mixture.score(rows)
        if as_json:
            click.echo(json.dumps({"model": model, "n_samples": rows.shape[0], "mean_log_likelihood": mean}))
        else:
            click.echo(f"mean log-likelihood {mean:.6g} over {rows.shape[0]} rows")
