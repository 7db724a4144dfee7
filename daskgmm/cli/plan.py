"""`daskgmm plan`: what a fit will read, hold and take."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from daskgmm.cli.options import ClusterChoice, cluster_options, json_option, store_options

if TYPE_CHECKING:
    from daskgmm.planning import FitPlan

__all__ = ["plan"]


@click.command(epilog="\b\nExample:\n  daskgmm plan profiles.zarr --components 8 --n-workers 4 --memory-limit 2GB")
@click.argument("store")
@click.option("--components", required=True, type=click.IntRange(min=1), help="Number of components of the mixture.")
@click.option(
    "--covariance-type",
    type=click.Choice(["full", "tied", "diag", "spherical"]),
    default="full",
    show_default=True,
    help="Shape of the covariances.",
)
@click.option("--max-iter", type=int, default=100, show_default=True, help="Most passes of EM.")
@click.option("--n-init", type=int, default=1, show_default=True, help="Number of starts; the best is kept.")
@click.option(
    "--cache",
    type=click.Choice(["auto", "memory", "disk", "none"]),
    default="auto",
    show_default=True,
    help="Where the workers keep decoded rows between passes.",
)
@store_options
@cluster_options
@json_option
def plan(
    store: str,
    components: int,
    covariance_type: str,
    max_iter: int,
    n_init: int,
    cache: str,
    component: str | None,
    missing_chunks: str,
    cluster: ClusterChoice,
    as_json: bool,
) -> None:
    """Say what a fit will read, hold and take.

    Reads the metadata of the Zarr array STORE and one block of it, which is timed, and prints passes, bytes, peak
    memory and expected time of `daskgmm fit` with the same options. Ends with exit code 4, and says what to change,
    when the workers have less memory than the fit needs.
    """
    from daskgmm.cli.session import command_session

    with command_session():
        import daskgmm
        from daskgmm.engine.cluster import connected

        with connected(cluster.settings()):
            X = daskgmm.open_zarr(store, component, missing_chunks=missing_chunks)
            planned = daskgmm.plan(
                X,
                components,
                covariance_type=covariance_type,
                max_iter=max_iter,
                n_init=n_init,
                cache=None if cache == "none" else cache,
            )
        click.echo(json.dumps(_facts(planned)) if as_json else str(planned))
        planned.check()


def _facts(planned: FitPlan) -> dict[str, Any]:
    """Return the plan as JSON values, with what follows from its fields."""
    memory = planned.memory
    return {
        **asdict(planned),
        "peak_memory": planned.peak_memory,
        "needed_memory": None if memory is None else memory.needed,
        "memory_limit": None if memory is None else memory.limit,
        "expected_seconds": planned.expected_seconds,
    }
