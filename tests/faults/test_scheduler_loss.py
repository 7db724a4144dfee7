"""The scheduler is killed during a fit: the pass is done again when it is back, or the fit ends in time."""

from __future__ import annotations

import logging
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import dask
import pytest
from distributed import Client

from daskgmm import load, open_zarr
from daskgmm.engine.waiting import redone
from daskgmm.errors import ClusterError, SchedulerLostError
from tests.faults.cluster_processes import ClusterProcesses, cluster_processes
from tests.faults.killers import AtPass, preload
from tests.faults.small_fits import (
    BLOCK_ROWS,
    N_PASSES,
    N_ROWS,
    UNCONVERGED,
    digest,
    environment,
    fitted,
    lazy_rows,
    store_rows,
)

pytestmark = [pytest.mark.fault, pytest.mark.timeout(180), pytest.mark.filterwarnings(UNCONVERGED)]

log = logging.getLogger(__name__)


@pytest.fixture
def lone_scheduler(tmp_path) -> Iterator[ClusterProcesses]:
    with cluster_processes(tmp_path) as cluster:
        yield cluster


@pytest.fixture
def cluster(lone_scheduler) -> ClusterProcesses:
    lone_scheduler.start_worker()
    return lone_scheduler


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Path:
    return store_rows(tmp_path_factory.mktemp("rows") / "rows.zarr")


@pytest.mark.parametrize(("source", "cache"), [("dask", "memory"), ("zarr", None), ("zarr", "disk")])
def test_a_scheduler_that_comes_back_gets_the_pass_again(cluster, store, source, cache):
    def back() -> None:
        cluster.kill_scheduler()
        cluster.start_scheduler()
        cluster.start_worker()

    X = lazy_rows() if source == "dask" else open_zarr(store, chunks=BLOCK_ROWS)
    began = time.perf_counter()
    undisturbed = fitted(X, cache=cache)
    seconds = time.perf_counter() - began
    with Client(cluster.address, timeout="60s") as client, AtPass(3, back) as fault:
        client.wait_for_workers(1, timeout=60)
        began = time.perf_counter()
        disturbed = fitted(X, cache=cache)
        lost = time.perf_counter() - began - seconds
        assert client.status == "running"
    log.info("scheduler killed and started again, %s, cache=%s: %+.2f s on %.2f s", source, cache, lost, seconds)
    assert fault.is_done
    assert digest(disturbed) == digest(undisturbed)
    assert disturbed.n_samples_seen_ == N_ROWS
    assert disturbed.n_passes_ == N_PASSES


def test_a_scheduler_that_stays_away_is_an_error_in_time_and_the_checkpoint_goes_on(cluster, store, tmp_path):
    X = open_zarr(store, chunks=BLOCK_ROWS)
    state = tmp_path / "state"
    with Client(cluster.address, timeout="60s") as client:
        client.wait_for_workers(1, timeout=60)
    with Client(cluster.address, timeout="3s") as client, AtPass(3, cluster.kill_scheduler):
        began = time.monotonic()
        with pytest.raises(SchedulerLostError, match="expected the scheduler to stay"):
            fitted(X, checkpoint=state)
        assert time.monotonic() - began < 30
    cluster.start_scheduler()
    cluster.start_worker()
    with Client(cluster.address, timeout="60s") as client:
        client.wait_for_workers(1, timeout=60)
        resumed = fitted(X, checkpoint=state)
    assert digest(resumed) == digest(fitted(X))


def test_a_scheduler_that_is_killed_between_passes_leaves_no_work_to_this_process(cluster, store):
    """A client that has closed itself is no ambient cluster: Dask would go on in threads here."""
    # A client that is closed within its own block leaves Dask's configuration behind.
    with dask.config.set(scheduler=None), Client(cluster.address, timeout="60s") as client:
        client.wait_for_workers(1, timeout=60)
        with AtPass(3, client.close), pytest.raises(SchedulerLostError, match="closed"):
            fitted(open_zarr(store, chunks=BLOCK_ROWS))


def test_data_that_were_on_the_cluster_are_missed(cluster):
    def back() -> None:
        cluster.kill_scheduler()
        cluster.start_scheduler()
        cluster.start_worker()

    with Client(cluster.address, timeout="60s") as client, AtPass(3, back):
        client.wait_for_workers(1, timeout=60)
        with pytest.raises(ClusterError, match=r"blocks of X on the cluster.*Persist them again"):
            fitted(client.persist(lazy_rows()))


def test_a_scheduler_that_goes_away_again_and_again_is_given_up(cluster):
    n_deaths = 0

    def sweep() -> None:
        nonlocal n_deaths
        n_deaths += 1
        raise SchedulerLostError("gone")

    with Client(cluster.address, timeout="60s") as client:
        client.wait_for_workers(1, timeout=60)
        with pytest.raises(SchedulerLostError, match="gone"):
            redone(sweep)
    assert n_deaths == 4


def fit(store: Path, *more: object) -> subprocess.CompletedProcess[str]:
    program = [sys.executable, "-c", "from daskgmm.cli import main; main()", "fit", str(store), "--components", "2"]
    return subprocess.run(
        [*program, *map(str, more)],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
        env=environment(DASK_DISTRIBUTED__SCHEDULER__NO_WORKERS_TIMEOUT="2s"),
    )


@pytest.mark.parametrize("fault", ["scheduler", "worker"])
def test_the_command_ends_with_5_and_goes_on_from_its_checkpoint(lone_scheduler, tmp_path, fault):
    cluster, store = lone_scheduler, store_rows(tmp_path / "few.zarr", n_rows=2 * BLOCK_ROWS)
    order = tmp_path / "order"
    order.write_text(str(cluster.scheduler_pid) if fault == "scheduler" else "")
    # In the second pass: the data are one block.
    cluster.start_worker("--preload", str(preload(tmp_path, f"KillAt({str(order)!r}, 2)")))
    output, state, at = tmp_path / "model", tmp_path / "state", ("--scheduler", cluster.address)
    failed = fit(store, *at, "-o", output, "--checkpoint", state, "--timeout", "10s")
    assert not order.exists()
    assert failed.returncode == 5, failed.stderr
    assert "daskgmm: error: expected" in failed.stderr.splitlines()[-1]
    assert not output.exists()
    if fault == "scheduler":
        cluster.start_scheduler()
    cluster.start_worker()
    resumed = fit(store, *at, "-o", output, "--checkpoint", state, "--timeout", "60s")
    assert resumed.returncode == 0, resumed.stderr
    assert "state: goes on after 1 passes" in resumed.stderr
    undisturbed = fit(store, "-o", tmp_path / "undisturbed")
    assert undisturbed.returncode == 0, undisturbed.stderr
    assert digest(load(output)) == digest(load(tmp_path / "undisturbed"))
