from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields

import dask
import dask.array as da
import numpy as np
import pytest
from distributed import Client, LocalCluster

from daskgmm import GaussianMixture
from daskgmm.engine.parts import parts_of_blocks
from daskgmm.engine.sweep import FAN_IN, sweep
from daskgmm.errors import RowError
from daskgmm.kernels.blas import e_step
from daskgmm.mixture.parameters import MixtureParameters
from daskgmm.mixture.statistics import SufficientStatistics
from tests.drawn import draw
from tests.watched import CountedRecord, Trail, WatchedArray, bits, count_rebuilt, counts_reset, watched_computes

SCHEDULERS = {
    "synchronous": {"scheduler": "synchronous"},
    "1 thread": {"scheduler": "threads", "num_workers": 1},
    "2 threads": {"scheduler": "threads", "num_workers": 2},
    "4 threads": {"scheduler": "threads", "num_workers": 4},
}
ON_SCHEDULERS = pytest.mark.parametrize("scheduler", SCHEDULERS.values(), ids=SCHEDULERS.keys())


def trail(rows, weights, argument, block):
    return Trail((block,), len(rows), () if weights is None else (weights.sum(),))


def statistics_of(rows, weights, parameters, block):
    return e_step(rows, weights, parameters)


def thirds(rows, weights, argument, block):
    """Sums whose rounding shows in which order they were added."""
    return Sum(float((rows / 3.0).sum()))


class Sum(float):
    def merge(self, other):
        return Sum(self + other)


def blames_row_three_of_block_two(rows, weights, argument, block):
    if block == 2:
        raise RowError("is bad", 0, 3)
    return trail(rows, weights, argument, block)


def zeros(n_rows, block_rows, n_features=2):
    return da.zeros((n_rows, n_features), chunks=(block_rows, n_features))


def with_unknown_sizes(rows):
    return rows[rows[:, 0] > -np.inf]


@pytest.fixture
def drawn_full():
    return draw("full", n_rows=2_000)


@pytest.fixture
def parameters(drawn_full):
    return MixtureParameters.from_covariances(
        weights=drawn_full.weights,
        means=drawn_full.means,
        covariances=drawn_full.covariances,
        covariance_type="full",
    )


def statistics_bits(statistics: SufficientStatistics) -> bytes:
    return bits(*(getattr(statistics, field.name) for field in fields(statistics) if field.name != "covariance_type"))


def fit_bits(rows) -> bytes:
    """A whole fit: first look, sample, k-means, EM on the sample and over the data."""
    model = GaussianMixture(3, random_state=7, init_size=300, tol=1e-4).fit(rows)
    return bits(
        model.weights_, model.means_, model.covariances_, model.precisions_cholesky_, model.lower_bounds_, model.n_iter_
    )


@pytest.mark.parametrize("n_blocks", [1, 2, FAN_IN - 1, FAN_IN, FAN_IN + 1, FAN_IN**2 + 1])
@ON_SCHEDULERS
def test_results_are_merged_in_the_order_of_the_blocks(scheduler, n_blocks):
    with dask.config.set(scheduler):
        result = sweep(parts_of_blocks(zeros(3 * n_blocks, 3)), trail, None)
    assert result.blocks == tuple(range(n_blocks))
    assert result.n_rows == 3 * n_blocks


def test_results_are_merged_in_the_order_of_the_blocks_on_a_cluster(client):
    assert sweep(parts_of_blocks(zeros(120, 3)), trail, None).blocks == tuple(range(40))


def test_weights_go_with_their_rows():
    weights = da.arange(12, chunks=3)
    assert sweep(parts_of_blocks(zeros(12, 3), weights), trail, None).log == (3, 12, 21, 30)


def test_the_argument_reaches_every_block():
    def function(rows, weights, argument, block):
        return Trail((block,), log=(argument["name"],))

    assert sweep(parts_of_blocks(zeros(6, 3)), function, {"name": "it"}).log == ("it", "it")


