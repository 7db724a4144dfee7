from __future__ import annotations

import threading
from dataclasses import dataclass, field

import dask
import dask.array as da
import numpy as np
import pytest
from numpy.testing import assert_array_equal

from daskgmm.engine.rows import map_rows, rows_here, store_rows, stream_rows
from daskgmm.errors import RowError
from tests.watched import CountedRecord, WatchedArray, count_rebuilt, counts_reset, watched_computes


def scaled_sums(rows, factor):
    return factor * rows.sum(axis=1)


def pairs(rows, factor):
    return np.column_stack([rows[:, 0], factor * rows[:, 0]])


def sums_beside_a_record(rows, record):
    return rows.sum(axis=1)


def fails(rows, argument):
    raise AssertionError("must not run")


def blames_one_row(rows, argument):
    bad = np.flatnonzero(rows[:, 0] == 10)
    if len(bad):
        raise RowError("is bad", 0, int(bad[0]))
    return rows[:, 0]


@pytest.fixture
def values():
    return np.arange(24.0).reshape(12, 2)


def test_one_entry_per_row_is_chunked_as_the_rows(values):
    lazy = map_rows(da.from_array(values, chunks=((5, 4, 3), 2)), scaled_sums, 2.0, dtype=np.float64)
    assert lazy.chunks == ((5, 4, 3),)
    assert lazy.dtype == np.float64
    assert_array_equal(lazy.compute(), 2 * values.sum(axis=1))


def test_several_entries_per_row_are_chunked_as_the_rows(values):
    lazy = map_rows(da.from_array(values, chunks=((5, 4, 3), 2)), pairs, 3.0, dtype=np.float64, n_columns=2)
    assert lazy.chunks == ((5, 4, 3), (2,))
    assert_array_equal(lazy.compute(), values[:, :1] * [1.0, 3.0])


def test_nothing_is_computed_before_it_is_asked_for(values):
    with watched_computes() as computes:
        map_rows(da.from_array(values, chunks=(5, 2)), fails, None, dtype=np.float64)
    assert computes == []


def test_dtype_and_meta_are_those_announced(values):
    lazy = map_rows(da.from_array(values, chunks=(5, 2)), sums_beside_a_record, None, dtype=np.int64)
    assert lazy.dtype == lazy._meta.dtype == np.int64
    assert lazy._meta.ndim == 1


@pytest.mark.parametrize("n_columns", [None, 2])
def test_blocks_of_unknown_size_stay_unknown(values, n_columns):
    rows = da.from_array(values, chunks=(5, 2))
    rows = rows[rows[:, 0] > 4]
    function = scaled_sums if n_columns is None else pairs
    lazy = map_rows(rows, function, 1.0, dtype=np.float64, n_columns=n_columns)
    assert np.isnan(lazy.shape[0])
    assert_array_equal(lazy.compute(), function(values[values[:, 0] > 4], 1.0))


@pytest.mark.parametrize("n_columns", [None, 2])
def test_empty_blocks_give_empty_blocks(values, n_columns):
    rows = da.from_array(values, chunks=((0, 5, 0, 7), 2))
    function = scaled_sums if n_columns is None else pairs
    lazy = map_rows(rows, function, 1.0, dtype=np.float64, n_columns=n_columns)
    assert lazy.chunks[0] == (0, 5, 0, 7)
    assert_array_equal(lazy.compute(), function(values, 1.0))


def test_a_slice_reads_only_its_blocks(values):
    watched = WatchedArray(values)
    lazy = map_rows(watched.as_dask(3), scaled_sums, 1.0, dtype=np.float64)
    assert_array_equal(lazy[4:6].compute(), values[4:6].sum(axis=1))
    assert watched.n_reads == 1


def test_a_blamed_row_is_named_by_its_place_in_the_data(values):
    lazy = map_rows(da.from_array(values, chunks=(3, 2)), blames_one_row, None, dtype=np.float64)
    with pytest.raises(RowError, match=r"row 5 \(row 2 of block 1\): is bad"):
        lazy.compute()


def test_a_blamed_row_is_named_by_its_place_in_the_data_on_a_cluster(client, values):
    lazy = map_rows(da.from_array(values, chunks=(3, 2)), blames_one_row, None, dtype=np.float64)
    with pytest.raises(RowError, match=r"row 5 \(row 2 of block 1\): is bad"):
        lazy.compute()


def test_a_blamed_row_behind_blocks_of_unknown_size_is_named_by_its_block(values):
    rows = da.from_array(values, chunks=(3, 2))
    lazy = map_rows(rows[rows[:, 0] > -1], blames_one_row, None, dtype=np.float64)
    with dask.config.set(scheduler="synchronous"), pytest.raises(RowError, match=r"^row 2 of block 1: is bad"):
        lazy.compute()


@pytest.mark.parametrize("n_columns", [None, 2])
def test_no_more_blocks_are_alive_than_are_worked_on(values, n_columns):
    watched, target = WatchedArray(np.tile(values, (20, 1))), np.zeros((240, n_columns) if n_columns else 240)
    function = scaled_sums if n_columns is None else pairs
    lazy = map_rows(watched.as_dask(6), function, 1.0, dtype=np.float64, n_columns=n_columns)
    with dask.config.set(scheduler="threads", num_workers=2):
        store_rows(lazy, target)
    assert watched.n_reads == 40
    assert watched.most_alive <= 2


