from __future__ import annotations

import pickle

import dask.array as da
import numpy as np
import pytest
import zarr

from daskgmm import open_zarr
from daskgmm.storage.dataset import as_row_blocks
from daskgmm.storage.stored_blocks import STREAMED_BYTES

ROWS = np.arange(4200.0).reshape(1050, 4)


@pytest.fixture
def store(tmp_path):
    zarr.create_array(tmp_path / "rows.zarr", data=ROWS, chunks=(100, 4))
    return tmp_path / "rows.zarr"


def stored(X, sample_weight=None):
    return as_row_blocks(X, sample_weight).stored


def test_the_rows_come_back_block_by_block(store):
    blocks = stored(open_zarr(store, chunks=200))
    assert blocks.n_blocks == 6
    assert blocks.block_bytes == 200 * 4 * 8
    assert [blocks.start(block) for block in range(6)] == [0, 200, 400, 600, 800, 1000]
    np.testing.assert_array_equal(np.concatenate([blocks.read(block) for block in range(6)]), ROWS)


def test_blocks_can_be_read_in_another_process(store):
    blocks = pickle.loads(pickle.dumps(stored(store)))
    np.testing.assert_array_equal(blocks.read(0), ROWS)


@pytest.mark.parametrize("chunk_rows", [1_000, 10**6, 3 * 10**6])
def test_blocks_are_whole_chunks_of_about_the_size_wanted(tmp_path, chunk_rows):
    zarr.create_array(tmp_path / "rows.zarr", shape=(10**8, 8), chunks=(chunk_rows, 8), dtype="f4")
    blocks = stored(open_zarr(tmp_path / "rows.zarr", missing_chunks="fill"))
    assert blocks.step % chunk_rows == 0
    assert blocks.block_bytes <= max(STREAMED_BYTES, chunk_rows * 32)
    assert blocks.block_bytes > STREAMED_BYTES / 2


def test_little_data_make_blocks_for_several_threads(tmp_path):
    zarr.create_array(tmp_path / "rows.zarr", shape=(10**7, 8), chunks=(10**4, 8), dtype="f8")
    blocks = stored(open_zarr(tmp_path / "rows.zarr", missing_chunks="fill"))
    assert 60 <= blocks.n_blocks <= 80


def test_the_store_says_whether_reading_is_dear(tmp_path, store):
    zarr.create_array(tmp_path / "plain.zarr", data=ROWS, chunks=(100, 4), compressors=None)
    zarr.create_array("memory://plain.zarr", data=ROWS, chunks=(100, 4), compressors=None, overwrite=True)
    assert stored(store).is_dear
    assert not stored(tmp_path / "plain.zarr").is_dear
    assert stored("memory://plain.zarr").is_dear


def test_a_chunk_that_was_not_read_is_named(store):
    (store / "c" / "4" / "0").write_bytes(b"nonsense")
    blocks = stored(open_zarr(store, chunks=200))
    with pytest.raises(OSError, match="c/4/0"):
        blocks.read(2)


@pytest.mark.parametrize(
    "changed",
    [
        lambda X: X[:500],
        lambda X: X[:, :2],
        lambda X: X * 1.0,
        lambda X: X.rechunk((300, 4)),
        lambda X: da.concatenate([X, X]),
        lambda X: X.persist(),
    ],
    ids=["rows", "features", "numbers", "blocks", "joined", "persisted"],
)
def test_an_array_that_was_changed_keeps_its_blocks(store, changed):
    assert stored(changed(open_zarr(store, chunks=200))) is None


def test_other_arrays_are_not_stored():
    assert stored(da.from_array(ROWS, chunks=(100, 4))) is None
    assert stored(ROWS) is None


def test_weights_are_in_dasks_blocks(store):
    assert stored(store, np.ones(1050)) is None