@pytest.mark.parametrize(
    "argument",
    [(1, 2), [1, 2], {"a": [da.zeros]}, None, np.arange(3), "block-0"],
    ids=lambda value: type(value).__name__,
)
def test_the_argument_is_not_looked_into(argument):
    def function(rows, weights, received, block):
        return Trail((block,), log=(received is argument,))

    with dask.config.set(scheduler="threads"):
        assert sweep(parts_of_blocks(zeros(6, 3)), function, argument).log == (True, True)


@ON_SCHEDULERS
def test_sums_have_the_same_bits_on_any_number_of_threads(scheduler, generator):
    rows = da.from_array(generator.normal(size=(999, 2)), chunks=(7, 2))
    with dask.config.set(scheduler="synchronous"):
        expected = sweep(parts_of_blocks(rows), thirds, None)
    with dask.config.set(scheduler):
        assert sweep(parts_of_blocks(rows), thirds, None) == expected


@ON_SCHEDULERS
def test_statistics_have_the_same_bits_on_any_number_of_threads(scheduler, drawn_full, parameters):
    rows = da.from_array(drawn_full.rows, chunks=(110, 3))
    with dask.config.set(scheduler="synchronous"):
        expected = sweep(parts_of_blocks(rows), statistics_of, parameters)
    with dask.config.set(scheduler):
        assert statistics_bits(sweep(parts_of_blocks(rows), statistics_of, parameters)) == statistics_bits(expected)


@pytest.fixture
def solo_bits(drawn_full):
    with dask.config.set(scheduler="synchronous"):
        return fit_bits(da.from_array(drawn_full.rows, chunks=(110, 3)))


@ON_SCHEDULERS
def test_a_fit_has_the_same_bits_on_any_number_of_threads(scheduler, drawn_full, solo_bits):
    with dask.config.set(scheduler):
        assert fit_bits(da.from_array(drawn_full.rows, chunks=(110, 3))) == solo_bits


def test_a_fit_has_the_same_bits_on_two_workers(client, drawn_full, solo_bits):
    assert fit_bits(da.from_array(drawn_full.rows, chunks=(110, 3))) == solo_bits


@pytest.mark.slow
@pytest.mark.parametrize(("n_workers", "threads_per_worker"), [(1, 1), (1, 2), (4, 1)])
def test_a_fit_has_the_same_bits_on_any_number_of_workers(n_workers, threads_per_worker, drawn_full, solo_bits):
    with (
        LocalCluster(
            n_workers=n_workers,
            threads_per_worker=threads_per_worker,
            processes=True,
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",
        ) as cluster,
        Client(cluster, timeout="30s"),
    ):
        assert fit_bits(da.from_array(drawn_full.rows, chunks=(110, 3))) == solo_bits


def test_a_fit_inside_a_workers_task_has_the_same_bits(client, drawn_full, solo_bits):
    def fit_there(rows):
        return fit_bits(da.from_array(rows, chunks=(110, 3)))

    assert client.submit(fit_there, drawn_full.rows, pure=False).result(timeout=60) == solo_bits


def test_fits_inside_tasks_of_all_workers_at_once_do_not_wait_for_each_other(client, drawn_full, solo_bits):
    def fit_there(rows, number):
        return fit_bits(da.from_array(rows, chunks=(110, 3)))

    futures = [client.submit(fit_there, drawn_full.rows, number, pure=False) for number in range(3)]
    assert client.gather(futures) == [solo_bits] * 3


def fits_at_once(drawn_full):
    rows = da.from_array(drawn_full.rows, chunks=(110, 3))
    other = da.from_array(drawn_full.rows[::-1].copy(), chunks=(170, 3))
    alone = [fit_bits(rows), fit_bits(other)]
    with ThreadPoolExecutor(2) as pool:
        return alone, list(pool.map(fit_bits, [rows, other]))


def test_two_fits_at_once_on_threads_have_the_bits_of_each_alone(drawn_full):
    alone, together = fits_at_once(drawn_full)
    assert together == alone


def test_two_fits_at_once_on_a_cluster_have_the_bits_of_each_alone(client, drawn_full):
    alone, together = fits_at_once(drawn_full)
    assert together == alone


