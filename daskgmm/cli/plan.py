"""`daskgmm plan`: what a fit will read, hold and take."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from daskgmm.cli.options import (
    ClusterChoice,
    StoredRows,
    cache_option,
    cluster_options,
    components_option,
    covariance_option,
    json_option,
    max_iter_option,
    n_init_option,
    rows_options,
)

if TYPE_CHECKING:
    from daskgmm.planning import FitPlan

__all__ = ["plan", "plan_facts"]


@click.command(epilog="\b\nExample:\n  daskgmm plan profiles.zarr --components 8 --n-workers 4 --memory-limit 2GB")
@components_option
@covariance_option
@max_iter_option
@n_init_option
@cache_option
@rows_options
@cluster_options
@json_option
def plan(
    rows: StoredRows,
    components: int,
    covariance_type: str,
    max_iter: int,
    n_init: int,
    cache: str,
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
            planned = daskgmm.plan(
                rows.open(),
                components,
                covariance_type=covariance_type,
                max_iter=max_iter,
                n_init=n_init,
                cache=None if cache == "none" else cache,
            )
        click.echo(json.dumps(plan_facts(planned)) if as_json else str(planned))
        planned.check()


def plan_facts(planned: FitPlan) -> dict[str, Any]:
    """Return the plan as JSON values, with what follows from its fields."""
    memory = planned.memory
    return {
        **asdict(planned),
        "peak_memory": planned.peak_memory,
        "needed_memory": None if memory is None else memory.needed,
        "memory_limit": None if memory is None else memory.limit,
        "expected_seconds": planned.expected_seconds,
    }
