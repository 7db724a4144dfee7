"""What `plan` says, against counts done by hand and against what a fit then does."""

from __future__ import annotations

import warnings
from dataclasses import replace

import dask
import dask.array as da
import numpy as np
import pytest
import zarr
from sklearn.exceptions import ConvergenceWarning

from daskgmm import FitPlan, GaussianMixture, open_zarr, plan
from daskgmm.engine.memory import LIGHT_PROCESS_BYTES, PassSizes, cached_bytes, waiting, worker_memory
from daskgmm.engine.timing import BlockTiming
from daskgmm.engine.workers import Worker
from daskgmm.errors import MemoryLimitError, ParameterError, RowError
from daskgmm.fitting.trial import plausible_parameters
from daskgmm.settings import FitSettings
from tests.conftest import COVARIANCE_TYPES

MIB = 2**20


def write(path, *, n_rows=300_000, n_features=4, compressors="auto"):
    """Rows in chunks of 1 MiB, written once: the fill value is not among them."""
    rows = np.random.default_rng(0).normal(size=(n_rows, n_features)) + 7.0
    zarr.create_array(path, data=rows, chunks=(2**15, n_features), compressors=compressors)
    return path


def limited(monkeypatch, *workers: Worker) -> None:
    """Let the ambient cluster have these workers."""
    for module in ("daskgmm.fitting.memory", "daskgmm.engine.parts", "daskgmm.storage.dataset"):
        monkeypatch.setattr(f"{module}.ambient_workers", lambda: workers)


@pytest.fixture
def store(tmp_path):
    return write(tmp_path / "rows.zarr")


def test_a_stored_array_is_counted(store):
    with dask.config.set(num_workers=3):
        planned = plan(open_zarr(store), 5, cache=None)
    # Blocks of 8 MiB are eight chunks: 262,144 rows of 4 numbers, and what is left.
    assert (planned.n_samples, planned.n_features) == (300_000, 4)
    assert (planned.n_blocks, planned.n_tasks, planned.block_bytes) == (2, 2, 8 * MIB)
    assert planned.pass_bytes == 300_000 * 4 * 8
    assert planned.stored_bytes == sum(file.stat().st_size for file in store.rglob("*") if file.is_file())
    assert (planned.n_workers, planned.n_threads) == (1, 3)
    assert (planned.cached_bytes, planned.disk_cached_bytes) == (0, 0)
    assert (planned.sample_rows, planned.sample_bytes) == (100_000, 100_000 * 4 * 8)
    assert planned.timing.n_rows == 262_144
    assert planned.timing.read_seconds > 0
    assert planned.timing.compute_seconds > 0


def test_what_is_said_of_passes_and_bytes_is_what_a_fit_does(store):
    X = open_zarr(store)
    settings = {"max_iter": 2, "tol": 0.0, "acceleration": None, "init_params": "random_from_data", "random_state": 0}
    planned = plan(X, 3, **settings)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        mixture = GaussianMixture(3, **settings).fit(X)
    assert planned.expected_passes == planned.most_passes == mixture.n_passes_ == 3
    read = [entry["bytes"] for entry in mixture.history_ if entry["bytes"]]
    assert read == [planned.pass_bytes] * 3


def test_a_complete_start_needs_no_sample(store):
    given = {
        "weights_init": [0.5, 0.5],
        "means_init": np.zeros((2, 4)),
        "precisions_init": np.tile(np.eye(4), (2, 1, 1)),
    }
    planned = plan(open_zarr(store), 2, **given, acceleration=None, max_iter=7)
    assert (planned.sample_rows, planned.sample_bytes, planned.most_passes) == (0, 0, 7)
    assert planned.memory.sample == 0


def test_blocks_of_a_dask_array_are_tasks_and_are_kept_as_a_whole():
    X = da.random.default_rng(0).normal(size=(5000, 2), chunks=(1000, 2))
    planned = plan(X, 2)
    assert (planned.n_blocks, planned.n_tasks, planned.block_bytes) == (5, 5, 16_000)
    assert (planned.cached_bytes, planned.disk_cached_bytes) == (80_000, 0)
    assert planned.stored_bytes is None


