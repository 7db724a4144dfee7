"""Options that several commands share, one spelling each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from daskgmm.engine.cluster import ClusterSettings

__all__ = ["ClusterChoice", "cluster_options", "em_options", "json_option", "output_option", "store_options"]

Command = TypeVar("Command", bound=Callable[..., Any])


def _all_of(*options: Callable[[Command], Command]) -> Callable[[Command], Command]:
    """Return a decorator that adds options in the order given."""

    def add(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return add


store_options = _all_of(
    click.option("--component", metavar="NAME", help="Array in the store, where it is a group."),
    click.option(
        "--missing-chunks",
        type=click.Choice(["raise", "fill"]),
        default="raise",
        show_default=True,
        help="Chunks that were never written: stop, or take the fill value.",
    ),
)

em_options = _all_of(
    click.option(
        "--random-state", type=int, default=0, show_default=True, help="Seed; the same one gives the same fit."
    ),
    click.option("--tol", type=float, default=1e-3, show_default=True, help="Stop at this gain, in nats a row."),
    click.option(
        "--reg-covar", type=float, default=1e-6, show_default=True, help="Added to each covariance's diagonal."
    ),
    click.option("--max-iter", type=int, default=100, show_default=True, help="Most passes of EM."),
    click.option("--n-init", type=int, default=1, show_default=True, help="Number of starts; the best is kept."),
    click.option(
        "--init-params",
        type=click.Choice(["kmeans", "k-means++", "random", "random_from_data"]),
        default="kmeans",
        show_default=True,
        help="How starts assign rows to components.",
    ),
    click.option(
        "--cache",
        type=click.Choice(["auto", "memory", "disk", "none"]),
        default="auto",
        show_default=True,
        help="Where the workers keep decoded rows between passes.",
    ),
)

_cluster_options = _all_of(
    click.option("--scheduler", metavar="ADDRESS", help="Address of a running Dask scheduler."),
    click.option("--scheduler-file", metavar="FILE", help="File that a running Dask scheduler wrote."),
    click.option("--n-workers", type=click.IntRange(min=1), help="Worker processes to start on this machine."),
    click.option(
        "--threads-per-worker",
        type=click.IntRange(min=1),
        default=1,
        show_default=True,
        help="Threads of each of them.",
    ),
    click.option("--memory-limit", metavar="SIZE", help="Memory of each of them, such as 4GB."),
    click.option(
        "--timeout", metavar="TIME", default="30s", show_default=True, help="How long to wait for a scheduler."
    ),
    click.option("--require-tls", is_flag=True, help="Refuse a scheduler whose address is not tls://."),
)


@dataclass(frozen=True, slots=True)
class ClusterChoice:
    """What the cluster options said, word for word."""

    scheduler: str | None
    scheduler_file: str | None
    n_workers: int | None
    threads_per_worker: int
    memory_limit: str | None
    timeout: str
    require_tls: bool = False

    def settings(self) -> ClusterSettings:
        """Return the words as values; raises ParameterError when one makes no sense."""
        from daskgmm.engine.cluster import ClusterSettings, parse_duration, parse_size

        return ClusterSettings(
            scheduler=self.scheduler,
            scheduler_file=self.scheduler_file,
            n_workers=self.n_workers,
            threads_per_worker=self.threads_per_worker,
            memory_limit=None if self.memory_limit is None else parse_size(self.memory_limit),
            timeout=parse_duration(self.timeout),
            require_tls=self.require_tls,
        )


def cluster_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the cluster options to a command, which receives them as one argument, `cluster`."""
    names = [field.name for field in fields(ClusterChoice)]

    @wraps(command)
    def with_cluster(**options: Any) -> None:
        choice = ClusterChoice(**{name: options.pop(name) for name in names})
        command(cluster=choice, **options)

    return _cluster_options(with_cluster)


json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")


def output_option(what: str) -> Callable[[Command], Command]:
    """Return the option that names the output."""
    return click.option("-o", "--output", required=True, metavar="PATH", help=f"{what}; must not exist yet.")
