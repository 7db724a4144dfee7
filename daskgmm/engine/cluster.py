"""Which scheduler a command uses: one that is running, an embedded one on this machine, or this process's threads."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import dask
from dask.utils import parse_bytes, parse_timedelta
from distributed import Client, LocalCluster
from distributed.comm import get_address_host

from daskgmm.engine.transport import check_transport, embedded_transport
from daskgmm.errors import ClusterError, DaskGMMError, ParameterError

__all__ = ["ClusterSettings", "connected", "parse_duration", "parse_size", "peak_worker_memory"]

# Dask looks at every thread of a worker each 10 ms for its profile, and at every event loop each 20 ms. On an embedded
# cluster of two workers these two take 5 of the 8 % of a core that it takes when idle, and tasks want all cores.
LEAN = {"distributed.worker.profile.enabled": False, "distributed.admin.tick.interval": "1s"}
# So long after it has lost a worker, Dask gives it up for good if it is not there: also one that came back, and was
# killed once more just then. Its nanny starts it anew each time, if it is let.
PATIENT = {"distributed.deploy.lost-worker-timeout": "365d"}


@dataclass(frozen=True, slots=True)
class ClusterSettings:
    """Where to run. With nothing given, on this process's threads."""

    scheduler: str | None = None
    """Address of a running scheduler."""
    scheduler_file: str | None = None
    """File that a running scheduler wrote its address to."""
    n_workers: int | None = None
    """Worker processes of an embedded cluster."""
    threads_per_worker: int = 1
    memory_limit: int | None = None
    """Bytes that each embedded worker may use; None shares the machine's memory among them."""
    timeout: float = 30.0
    """Seconds to wait for a scheduler to answer."""
    require_tls: bool = False
    """Whether a scheduler that is running must be reached through TLS."""
    wait_workers: int | None = None
    """Workers that a scheduler must have before anything begins; None means one."""

    def __post_init__(self) -> None:
        given = [name for name in ("scheduler", "scheduler_file", "n_workers") if getattr(self, name) is not None]
        if len(given) > 1:
            raise ParameterError(f"expected one way to find a cluster; got {' and '.join(given)}")
        if self.wait_workers is not None and self.scheduler is None and self.scheduler_file is None:
            raise ParameterError("wait_workers: expected a scheduler whose workers to wait for; got none")


@contextmanager
def connected(settings: ClusterSettings) -> Iterator[Client | None]:
    """Make the cluster that the settings name the ambient one, and close what was opened at the end.

    Yields
    ------
    distributed.Client or None
        None when work runs on this process's threads.

    Raises
    ------
    ClusterError
        If no scheduler answers in time, or it has no right certificate.
    ParameterError
        If encryption is required and the address has none, or there are no certificates for it.
    """
    if settings.n_workers is not None:
        with _embedded(settings) as cluster, Client(cluster) as client:
            yield client
    elif settings.scheduler is not None or settings.scheduler_file is not None:
        with _client(settings) as client:
            yield client
    else:
        yield None


@contextmanager
def _embedded(settings: ClusterSettings) -> Iterator[LocalCluster]:
    """Start worker processes that only this machine can reach."""
    with (
        dask.config.set(LEAN | PATIENT),
        LocalCluster(
            n_workers=settings.n_workers,
            threads_per_worker=settings.threads_per_worker,
            memory_limit=settings.memory_limit if settings.memory_limit is not None else "auto",
            processes=True,
            host="127.0.0.1",
            # The default would serve HTTP on every interface, at a port that may be taken.
            dashboard_address="127.0.0.1:0",
            **embedded_transport(),
        ) as cluster,
    ):
        yield cluster


def _client(settings: ClusterSettings) -> Client:
    """Connect to a running scheduler."""
    address = settings.scheduler or _address_in(Path(str(settings.scheduler_file)))
    place = address if settings.scheduler else f"{address}, named in {settings.scheduler_file},"
    try:
        # Checked first: a client that fails to connect to nonsense stays the ambient one.
        get_address_host(address)
        check_transport(address, require_tls=settings.require_tls)
        client = Client(address, timeout=settings.timeout)
    except DaskGMMError:
        raise
    except (OSError, TimeoutError, ValueError) as error:
        doubt = "Do its certificates fit those here, and is it" if address.startswith("tls://") else "Is it"
        raise ClusterError(
            f"expected a scheduler to answer at {place} within {settings.timeout:g} s. "
            f"{doubt} running and reachable? ({error})"
        ) from error
    try:
        client.wait_for_workers(settings.wait_workers or 1, timeout=settings.timeout)
    except TimeoutError:
        n_workers = len(client.nthreads())
        client.close()
        wanted = "a worker" if settings.wait_workers is None else f"{settings.wait_workers} workers"
        raise ClusterError(
            f"expected the scheduler at {place} to have {wanted} within {settings.timeout:g} s; it has "
            f"{n_workers or 'none'}. Start workers, or wait longer (--timeout)"
        ) from None
    return client


def _address_in(file: Path) -> str:
    """Return the address that a scheduler wrote to its file."""
    try:
        address = json.loads(file.read_text("utf-8"))["address"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ClusterError(
            f"expected a file that a running scheduler wrote at {file}; it cannot be read as one "
            f"({type(error).__name__}: {error}). Start the scheduler with --scheduler-file {file}"
        ) from None
    if not isinstance(address, str):
        raise ClusterError(f"expected the address of a scheduler in {file}; got {address!r}")
    return address


def peak_worker_memory(client: Client) -> int:
    """Return the largest resident memory in bytes that any worker process has had so far."""
    return max(client.run(_peak_memory).values(), default=0)


def _peak_memory() -> int:
    """Return this process's peak resident memory in bytes.

    The kernel's high-water mark where there is one: `getrusage` would count what the parent held before exec.
    """
    try:
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    import psutil

    return int(psutil.Process().memory_info().rss)


def parse_size(text: str, name: str = "size") -> int:
    """Return the bytes that a text such as 512MiB means; raises ParameterError, with its name, when it means none."""
    size = _parsed(parse_bytes, text)
    if size < 1:
        raise ParameterError(f"{name}: expected a size such as 512MiB or 4GB; got {text!r}")
    return int(size)


def parse_duration(text: str, name: str = "duration") -> float:
    """Return the seconds that a text such as 5m means; raises ParameterError, with its name, when it means none."""
    seconds = _parsed(parse_timedelta, text)
    if not 0 < seconds < math.inf:
        raise ParameterError(f"{name}: expected a duration such as 30s or 5m; got {text!r}")
    return seconds


def _parsed(parse: Callable[[str], float | None], text: str) -> float:
    """Return what Dask reads in a text, 0 when it reads nothing."""
    if not any(character.isdigit() for character in text):
        return 0.0
    try:
        return float(parse(text) or 0)
    except (ValueError, KeyError, IndexError, OverflowError):
        return 0.0