def test_unknown_lengths_leave_unknown_what_depends_on_them():
    X = da.random.default_rng(0).normal(size=(5000, 2), chunks=(1000, 2))
    planned = plan(X[X[:, 0] > 0], 2)
    assert planned.n_samples is planned.pass_bytes is planned.memory is planned.expected_seconds is None
    assert planned.timing.n_rows > 0
    assert "compute_chunk_sizes" in str(planned)
    planned.check()


def test_rows_in_memory_are_not_held_twice():
    planned = plan(np.random.default_rng(0).normal(size=(5000, 2)), 2)
    assert planned.n_tasks == 1
    assert planned.cached_bytes == 0
    assert planned.memory.retained == planned.memory.cache == 0


def test_settings_are_those_of_the_estimator(store):
    with pytest.raises(ParameterError, match="n_components"):
        plan(open_zarr(store), 0)
    with pytest.raises(TypeError, match="components"):
        plan(open_zarr(store), components=3)


def test_a_bad_row_of_the_block_that_is_tried_is_named(store):
    zarr.open_array(store)[17, 2] = np.nan
    with pytest.raises(RowError, match=r"row 17 \(row 17 of block 0\)"):
        plan(open_zarr(store), 2)


def test_rows_of_weight_0_are_not_tried():
    rows = np.random.default_rng(0).normal(size=(100, 2))
    rows[:50] = np.nan
    planned = plan(rows, 2, sample_weight=np.repeat([0.0, 1.0], 50))
    assert planned.timing.n_rows == 100


