"""Workers end at random moments as long as a fit lasts."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from distributed import Client
from distributed.chaos import KillWorker

from daskgmm import open_zarr
from tests.faults.killers import Departures
from tests.faults.small_fits import BLOCK_ROWS, N_ROWS, UNCONVERGED, digest, fitted, small_cluster, store_rows

pytestmark = [pytest.mark.fault, pytest.mark.timeout(240), pytest.mark.filterwarnings(UNCONVERGED)]

log = logging.getLogger(__name__)

MEAN_LIFE = "2 s"
N_DEATHS = 3
# Of a worker that is started again, as a rule; if it takes longer, there will be more of them.
SECONDS_TO_START = 6


@contextmanager
def operated(client: Client, departures: Departures) -> Iterator[None]:
    """Start workers where none come back by themselves: a nanny gives up a worker that ends while it starts."""
    is_over = threading.Event()

    def operate() -> None:
        n_workers = 2
        while True:
            departures.deserted.wait()
            departures.deserted.clear()
            if is_over.is_set():
                return
            try:
                client.wait_for_workers(1, timeout=SECONDS_TO_START)
            except TimeoutError:
                n_workers += 2
                client.cluster.scale(n_workers)

    operator = threading.Thread(target=operate)
    operator.start()
    try:
        yield
    finally:
        is_over.set()
        departures.deserted.set()
        operator.join()


@pytest.mark.parametrize("mode", ["sys.exit", "graceful", "segfault"])
def test_workers_that_end_at_random_change_no_bit(tmp_path, mode):
    X = open_zarr(store_rows(tmp_path / "rows.zarr"), chunks=BLOCK_ROWS)
    undisturbed = digest(fitted(X))
    n_fits, digests, departures = 0, set(), Departures()
    # Loaded before the clock starts: a life of two seconds is not for imports that take as long.
    loaded = ["tests.faults.small_fits"]
    with small_cluster(scheduler__allowed_failures=1_000, worker__preload=loaded) as client:
        client.cluster.scheduler.add_plugin(departures, name="departures")
        client.register_plugin(KillWorker(delay=MEAN_LIFE, mode=mode))
        began = time.perf_counter()
        with operated(client, departures):
            while departures.n_lost < N_DEATHS:
                n_fits += 1
                mixture = fitted(X, cache=["memory", "disk", None][n_fits % 3])
                digests.add(digest(mixture))
                assert mixture.n_samples_seen_ == N_ROWS
        seconds = time.perf_counter() - began
    log.info("%s: %d workers ended in %d fits, %.1f s", mode, departures.n_lost, n_fits, seconds)
    assert digests == {undisturbed}
