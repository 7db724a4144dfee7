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

__all__ = ["plan", "plan_facts", "say_what_would_be_done"]


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


def say_what_would_be_done(planned: FitPlan | None, output: str, *, as_json: bool) -> None:
    """Print the plan of a run, or, for None, that there is nothing to do; raises MemoryLimitError if the run would."""
    from daskgmm.cli.results import deliver

    facts = {"model": output, "dry_run": True, "up_to_date": planned is None}
    if planned is None:
        deliver(facts, f"{output}: up to date, there is nothing to do", as_json=as_json, summary=None)
        return
    text = f"{planned}\n{output} would be written; nothing was"
    deliver({**facts, **plan_facts(planned)}, text, as_json=as_json, summary=None)
    planned.check()