def test_a_sweep_is_one_compute(drawn_full, parameters):
    with watched_computes() as computes:
        sweep(parts_of_blocks(da.from_array(drawn_full.rows, chunks=(100, 3))), statistics_of, parameters)
    assert len(computes) == 1


def test_every_pass_of_a_fit_is_one_compute(drawn_full):
    with watched_computes() as computes:
        model = GaussianMixture(3, random_state=0, acceleration=None).fit(
            da.from_array(drawn_full.rows, chunks=(100, 3))
        )
    assert len(computes) == model.n_passes_ == model.n_iter_ + 1


def test_every_block_is_read_once_a_pass(drawn_full):
    watched = WatchedArray(drawn_full.rows)
    model = GaussianMixture(3, random_state=0, cache=None).fit(watched.as_dask(100))
    assert watched.n_reads == 20 * model.n_passes_


def test_reading_and_computing_are_one_task_per_block():
    with watched_computes() as computes:
        sweep(parts_of_blocks(WatchedArray(np.zeros((400, 2))).as_dask(10)), trail, None)
    (graph,) = computes
    of_blocks = [key for key in graph if isinstance(key, tuple)]
    # 40 blocks and 5 merges of 8 each; the last merge, the argument and the store itself come once.
    assert len(of_blocks) == 40 + 5
    assert len(graph) - len(of_blocks) <= 4


@pytest.mark.parametrize("n_threads", [1, 2, 4])
@pytest.mark.parametrize("weighted", [False, True])
def test_no_more_blocks_are_alive_than_are_worked_on(n_threads, weighted, parameters, drawn_full):
    watched = WatchedArray(np.tile(drawn_full.rows, (2, 1)))
    weights = da.ones(4_000, chunks=50) if weighted else None
    with dask.config.set(scheduler="threads", num_workers=n_threads):
        sweep(parts_of_blocks(watched.as_dask(50), weights), statistics_of, parameters)
    assert watched.n_reads == 80
    assert watched.most_alive <= n_threads


def test_weights_that_are_read_do_not_pile_up(parameters, drawn_full):
    watched = WatchedArray(np.ones(4_000))
    rows = WatchedArray(np.tile(drawn_full.rows, (2, 1))).as_dask(50)
    with dask.config.set(scheduler="threads", num_workers=2):
        sweep(parts_of_blocks(rows, watched.as_dask(50)), statistics_of, parameters)
    assert watched.most_alive <= 4


@pytest.mark.parametrize("payload", [b"", bytes(2**20)], ids=["small", "1 MiB"])
def test_the_argument_is_sent_to_each_worker_once_not_to_each_block(client, payload):
    client.run(counts_reset)
    sweep(parts_of_blocks(zeros(400, 10)), trail, CountedRecord(payload))
    per_worker = client.run(count_rebuilt)
    assert len(per_worker) == 2
    assert all(count <= 1 for count in per_worker.values())


def test_the_graph_that_is_sent_holds_the_argument_once(client):
    counts_reset()
    sweep(parts_of_blocks(zeros(20, 10)), trail, CountedRecord())
    for_two_blocks = CountedRecord.n_pickled
    counts_reset()
    sweep(parts_of_blocks(zeros(400, 10)), trail, CountedRecord())
    assert CountedRecord.n_pickled == for_two_blocks


@ON_SCHEDULERS
def test_a_blamed_row_is_named_by_its_place_in_the_data(scheduler):
    with dask.config.set(scheduler), pytest.raises(RowError, match=r"row 23 \(row 3 of block 2\): is bad") as caught:
        sweep(parts_of_blocks(zeros(50, 10)), blames_row_three_of_block_two, None)
    assert (caught.value.block, caught.value.row, caught.value.block_start) == (2, 3, 20)


def test_a_blamed_row_is_named_by_its_place_in_the_data_on_a_cluster(client):
    with pytest.raises(RowError, match=r"row 23 \(row 3 of block 2\): is bad"):
        sweep(parts_of_blocks(zeros(50, 10)), blames_row_three_of_block_two, None)


