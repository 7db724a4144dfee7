from __future__ import annotations

import os
import pickle

import dask
import dask.array as da
import numpy as np
import pytest
from dask.sizeof import sizeof

from daskgmm.engine.kept_file import KeptFile
from daskgmm.engine.parts import TASKS_A_THREAD, BlockRange, parts_of_blocks, parts_of_reader, range_size
from daskgmm.engine.sweep import sweep
from daskgmm.errors import RowError
from tests.readers import Numbers, thirds
from tests.watched import Trail, watched_computes


def trail(rows, weights, argument, block):
    return Trail((block,), len(rows), (float(rows[0, 0]),))


def blames_row_three_of_block_two(rows, weights, argument, block):
    if block == 2:
        raise RowError("is bad", 0, 3)
    return trail(rows, weights, argument, block)


@pytest.mark.parametrize("n_blocks", [1, 2, 16, 17, 100])
def test_every_block_is_seen_once_in_its_order(n_blocks):
    reader = Numbers(n_blocks * 5 - 2, 5)
    with dask.config.set(num_workers=2):
        result = sweep(parts_of_reader(reader), trail, None)
    assert result.blocks == tuple(range(n_blocks))
    assert result.n_rows == reader.n_rows
    assert sorted(reader.reads) == list(range(n_blocks))


def test_blocks_are_streamed_on_a_cluster(client):
    assert sweep(parts_of_reader(Numbers(500, 5)), trail, None).log == tuple(float(i) for i in range(0, 500, 5))


def test_sums_have_the_same_bits_however_blocks_are_grouped_into_tasks():
    rows = np.arange(997.0)[:, None]
    expected = sweep(parts_of_blocks(da.from_array(rows, chunks=(3, 1))), thirds, None)
    for n_threads in (1, 2, 3, 8, 50):
        with dask.config.set(num_workers=n_threads):
            assert sweep(parts_of_reader(Numbers(997, 3)), thirds, None) == expected


def test_sums_have_the_same_bits_on_a_cluster(client):
    expected = sweep(parts_of_blocks(da.from_array(np.arange(997.0)[:, None], chunks=(3, 1))), thirds, None)
    assert sweep(parts_of_reader(Numbers(997, 3)), thirds, None) == expected


@pytest.mark.parametrize("n_threads", [1, 2, 5])
def test_the_number_of_tasks_follows_from_the_threads_not_from_the_blocks(n_threads):
    with dask.config.set(num_workers=n_threads), watched_computes() as computes:
        for n_blocks in (1_000, 5_000):
            sweep(parts_of_reader(Numbers(n_blocks, 1)), trail, None)
    sizes = [len(graph) for graph in computes]
    # Ranges, functions on them, and merges of eight; the argument, the reader and the last merge come once.
    most = 2 * TASKS_A_THREAD * n_threads
    assert all(TASKS_A_THREAD * n_threads <= size <= 3 * most + 8 for size in sizes)


@pytest.mark.parametrize(
    ("n_blocks", "n_threads", "size"),
    [(1, 1, 1), (7, 1, 1), (8, 1, 2), (15, 1, 2), (16, 1, 2), (31, 1, 2), (32, 1, 4), (10**6, 8, 8192)],
)
def test_a_task_has_a_power_of_two_of_blocks(n_blocks, n_threads, size):
    assert range_size(n_blocks, n_threads) == size


def test_a_task_holds_two_blocks_at_a_time():
    reader = Numbers(10_000, 10)
    with dask.config.set(scheduler="synchronous"):
        sweep(parts_of_reader(reader), trail, None)
    assert reader.most_alive[0] <= 2


def test_a_blamed_row_is_named_by_its_place_in_the_data():
    with pytest.raises(RowError, match=r"row 23 \(row 3 of block 2\): is bad"):
        sweep(parts_of_reader(Numbers(50, 10)), blames_row_three_of_block_two, None)


def test_a_task_is_named_by_its_rows_and_blocks():
    with dask.config.set(num_workers=1):
        stored = parts_of_reader(Numbers(70, 2))
    size = stored.blocks_a_task
    assert stored.array.numblocks[0] == -(-35 // size)
    assert stored.place(0) == f"rows 0 to {2 * size - 1} (blocks 0 to {size - 1})"
    # The last task has the blocks that are left.
    assert stored.place(35 // size) == f"rows {35 // size * size * 2} to 69 (blocks {35 // size * size} to 34)"
    rows = da.ones((10, 2), chunks=((3, 3, 4), 2))
    assert parts_of_blocks(rows).place(2) == "rows 6 to 9 (block 2)"
    assert parts_of_blocks(rows[rows[:, 0] > 0]).place(1) == "block 1"


def test_a_range_reads_only_what_it_does_not_hold():
    reader = Numbers(50, 10)
    kept = (reader.read(1), reader.read(2))
    reader.reads.clear()
    blocks = dict(BlockRange(1, 5, kept).blocks(reader))
    assert [rows[0, 0] for rows in blocks.values()] == [10.0, 20.0, 30.0, 40.0]
    assert list(blocks) == [1, 2, 3, 4]
    assert sorted(reader.reads) == [3, 4]


def test_dask_knows_what_a_range_holds_in_memory(tmp_path):
    rows = np.zeros((1000, 10))
    assert sizeof(BlockRange(0, 2, (rows, rows))) == pytest.approx(160_000, rel=0.01)
    assert sizeof(BlockRange(0, 2, (KeptFile(rows, tmp_path),))) < 1_000


def test_rows_in_memory_travel_with_a_range_and_files_stay_behind(tmp_path):
    rows = np.arange(20.0).reshape(10, 2)
    file = KeptFile(rows, tmp_path)
    (copy,) = pickle.loads(pickle.dumps(BlockRange(3, 5, (rows,)))).kept
    np.testing.assert_array_equal(copy, rows)
    there = pickle.loads(pickle.dumps(BlockRange(3, 6, (rows, file, rows))))
    assert (there.first, there.stop, len(there.kept)) == (3, 6, 1)


def test_a_range_reads_its_files(tmp_path):
    reader = Numbers(50, 10)
    kept = (reader.read(1), KeptFile(reader.read(2), tmp_path), reader.read(3))
    reader.reads.clear()
    blocks = dict(BlockRange(1, 5, kept).blocks(reader))
    assert [rows[0, 0] for rows in blocks.values()] == [10.0, 20.0, 30.0, 40.0]
    assert reader.reads == [4]


@pytest.mark.parametrize("dtype", ["f4", "f8", "i2"])
@pytest.mark.parametrize("n_rows", [0, 1, 1000])
def test_a_file_gives_back_its_rows(tmp_path, n_rows, dtype):
    rows = np.arange(3 * n_rows).reshape(n_rows, 3).astype(dtype)
    file = KeptFile(rows, tmp_path)
    assert list(tmp_path.iterdir()) == []
    for _ in range(2):
        again = file.read()
        assert again.dtype == rows.dtype
        np.testing.assert_array_equal(again, rows)


def test_a_file_is_closed_when_nobody_holds_it(tmp_path):
    file = KeptFile(np.zeros((3, 2)), tmp_path)
    descriptor = file._descriptor
    del file
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)
