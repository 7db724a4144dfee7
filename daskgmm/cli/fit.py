"""`daskgmm fit`: a mixture from a Zarr store."""

from __future__ import annotations

import json

import click

from daskgmm.cli.options import ClusterChoice, cluster_options, em_options, json_option, output_option, store_options

__all__ = ["fit"]


@click.command(epilog="\b\nExample:\n  daskgmm fit profiles.zarr -o profiles.gmm --components 8 --n-workers 4")
@click.argument("store")
@output_option("Model file")
@click.option("--components", required=True, type=click.IntRange(min=1), help="Number of components of the mixture.")
@click.option(
    "--covariance-type",
    type=click.Choice(["full", "tied", "diag", "spherical"]),
    default="full",
    show_default=True,
    help="Shape of the covariances.",
)
@em_options
@click.option(
    "--checkpoint",
    metavar="PATH",
    help="File or URL that keeps the state of the fit; if it is there, the fit goes on from it.",
)
@click.option(
    "--checkpoint-every",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Passes between two checkpoints.",
)
@store_options
@cluster_options
@json_option
def fit(
    store: str,
    output: str,
    components: int,
    covariance_type: str,
    random_state: int,
    tol: float,
    reg_covar: float,
    max_iter: int,
    n_init: int,
    init_params: str,
    cache: str,
    checkpoint: str | None,
    checkpoint_every: int,
    component: str | None,
    missing_chunks: str,
    cluster: ClusterChoice,
    as_json: bool,
) -> None:
    """Fit a mixture to a Zarr array.

    STORE is read block by block, once for a sample to start from and once for each iteration, by this process's threads
    unless an option names a cluster. The mixture is written to one file, for `daskgmm predict`, `score` and `inspect`.
    """
    from daskgmm.cli.session import command_session

    with command_session(checkpoint):
        from daskgmm.engine.cluster import connected
        from daskgmm.estimator import GaussianMixture
        from daskgmm.storage.dataset import open_zarr
        from daskgmm.storage.new_file import check_new_file

        mixture = GaussianMixture(
            components,
            covariance_type=covariance_type,
            tol=tol,
            reg_covar=reg_covar,
            max_iter=max_iter,
            n_init=n_init,
            init_params=init_params,
            random_state=random_state,
            cache=None if cache == "none" else cache,
            checkpoint=checkpoint,
            checkpoint_every=checkpoint_every,
        )
        check_new_file(output)
        with connected(cluster.settings()):
            mixture.fit(open_zarr(store, component, missing_chunks=missing_chunks))
        mixture.save(output)
        result = {
            "model": output,
            "n_samples": mixture.n_samples_seen_,
            "n_features": mixture.n_features_in_,
            "n_components": components,
            "covariance_type": covariance_type,
            "converged": mixture.converged_,
            "n_iter": mixture.n_iter_,
            "n_passes": mixture.n_passes_,
            "lower_bound": mixture.lower_bound_,
            "seconds": sum(entry["seconds"] for entry in mixture.history_),
        }
        if as_json:
            click.echo(json.dumps(result))
        else:
            end = "converged" if mixture.converged_ else "did not converge"
            click.echo(
                f"{output}: {components} components, {result['n_samples']} rows of {result['n_features']} features; "
                f"{end} after {result['n_passes']} passes in {result['seconds']:.1f} s; "
                f"mean log-likelihood {result['lower_bound']:.6g}"
            )