def test_seconds_follow_from_the_block_that_was_measured(store):
    planned = replace(
        plan(open_zarr(store), 2, cache=None),
        n_samples=1000,
        n_tasks=10,
        n_threads=4,
        expected_passes=3,
        timing=BlockTiming(n_rows=100, read_seconds=2.0, compute_seconds=3.0),
    )
    # Ten blocks on four threads: read in three passes, worked on in all but the first.
    assert planned.expected_seconds == pytest.approx((3 * 2.0 + 2 * 3.0) * 10 / 4)
    kept = replace(planned, cached_bytes=planned.pass_bytes // 2)
    assert kept.expected_seconds == pytest.approx(((1 + 2 * 0.5) * 2.0 + 2 * 3.0) * 10 / 4)


def test_a_plan_reads_well(store):
    text = str(plan(open_zarr(store), 2, cache=None))
    names = {line[:16].strip() for line in text.splitlines()}
    assert {"rows", "bytes a pass", "passes", "peak memory", "reading", "E-step", "time"} <= names
    assert "300,000 of 4 features" in text
    assert "9.155 MiB decoded" in text


@pytest.mark.parametrize("covariance_type", COVARIANCE_TYPES)
def test_plausible_parameters_exist_for_constant_features_too(covariance_type):
    rows = np.random.default_rng(0).normal(size=(50, 3))
    rows[:, 1] = 4.0
    parameters = plausible_parameters(rows, FitSettings(4, covariance_type=covariance_type, reg_covar=0.0))
    assert parameters.means.shape == (4, 3)
    assert (parameters.means[:, None] == rows).all(axis=2).any(axis=1).all()


SIZES = PassSizes(
    n_bytes=10_000 * MIB,
    n_tasks=100,
    blocks_a_task=4,
    block=10 * MIB,
    blocks_held=4,
    look=MIB,
    result=MIB,
    workspace=5 * MIB,
    shared=2 * MIB,
    sample=20 * MIB,
    sample_pieces=0,
    drawn=0,
    explored=3 * MIB,
    uses_numba=False,
    can_keep=True,
    keeps_files=False,
)


def test_a_workers_memory_is_the_sum_of_what_its_threads_hold():
    memory = worker_memory(SIZES, Worker(1000 * MIB, 2), cache=None, is_local=False)
    assert memory.blocks == 2 * (4 * 10 + 1) * MIB
    # Each thread: a node a level, what is merged, and its workspace. Three levels above, eight results on each.
    assert memory.results == (2 * ((3 + 3) * 1 + 5) + 24 * 1 + 2) * MIB
    assert memory.sample == (3 * 20 + 2 * 3) * MIB
    assert memory.needed == memory.process + memory.blocks + memory.sample
    assert memory.peak == memory.needed
    drawing = worker_memory(replace(SIZES, drawn=7 * MIB), Worker(1000 * MIB, 2), cache=None, is_local=False)
    assert drawing.results == memory.results + 7 * MIB


def test_blocks_are_kept_up_to_a_share_of_the_limit():
    worker = Worker(1000 * MIB, 2)
    memory = worker_memory(SIZES, worker, cache="memory", is_local=False)
    assert memory.cache + LIGHT_PROCESS_BYTES == 550 * MIB
    assert worker_memory(replace(SIZES, can_keep=False), worker, cache="auto", is_local=False).cache == 0
    assert worker_memory(SIZES, worker, cache="disk", is_local=False).cache == 0
    few = worker_memory(replace(SIZES, n_bytes=MIB), worker, cache="memory", is_local=False)
    assert few.cache == MIB


def test_what_all_workers_keep_is_whole_blocks_of_each_task():
    workers = (Worker(4000 * MIB, 1), Worker(4000 * MIB, 1))
    # Two fifths of 8,000 MiB are 32 MiB for each of 100 tasks: three blocks.
    assert cached_bytes(SIZES, workers, cache="auto", in_ranges=True) == 100 * 3 * 10 * MIB
    assert cached_bytes(SIZES, workers, cache="auto", in_ranges=False) == 0
    small = replace(SIZES, n_bytes=3000 * MIB)
    assert cached_bytes(small, workers, cache="memory", in_ranges=False) == 3000 * MIB
    assert cached_bytes(small, workers, cache=None, in_ranges=False) == 0


@pytest.mark.parametrize(("n_tasks", "expected"), [(1, 0), (2, 2), (8, 8), (9, 9), (64, 16), (65, 24), (10**6, 56)])
def test_results_that_wait_are_a_few_on_each_level(n_tasks, expected):
    assert waiting(n_tasks) == expected


def test_a_fit_that_needs_more_than_the_workers_have_is_refused_before_anything_is_read(store, monkeypatch):
    X = open_zarr(store)
    limited(monkeypatch, Worker(4000 * MIB, 1), Worker(500 * MIB, 16))
    monkeypatch.setattr("daskgmm.storage.zarr_rows.ZarrRows.__getitem__", None)
    with pytest.raises(MemoryLimitError, match=r"needs [\d,]+ MiB .* 500 MiB are there: .* 16 threads") as refusal:
        GaussianMixture(2).fit(X)
    for remedy in ("--memory-limit", "--threads-per-worker", "smaller chunks", "fewer components", "init_size"):
        assert remedy in str(refusal.value)
    assert isinstance(refusal.value, MemoryError)


def test_a_block_that_fits_no_worker_is_refused_as_such(monkeypatch):
    X = da.zeros((10_000_000, 8), chunks=(5_000_000, 8))
    limited(monkeypatch, Worker(400 * MIB, 1))
    with pytest.raises(MemoryLimitError, match=r"400 MiB are there: one block of 305 MiB does not fit"):
        GaussianMixture(2).fit(X)


def test_a_plan_that_does_not_fit_says_so_and_reads_nothing(store, monkeypatch):
    X = open_zarr(store)
    limited(monkeypatch, Worker(300 * MIB, 4))
    monkeypatch.setattr("daskgmm.storage.zarr_rows.ZarrRows.__getitem__", None)
    planned = plan(X, 2)
    assert isinstance(planned, FitPlan)
    assert planned.memory.limit == 300 * MIB < planned.memory.needed <= planned.peak_memory
    assert planned.timing is planned.expected_seconds is None
    with pytest.raises(MemoryLimitError, match="300 MiB are there"):
        planned.check()


def test_a_cluster_is_planned_for_where_it_is(client, store):
    X = open_zarr(store)
    (limit,) = {worker["memory_limit"] for worker in client.scheduler_info()["workers"].values()}
    planned = plan(X, 2)
    assert (planned.n_workers, planned.n_threads, planned.memory.limit) == (2, 2, limit)
    assert planned.memory.retained == 0
    assert planned.timing.compute_seconds > 0
    assert plan(da.ones((1000, 2), chunks=(500, 2)), 2).timing.n_rows == 500


def test_runs_that_share_a_pass_hold_a_result_each(store):
    X = open_zarr(store)
    one = plan(X, 2, acceleration=None).memory.results
    three = plan(X, 2, acceleration=None, n_init=3).memory.results
    assert one < three <= 3 * one