@pytest.mark.parametrize("n_columns", [None, 2])
def test_blocks_are_handed_over_without_a_copy(values, n_columns):
    watched, handed = WatchedArray(values), []

    def function(rows, argument):
        handed.append(watched.handed_out(rows))
        return scaled_sums(rows, 1.0) if n_columns is None else pairs(rows, 1.0)

    map_rows(watched.as_dask(5), function, None, dtype=np.float64, n_columns=n_columns).compute(scheduler="synchronous")
    assert handed == [True, True, True]


def test_the_argument_is_sent_to_each_worker_once(client):
    client.run(counts_reset)
    map_rows(da.zeros((400, 2), chunks=(10, 2)), sums_beside_a_record, CountedRecord(), dtype=np.float64).compute()
    assert all(count <= 1 for count in client.run(count_rebuilt).values())


def test_two_results_of_the_same_rows_do_not_share_names(values):
    rows = da.from_array(values, chunks=(5, 2))
    one, other = (map_rows(rows, scaled_sums, factor, dtype=np.float64) for factor in (1.0, 2.0))
    both = dask.compute(one, other)
    assert_array_equal(both[1], 2 * both[0])


def test_rows_here_are_computed_on_this_process_with_one_blas_thread(values):
    watched = WatchedArray(values)
    with watched_computes() as computes:
        result = rows_here(map_rows(watched.as_dask(5), scaled_sums, 1.0, dtype=np.float64))
    assert isinstance(result, np.ndarray)
    assert_array_equal(result, values.sum(axis=1))
    assert computes == []
    assert watched.blas_threads == {1}


def test_results_are_stored_block_by_block(values):
    watched, target = WatchedArray(np.tile(values, (10, 1))), np.zeros(120)
    with dask.config.set(scheduler="threads", num_workers=2), watched_computes() as computes:
        store_rows(map_rows(watched.as_dask(6), scaled_sums, 1.0, dtype=np.float64), target)
    assert_array_equal(target, watched.values.sum(axis=1))
    assert len(computes) == 1
    assert watched.n_reads == 20


@dataclass(frozen=True, eq=False)
class Reader:
    """Blocks of `step` rows of an array."""

    source: WatchedArray | np.ndarray
    step: int
    is_dear: bool = False

    @property
    def n_blocks(self) -> int:
        return -(-self.source.shape[0] // self.step)

    @property
    def block_bytes(self) -> int:
        return self.step * self.source.shape[1] * 8

    def start(self, block: int) -> int:
        return block * self.step

    def read(self, block: int) -> np.ndarray:
        return self.source[self.start(block) : self.start(block) + self.step]


@dataclass(frozen=True, eq=False)
class Target:
    """Keeps what it is assigned and where."""

    values: np.ndarray
    spans: list[slice] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __setitem__(self, key: slice, values: np.ndarray) -> None:
        with self.lock:
            self.spans.append(key)
            self.values[key] = values


class RaisingTarget:
    """Refuses the first row, and says where it is asked to from another process."""

    def __setitem__(self, key: slice, values: np.ndarray) -> None:
        if key.start == 0:
            raise OSError("the disk is full")


@pytest.mark.parametrize("chunk_rows", [6, 2])
@pytest.mark.parametrize("n_columns", [None, 2])
def test_a_reader_is_streamed_into_a_target_chunk_by_chunk(values, n_columns, chunk_rows):
    watched = WatchedArray(np.tile(values, (20, 1))[:-1])
    target = Target(np.zeros((239, n_columns) if n_columns else 239))
    function = scaled_sums if n_columns is None else pairs
    with dask.config.set(scheduler="threads", num_workers=2), watched_computes() as computes:
        stream_rows(Reader(watched, 6), function, 3.0, target, chunk_rows=chunk_rows)
    assert_array_equal(target.values, function(watched.values, 3.0))
    assert all(span.start % chunk_rows == 0 and span.stop - span.start <= chunk_rows for span in target.spans)
    assert len(target.spans) == -(-239 // chunk_rows)
    assert len(computes) == 1
    assert watched.n_reads == 40


def test_a_task_that_streams_holds_two_blocks(values):
    watched = WatchedArray(np.tile(values, (100, 1)))
    with dask.config.set(scheduler="synchronous", num_workers=1):
        stream_rows(Reader(watched, 6), scaled_sums, 1.0, Target(np.zeros(1200)), chunk_rows=3)
    assert watched.n_reads == 200
    assert watched.most_alive <= 2


@pytest.mark.parametrize("chunk_rows", [6, 2])
def test_a_blamed_row_of_a_stream_is_named_by_its_place_in_the_data(values, chunk_rows):
    reader = Reader(np.concatenate([np.ones((24, 2)), values]), 6)
    with pytest.raises(RowError, match=r"row 29 \(row 5 of block 4\): is bad"):
        stream_rows(reader, blames_one_row, None, Target(np.zeros(36)), chunk_rows=chunk_rows)


def test_a_cluster_streams_with_the_argument_sent_once(client, values):
    client.run(counts_reset)
    reader = Reader(np.tile(values, (100, 1)), 6)
    with pytest.raises(OSError, match="the disk is full"):
        stream_rows(reader, sums_beside_a_record, CountedRecord(), RaisingTarget(), chunk_rows=6)
    assert all(count <= 1 for count in client.run(count_rebuilt).values())
