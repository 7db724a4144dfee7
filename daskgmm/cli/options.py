"""Options that several commands share, one spelling each."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.core import ParameterSource

from daskgmm.cli.configuration import WAYS, NamedOption, config_options, print_configuration
from daskgmm.cli.logging_options import LogChoice, choose_log, log_options

if TYPE_CHECKING:
    import dask.array as da

    from daskgmm.engine.cluster import ClusterSettings
    from daskgmm.estimator import GaussianMixture

__all__ = [
    "COVARIANCE_TYPES",
    "ClusterChoice",
    "StoredRows",
    "all_of",
    "cache_option",
    "cluster_options",
    "components_option",
    "covariance_option",
    "gathered",
    "json_option",
    "max_iter_option",
    "n_init_option",
    "output_option",
    "overwrite_option",
    "rows_options",
    "storage_option",
    "store_options",
    "summary_option",
]

Command = TypeVar("Command", bound=Callable[..., Any])
COVARIANCE_TYPES = ("full", "tied", "diag", "spherical")


def all_of(*options: Callable[[Command], Command]) -> Callable[[Command], Command]:
    """Return a decorator that adds options in the order given."""

    def add(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return add


def gathered(
    options: Callable[[Callable[..., None]], Callable[..., None]], record: Callable[..., Any], name: str
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Return a decorator that adds options, whose values a command receives as one record under one name."""
    # Typed as what it makes; `fields` wants to know that it is a dataclass as well.
    names = [field.name for field in fields(record)]  # type: ignore[arg-type]

    def add(command: Callable[..., None]) -> Callable[..., None]:
        @wraps(command)
        def with_record(**values: Any) -> None:
            command(**{name: record(**{one: values.pop(one) for one in names})}, **values)

        return options(with_record)

    return add


# Newer versions of click have a generic type here, older ones cannot be given its argument.
class _JsonObject(click.ParamType):  # type: ignore[type-arg]
    """A JSON object at a shell, a mapping in a configuration file."""

    name = "json"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> dict[str, Any]:
        try:
            found = json.loads(value) if isinstance(value, str) else value
        except ValueError:
            found = None
        if not isinstance(found, dict):
            # What was given may hold credentials: it is not repeated.
            self.fail('expected a JSON object such as {"anon": true}', param, ctx)
        return found


store_options = all_of(
    click.option("--component", metavar="NAME", help="Array in the store, where it is a group."),
    click.option(
        "--missing-chunks",
        type=click.Choice(["raise", "fill"]),
        default="raise",
        show_default=True,
        help="Chunks that were never written: stop, or take the fill value.",
    ),
)

storage_option = click.option(
    "--storage-options",
    type=_JsonObject(),
    metavar="JSON",
    help="What fsspec needs to open a URL, such as credentials, as one JSON object.",
)


@dataclass(frozen=True, slots=True)
class StoredRows:
    """Which Zarr array a command reads."""

    store: str
    component: str | None
    missing_chunks: str
    storage_options: dict[str, Any] | None

    @property
    def name(self) -> str:
        """What messages call it."""
        from daskgmm.storage.redaction import public_address

        return public_address(self.store)

    def open(self) -> da.Array:
        """Return its rows; raises as `daskgmm.open_zarr`."""
        from daskgmm.storage.dataset import open_zarr

        return open_zarr(self.store, self.component, self.storage_options, missing_chunks=self.missing_chunks)

    def open_for(self, mixture: GaussianMixture, model: str) -> da.Array:
        """Return its rows for the mixture in a model file; raises InputDataError if they have other features."""
        from daskgmm.errors import InputDataError

        rows = self.open()
        if rows.shape[1] != mixture.n_features_in_:
            raise InputDataError(
                f"{self.name}: expected rows of {mixture.n_features_in_} features, as {model} has; got "
                f"{rows.shape[1]} features"
            )
        return rows


rows_options = gathered(all_of(click.argument("store"), store_options, storage_option), StoredRows, "rows")
"""The argument STORE and what belongs to it, received as one record, `rows`."""