def test_a_blamed_row_behind_blocks_of_unknown_size_is_named_by_its_block():
    with pytest.raises(RowError, match=r"^row 3 of block 2: is bad") as caught:
        sweep(parts_of_blocks(with_unknown_sizes(zeros(50, 10))), blames_row_three_of_block_two, None)
    assert caught.value.block_start is None


def test_other_errors_come_through_unchanged():
    def fails(rows, weights, argument, block):
        raise LookupError(f"block {block}")

    with pytest.raises(LookupError, match="block 0"):
        sweep(parts_of_blocks(zeros(3, 3)), fails, None)


def test_block_start_counts_the_rows_before():
    rows = da.zeros((60, 1), chunks=((10, 0, 20, 30), 1))
    assert [parts_of_blocks(rows).start(block) for block in range(4)] == [0, 10, 10, 30]


def test_block_start_is_unknown_behind_unknown_sizes():
    rows = with_unknown_sizes(zeros(20, 10))
    assert parts_of_blocks(rows).start(0) == 0
    assert parts_of_blocks(rows).start(1) is None


def test_unknown_sizes_make_no_difference(drawn_full, parameters):
    rows = da.from_array(drawn_full.rows, chunks=(110, 3))
    known = sweep(parts_of_blocks(rows), statistics_of, parameters)
    unknown = sweep(parts_of_blocks(with_unknown_sizes(rows)), statistics_of, parameters)
    assert statistics_bits(unknown) == statistics_bits(known)


def test_unknown_sizes_with_weights_make_no_difference(drawn_full, parameters):
    rows = da.from_array(drawn_full.rows, chunks=(110, 3))
    weights = da.from_array(np.linspace(0, 2, 2_000), chunks=110)
    known = sweep(parts_of_blocks(rows, weights), statistics_of, parameters)
    kept = rows[:, 0] > -np.inf
    unknown = sweep(parts_of_blocks(rows[kept], weights[kept]), statistics_of, parameters)
    assert statistics_bits(unknown) == statistics_bits(known)


def test_empty_blocks_add_nothing(drawn_full, parameters):
    rows = da.from_array(drawn_full.rows, chunks=((500, 1_500), 3))
    padded = da.from_array(drawn_full.rows, chunks=((0, 500, 0, 0, 1_500, 0), 3))
    expected = sweep(parts_of_blocks(rows), statistics_of, parameters)
    assert statistics_bits(sweep(parts_of_blocks(padded), statistics_of, parameters)) == statistics_bits(expected)


def test_blocks_emptied_by_a_filter_add_nothing(drawn_full, parameters):
    numbered = np.column_stack([drawn_full.rows, np.arange(2_000)])
    rows = da.from_array(numbered, chunks=(100, 4))
    late = rows[rows[:, 3] >= 1_000][:, :3]
    expected = e_step(drawn_full.rows[1_000:], None, parameters)
    result = sweep(parts_of_blocks(late), statistics_of, parameters)
    assert result.n_samples == 1_000
    np.testing.assert_allclose(result.second, expected.second, rtol=1e-12)


def test_rows_that_are_here_are_not_sent_to_the_ambient_scheduler():
    with watched_computes() as computes:
        assert sweep(parts_of_blocks(zeros(6, 3), local=True), trail, None).blocks == (0, 1)
    assert computes == []


def test_sweeps_on_local_rows_in_two_threads_leave_the_ambient_scheduler_as_it_was():
    first_runs, second_runs, first_is_done = threading.Event(), threading.Event(), threading.Event()

    def first(rows, weights, argument, block):
        first_runs.set()
        assert second_runs.wait(30)
        return Trail((block,))

    def second(rows, weights, argument, block):
        second_runs.set()
        assert first_is_done.wait(30)
        return Trail((block,))

    with ThreadPoolExecutor(2) as pool:
        one = pool.submit(sweep, parts_of_blocks(zeros(1, 1), local=True), first, None)
        assert first_runs.wait(30)
        other = pool.submit(sweep, parts_of_blocks(zeros(1, 1), local=True), second, None)
        one.result(30)
        first_is_done.set()
        other.result(30)
    assert dask.config.get("scheduler", None) is None
