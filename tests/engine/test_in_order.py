from __future__ import annotations

import threading

import dask.array as da
import numpy as np
import pytest
from numpy.testing import assert_array_equal

from daskgmm.engine.in_order import blocks_in_order
from daskgmm.engine.parts import parts_of_blocks, parts_of_reader
from daskgmm.storage.dataset import as_row_blocks
from tests.readers import Numbers

ROWS = np.arange(20.0).reshape(10, 2)
WEIGHTS = np.arange(10.0)


@pytest.mark.parametrize("local", [True, False])
def test_blocks_come_whole_and_in_order(local):
    rows = as_row_blocks(ROWS, WEIGHTS) if local else as_row_blocks(da.from_array(ROWS, chunks=(3, 2)), WEIGHTS)
    blocks = list(blocks_in_order(parts_of_blocks(rows.rows, rows.weights, local=local)))
    assert [index for index, _, _ in blocks] == list(range(1 if local else 4))
    assert_array_equal(np.concatenate([rows for _, rows, _ in blocks]), ROWS)
    assert_array_equal(np.concatenate([weights for _, _, weights in blocks]), WEIGHTS)


def test_rows_in_memory_are_not_copied():
    ((_, rows, weights),) = blocks_in_order(parts_of_blocks(as_row_blocks(ROWS).rows, local=True))
    assert np.shares_memory(rows, ROWS)
    assert weights is None


def test_no_more_than_the_next_block_is_read_ahead():
    read, lock = [], threading.Lock()

    def noted(rows, block_info=None):
        with lock:
            read.append(block_info[0]["chunk-location"][0])
        return rows

    lazy = da.from_array(ROWS, chunks=(1, 2)).map_blocks(noted, dtype=float, meta=np.empty((0, 0)))
    for index, _, _ in blocks_in_order(parts_of_blocks(lazy)):
        with lock:
            assert len(read) <= index + 2
    assert read == list(range(10))


def test_a_readers_blocks_are_read_once():
    reader = Numbers(10, 4)
    blocks = list(blocks_in_order(parts_of_reader(reader)))
    assert [index for index, _, _ in blocks] == reader.reads == [0, 1, 2]
    assert_array_equal(np.concatenate([rows for _, rows, _ in blocks])[:, 0], np.arange(10))
    assert all(weights is None for _, _, weights in blocks)