components_option = click.option(
    "--components", required=True, type=click.IntRange(min=1), help="Number of components of the mixture."
)
covariance_option = click.option(
    "--covariance-type",
    type=click.Choice(COVARIANCE_TYPES),
    default="full",
    show_default=True,
    help="Shape of the covariances.",
)
max_iter_option = click.option("--max-iter", type=int, default=100, show_default=True, help="Most passes of EM.")
n_init_option = click.option(
    "--n-init", type=int, default=1, show_default=True, help="Number of starts; the best is kept."
)
cache_option = click.option(
    "--cache",
    type=click.Choice(["auto", "memory", "disk", "none"]),
    default="auto",
    show_default=True,
    help="Where the workers keep decoded rows between passes.",
)


_cluster_options = all_of(
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
        "--wait-workers", type=click.IntRange(min=1), help="Workers that the scheduler must have before it begins."
    ),
    click.option(
        "--timeout",
        metavar="TIME",
        default="30s",
        show_default=True,
        help="How long to wait for scheduler and workers.",
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
    wait_workers: int | None = None

    def settings(self) -> ClusterSettings:
        """Return the words as values; raises ParameterError when one makes no sense."""
        from daskgmm.engine.cluster import ClusterSettings, parse_duration, parse_size

        return ClusterSettings(
            scheduler=self.scheduler,
            scheduler_file=self.scheduler_file,
            n_workers=self.n_workers,
            threads_per_worker=self.threads_per_worker,
            memory_limit=None if self.memory_limit is None else parse_size(self.memory_limit, "--memory-limit"),
            timeout=parse_duration(self.timeout, "--timeout"),
            require_tls=self.require_tls,
            wait_workers=self.wait_workers,
        )


OF_WORKERS = ("threads_per_worker", "memory_limit")
"""Options that say something of the workers of `--n-workers` alone."""
STRENGTH = (ParameterSource.COMMANDLINE, ParameterSource.ENVIRONMENT, ParameterSource.DEFAULT_MAP)


def cluster_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add what every command that runs for long has: where it runs, what it logs, and where its options come from.

    The command receives the choice of a cluster as one argument, `cluster`; the others act by themselves.
    """
    names = [field.name for field in fields(ClusterChoice)]

    @wraps(command)
    def with_cluster(**options: Any) -> None:
        choose_log(LogChoice(options.pop("log_format"), options.pop("progress")))
        _keep_strongest(options)
        if options.pop("print_config"):
            print_configuration()
            return
        _check_workers(options)
        choice = ClusterChoice(**{name: options.pop(name) for name in names})
        command(cluster=choice, **options)

    return all_of(_cluster_options, log_options, config_options)(with_cluster)


def _keep_strongest(options: dict[str, Any]) -> None:
    """Forget ways to find a cluster that come from a weaker place than another one: a flag beats the environment."""
    context = click.get_current_context()
    # Workers are waited for at the scheduler that the same place names.
    names = [name for name in (*WAYS, "wait_workers") if options[name] is not None]
    sources = {name: context.get_parameter_source(name) for name in names}
    places = [STRENGTH.index(source) for name, source in sources.items() if name in WAYS and source in STRENGTH]
    for name, source in sources.items():
        weaker = bool(places) and (source not in STRENGTH or STRENGTH.index(source) > min(places))
        if weaker and (name in WAYS or options["n_workers"] is not None):
            options[name] = context.params[name] = None


def _check_workers(options: dict[str, Any]) -> None:
    """Raise UsageError where a command line tells of workers, and nothing starts any."""
    context = click.get_current_context()
    for name in OF_WORKERS:
        if options["n_workers"] is None and context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            option = f"--{name.replace('_', '-')}"
            raise click.UsageError(f"{option}: expected --n-workers too, for it says something of the workers of that")


json_option = click.option("--json", "as_json", cls=NamedOption, is_flag=True, help="Print one JSON object.")

summary_option = click.option(
    "--summary",
    metavar="FILE",
    help="Write the result to this file too, as one JSON object; without a result it stays as it was.",
)

overwrite_option = click.option(
    "--overwrite", is_flag=True, help="Replace the output of an earlier run once the new one is complete."
)


def output_option(what: str) -> Callable[[Command], Command]:
    """Return the option that names the output."""
    return click.option("-o", "--output", required=True, metavar="PATH", help=f"{what} to write.")
