"""Many fits in one process, one after the other and at the same time, on one cluster."""

from __future__ import annotations

import gc
import logging
from collections.abc import Callable
from pathlib import Path

import dask.array as da
import pytest
from distributed import Client

from daskgmm import open_zarr
from tests.faults.cluster_processes import cluster_processes
from tests.faults.left_over import Footprint, files_in, files_of_worker, footprint, tasks_left
from tests.faults.small_fits import (
    BLOCK_ROWS,
    UNCONVERGED,
    digest,
    digests_of_clients,
    fitted,
    lazy_rows,
    store_rows,
)

pytestmark = [pytest.mark.fault, pytest.mark.timeout(300), pytest.mark.filterwarnings(UNCONVERGED)]

log = logging.getLogger(__name__)

N_FITS, N_WARM = 200, 10
# What allocators keep to themselves: what a process holds rises and falls by a few megabytes. One block of one fit that
# stayed would be 24 kB each time, 5 MB in all; one fit's kept rows 384 kB, 73 MB in all.
MOST_GROWTH = 40 * 2**20
N_CLIENTS = 8


def sources(store: Path) -> list[Callable[[], tuple[da.Array, str | None]]]:
    """Ways to give data and to keep them."""
    return [
        lambda: (lazy_rows(), "memory"),
        lambda: (open_zarr(store, chunks=BLOCK_ROWS), "memory"),
        lambda: (open_zarr(store, chunks=BLOCK_ROWS), "disk"),
        lambda: (open_zarr(store, chunks=BLOCK_ROWS), None),
    ]


def held(client: Client, folder: Path) -> tuple[list[Footprint], list[object]]:
    """Return what processes hold, and what must be the same after any number of fits."""
    gc.collect()
    client.run(gc.collect)
    tasks = tasks_left(client)
    processes = [footprint(), *client.run(footprint).values(), client.run_on_scheduler(footprint)]
    counts = [(one.threads, one.n_other_threads, one.n_files) for one in processes]
    return processes, [tasks, sorted(client.futures), counts, client.run(files_of_worker), files_in(folder)]


def test_two_hundred_fits_hold_no_more_than_ten(tmp_path):
    store = store_rows(tmp_path / "rows.zarr")
    ways = sources(store)
    with cluster_processes(tmp_path) as cluster, Client(cluster.address, timeout="60s") as client:
        cluster.start_worker()
        client.wait_for_workers(1, timeout=60)
        digests = set()
        for n_fits in range(1, N_FITS + 1):
            X, cache = ways[n_fits % len(ways)]()
            mixture = fitted(X, cache=cache, max_iter=1, checkpoint=tmp_path / "state" if n_fits % 5 == 0 else None)
            for path in tmp_path.glob("state*"):
                path.unlink()
            digests.add(digest(mixture))
            if n_fits == N_WARM:
                before, same_before = held(client, tmp_path)
        after, same_after = held(client, tmp_path)
    for name, one, other in zip(("driver", "worker", "scheduler"), before, after, strict=True):
        log.info("%s after %d fits %s, after %d %s", name, N_WARM, one, N_FITS, other)
    assert same_after == same_before
    assert len(digests) == 1
    for one, other in zip(before, after, strict=True):
        assert other.rss - one.rss < MOST_GROWTH


def test_eight_clients_at_the_same_time_fit_what_each_fits_alone(cluster, tmp_path):
    X = open_zarr(store_rows(tmp_path / "rows.zarr"), chunks=BLOCK_ROWS)
    settings = [{"random_state": seed, "max_iter": 3} for seed in range(N_CLIENTS)]
    together = digests_of_clients(cluster, X, settings)
    assert together == [digest(fitted(X, **one)) for one in settings]
    with Client(cluster) as client:
        assert tasks_left(client) == []
