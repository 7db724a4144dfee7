"""Workers are killed while they work: the fit goes on to the same bits, or ends in time with what was the matter."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import dask
import dask.array as da
import pytest
from distributed import Client

from daskgmm import open_zarr
from daskgmm.errors import ClusterError
from tests.faults.killers import AtPass, Departures, KillAlways, KillAt, preload
from tests.faults.small_fits import (
    BLOCK_ROWS,
    N_PASSES,
    N_ROWS,
    UNCONVERGED,
    digest,
    environment,
    fitted,
    lazy_rows,
    small_cluster,
    store_rows,
)

pytestmark = [pytest.mark.timeout(120), pytest.mark.filterwarnings(UNCONVERGED)]

log = logging.getLogger(__name__)

PATIENCE = "distributed.scheduler.no-workers-timeout"


@pytest.fixture(scope="module")
def workers() -> Iterator[Client]:
    with small_cluster() as client:
        yield client


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Path:
    return store_rows(tmp_path_factory.mktemp("rows") / "rows.zarr")


@contextmanager
def watched(client: Client) -> Iterator[Departures]:
    departures = Departures()
    client.cluster.scheduler.add_plugin(departures, name="departures")
    try:
        yield departures
    finally:
        client.cluster.scheduler.remove_plugin("departures")


@pytest.mark.parametrize(
    ("source", "cache"),
    [
        ("zarr", "memory"),
        pytest.param("dask", None, marks=pytest.mark.fault),
        pytest.param("dask", "memory", marks=pytest.mark.fault),
        pytest.param("zarr", None, marks=pytest.mark.fault),
        pytest.param("zarr", "disk", marks=pytest.mark.fault),
    ],
)
def test_a_worker_killed_in_a_pass_changes_no_bit(workers, store, tmp_path, source, cache):
    def X() -> da.Array:
        return lazy_rows() if source == "dask" else open_zarr(store, chunks=BLOCK_ROWS)

    workers.wait_for_workers(2, timeout=60)
    fitted(X(), cache=cache, max_iter=1)  # what the first fit costs is not the fault's
    began = time.perf_counter()
    undisturbed = fitted(X(), cache=cache)
    seconds = time.perf_counter() - began
    order = tmp_path / "kill"
    order.touch()
    workers.register_plugin(KillAt(order, n_blocks=20), name="kill")
    try:
        with watched(workers) as departures:
            began = time.perf_counter()
            disturbed = fitted(X(), cache=cache)
            lost = time.perf_counter() - began - seconds
    finally:
        workers.unregister_worker_plugin("kill")
    log.info("one of two workers killed in a pass, %s, cache=%s: %+.2f s on %.2f s", source, cache, lost, seconds)
    assert not order.exists()
    assert departures.n_lost == 1
    assert digest(disturbed) == digest(undisturbed)
    assert disturbed.n_samples_seen_ == N_ROWS
    assert disturbed.n_passes_ == undisturbed.n_passes_ == N_PASSES


@pytest.mark.fault
def test_a_worker_that_stops_answering_is_given_up(tmp_path):
    """Stopped, not ended: its connections stay open. Dask removes it when it was silent for its `worker-ttl`."""
    undisturbed = fitted(lazy_rows(), cache=None)
    order = tmp_path / "stop"
    order.touch()
    with small_cluster(scheduler__worker_ttl="2s") as client:
        client.register_plugin(KillAt(order, 20, signal.SIGSTOP))
        pids = [nanny.pid for nanny in client.cluster.workers.values()]
        with watched(client) as departures:
            disturbed = fitted(lazy_rows(), cache=None)
        for pid in pids:  # or its nanny would wait for it at the end
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
        assert not order.exists()
        assert departures.n_lost > 0
    assert digest(disturbed) == digest(undisturbed)


@pytest.mark.fault
def test_a_cluster_whose_workers_are_all_gone_is_an_error_in_time(workers):
    with dask.config.set({PATIENCE: "1s"}), AtPass(3, lambda: workers.cluster.scale(0)):
        began = time.monotonic()
        with pytest.raises(ClusterError, match="expected workers; the scheduler has had none for 1 s"):
            fitted(lazy_rows(), cache=None)
        assert time.monotonic() - began < 30
    workers.cluster.scale(2)


@pytest.mark.fault
def test_workers_that_return_in_time_go_on_to_the_same_bits(workers):
    workers.wait_for_workers(2, timeout=60)
    undisturbed = fitted(lazy_rows(), cache="memory")
    with watched(workers) as departures:
        back = threading.Thread(target=lambda: departures.deserted.wait(60) and workers.cluster.scale(2))
        back.start()
        with dask.config.set({PATIENCE: "60s"}), AtPass(3, lambda: workers.cluster.scale(0)):
            disturbed = fitted(lazy_rows(), cache="memory")
        back.join(60)
        assert departures.deserted.is_set()
    assert digest(disturbed) == digest(undisturbed)


@pytest.mark.fault
@pytest.mark.parametrize(
    ("source", "named"),
    [("dask", r"rows 5000 to 5999 \(block 5\)"), ("zarr", r"rows 10000 to 11999 \(blocks 10 to 11\)")],
)
def test_a_block_that_kills_every_worker_is_named(store, source, named):
    X = lazy_rows if source == "dask" else lambda: open_zarr(store, chunks=BLOCK_ROWS)
    # One task at a time on each worker, so that no other one is suspected.
    with small_cluster(scheduler__worker_saturation=1.0) as client:
        client.register_plugin(KillAlways(5))
        began = time.monotonic()
        with pytest.raises(ClusterError, match=f"4 of them ended with {named}"):
            fitted(X(), cache=None)
        assert time.monotonic() - began < 60


@pytest.mark.fault
def test_the_command_names_the_block_and_ends_with_5(tmp_path):
    store = store_rows(tmp_path / "few.zarr", n_rows=2 * BLOCK_ROWS)
    command = [sys.executable, "-c", "from daskgmm.cli import main; main()", "fit", str(store), "--components", "2"]
    run = subprocess.run(
        [*command, "-o", str(tmp_path / "model"), "--n-workers", "2"],
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
        env=environment(
            DASK_DISTRIBUTED__WORKER__PRELOAD=str(preload(tmp_path, "KillAlways(0)")),
            DASK_DISTRIBUTED__SCHEDULER__WORKER_SATURATION="1.0",
        ),
    )
    assert run.returncode == 5, run.stderr
    assert (
        "daskgmm: error: expected the workers to survive every block; 4 of them ended with rows 0 to 1999 "
        in run.stderr
    )
    assert not (tmp_path / "model").exists()
