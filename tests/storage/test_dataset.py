from __future__ import annotations

import json
import tracemalloc
import uuid
from pathlib import Path

import dask
import dask.array as da
import numpy as np
import pytest
import scipy.sparse
import zarr

from daskgmm.engine.workers import Worker
from daskgmm.errors import (
    ChunkReadError,
    InputDataError,
    InputTypeError,
    MissingChunksError,
    ParameterError,
    StoreNotFoundError,
)
from daskgmm.storage import dataset
from daskgmm.storage.dataset import as_row_blocks, is_out_of_core, open_zarr

ROWS = np.random.default_rng(0).normal(size=(1050, 4))


@pytest.fixture
def store(tmp_path) -> Path:
    zarr.create_array(tmp_path / "rows.zarr", data=ROWS, chunks=(100, 4))
    return tmp_path / "rows.zarr"


@pytest.mark.parametrize(
    "settings",
    [
        {"chunks": (100, 4)},
        {"chunks": (100, 4), "zarr_format": 2},
        {"chunks": (50, 4), "shards": (200, 4)},
        {"chunks": (100, 3)},
        {"chunks": (1, 1), "shards": (1050, 4)},
        {"chunks": (5000, 4)},
        {"chunks": (7, 4), "compressors": None},
    ],
)
def test_every_layout_gives_the_rows(tmp_path, settings):
    zarr.create_array(tmp_path / "rows.zarr", data=ROWS, **settings)
    lazy = open_zarr(tmp_path / "rows.zarr")
    assert lazy.numblocks[1] == 1
    np.testing.assert_array_equal(lazy.compute(), ROWS)


@pytest.mark.parametrize("dtype", ["f2", "f4", ">f8", "i2", "u1", "?"])
def test_real_dtypes_are_kept(tmp_path, dtype):
    zarr.create_array(tmp_path / "rows.zarr", data=np.ones((10, 2), dtype), chunks=(5, 2))
    lazy = open_zarr(tmp_path / "rows.zarr")
    assert lazy.dtype == np.dtype(dtype).newbyteorder("=")
    assert lazy.compute().sum() == 20


def test_a_url_is_opened():
    url = f"memory://{uuid.uuid4().hex}/rows.zarr"
    zarr.create_array(url, data=ROWS, chunks=(100, 4))
    np.testing.assert_array_equal(open_zarr(url).compute(), ROWS)


def test_a_component_of_a_group_is_opened(tmp_path):
    zarr.open_group(tmp_path / "group.zarr", mode="w").create_array("a/b", data=ROWS, chunks=(100, 4))
    np.testing.assert_array_equal(open_zarr(tmp_path / "group.zarr", "a/b").compute(), ROWS)
    with pytest.raises(StoreNotFoundError, match="a/b"):
        open_zarr(tmp_path / "group.zarr")


def test_a_one_dimensional_array_is_one_feature(tmp_path):
    zarr.create_array(tmp_path / "rows.zarr", data=ROWS[:, 0], chunks=(100,))
    np.testing.assert_array_equal(open_zarr(tmp_path / "rows.zarr").compute(), ROWS[:, :1])


def test_small_chunks_are_joined(store):
    assert open_zarr(store).chunks == ((1050,), (4,))


def test_blocks_asked_for_are_whole_chunks(store):
    assert open_zarr(store, chunks=300).chunks == ((300, 300, 300, 150), (4,))
    with pytest.raises(ParameterError, match="nearest allowed: 200 or 300"):
        open_zarr(store, chunks=250)


def test_blocks_asked_for_are_whole_shards(tmp_path):
    zarr.create_array(tmp_path / "rows.zarr", data=ROWS, chunks=(50, 4), shards=(200, 4))
    assert open_zarr(tmp_path / "rows.zarr", chunks=400).chunks == ((400, 400, 250), (4,))
    with pytest.raises(ParameterError, match="nearest allowed: 200"):
        open_zarr(tmp_path / "rows.zarr", chunks=100)


def test_data_of_many_blocks_are_cut_to_the_target(tmp_path):
    zarr.create_array(tmp_path / "rows.zarr", shape=(10**9, 8), chunks=(10**5, 8), dtype="f8")
    lengths = open_zarr(tmp_path / "rows.zarr", missing_chunks="fill").chunks[0]
    assert set(lengths[:-1]) == {2 * 10**6}


def test_the_worker_with_the_least_memory_a_thread_decides(tmp_path, monkeypatch):
    zarr.create_array(tmp_path / "rows.zarr", shape=(10**9, 8), chunks=(10**4, 8), dtype="f8")
    workers = (Worker(2**40, 1), Worker(512 * 2**20, 2), Worker(512 * 2**20, 1))
    monkeypatch.setattr(dataset, "ambient_workers", lambda: workers)
    lengths = open_zarr(tmp_path / "rows.zarr", missing_chunks="fill").chunks[0]
    assert lengths[0] * 64 == pytest.approx(16 * 2**20, rel=0.05)


def test_a_chunk_larger_than_memory_is_refused_before_it_is_read(store):
    path = store / "zarr.json"
    metadata = json.loads(path.read_text())
    metadata["chunk_grid"]["configuration"]["chunk_shape"] = [10**15, 4]
    path.write_text(json.dumps(metadata))
    with pytest.raises(InputDataError, match=r"32,000,000,000,000,000 bytes.*of memory"):
        open_zarr(store)


def test_missing_chunks_are_refused_unless_accepted(store):
    (store / "c" / "2" / "0").unlink()
    with pytest.raises(MissingChunksError, match=r"1 of 11 chunks"):
        open_zarr(store)
    lazy = open_zarr(store, missing_chunks="fill")
    np.testing.assert_array_equal(lazy[200:300].compute(), np.zeros((100, 4)))
    with pytest.raises(ParameterError, match='expected "raise" or "fill"'):
        open_zarr(store, missing_chunks="ignore")


def test_a_damaged_chunk_is_named_by_the_computation(store):
    (store / "c" / "2" / "0").write_bytes(b"damaged")
    with pytest.raises(ChunkReadError, match=r"rows\.zarr: the chunk 'c/2/0'"):
        open_zarr(store).sum().compute()


@pytest.mark.usefixtures("client")
def test_a_damaged_chunk_is_named_by_a_worker(store):
    (store / "c" / "2" / "0").write_bytes(b"damaged")
    with pytest.raises(ChunkReadError, match=r"rows\.zarr: the chunk 'c/2/0'"):
        open_zarr(store).sum().compute()


def test_opening_twice_gives_other_keys(store):
    assert open_zarr(store).name != open_zarr(store).name


def test_reading_and_the_next_function_are_one_task_a_block(store):
    lazy = open_zarr(store, chunks=100).map_blocks(np.negative, meta=np.empty((0, 0)))
    (optimised,) = dask.optimize(lazy)
    # One task for each of the 11 blocks, and one that holds the handle for all of them.
    assert len(dict(optimised.__dask_graph__())) == 12


@pytest.mark.parametrize(
    "index", [slice(None, None, -1), slice(5, 900, 3), slice(1040, None), [1, 700, 5], (slice(None), [0, 2])]
)
def test_opened_arrays_can_be_indexed_as_dask_arrays_are(store, index):
    np.testing.assert_array_equal(open_zarr(store, chunks=300)[index].compute(), ROWS[index])


def test_dask_arrays_keep_their_blocks():
    X = da.from_array(ROWS, chunks=((400, 0, 650), 4))
    blocks = as_row_blocks(X)
    assert blocks.rows is X
    assert (blocks.in_memory, blocks.weights) == (False, None)
    assert (blocks.n_samples, blocks.n_features, blocks.n_bytes) == (1050, 4, 1050 * 32)
    assert blocks.block_starts == (0, 400, 400)


def test_features_in_several_blocks_are_joined():
    rows = as_row_blocks(da.from_array(ROWS, chunks=(300, 3))).rows
    assert rows.chunks == ((300, 300, 300, 150), (4,))
    np.testing.assert_array_equal(rows.compute(), ROWS)


def test_rows_of_unknown_number_are_taken():
    X = da.from_array(ROWS, chunks=(300, 3))
    blocks = as_row_blocks(X[X[:, 0] > 0])
    assert (blocks.n_samples, blocks.n_features, blocks.n_bytes, blocks.block_starts) == (None, 4, None, None)
    assert blocks.rows.numblocks == (4, 1)
    np.testing.assert_array_equal(blocks.rows.compute(), ROWS[ROWS[:, 0] > 0])


def test_an_unknown_number_of_features_is_refused():
    X = da.from_array(ROWS, chunks=(300, 4))
    with pytest.raises(InputDataError, match="compute_chunk_sizes"):
        as_row_blocks(X[:, X[0] > 0])


@pytest.mark.parametrize("make", [np.asarray, da.from_array])
@pytest.mark.parametrize(
    ("shape", "complaint"),
    [
        ((5,), "Expected 2D array, got 1D array"),
        ((5, 2, 2), "Expected 2D array, got 3D array"),
        ((), "Expected 2D array, got 0D array"),
        ((0, 2), r"0 sample\(s\)"),
        ((5, 0), r"0 feature\(s\)"),
    ],
)
def test_arrays_of_other_shapes_are_refused(make, shape, complaint):
    with pytest.raises(InputDataError, match=complaint):
        as_row_blocks(make(np.zeros(shape)))


@pytest.mark.parametrize("dtype", ["c16", "M8[s]", "m8[s]", "O", "U3", [("a", "f8")]])
def test_arrays_of_other_dtypes_are_refused(dtype):
    values = np.zeros((4, 2), dtype)
    for X in (values, da.from_array(values, chunks=2)):
        with pytest.raises(InputTypeError, match="X: expected real numbers"):
            as_row_blocks(X)


@pytest.mark.parametrize("dtype", ["f2", "f4", ">f8", "i2", ">u4", "?"])
def test_arrays_of_real_dtypes_are_kept(dtype):
    values = np.ones((4, 2), dtype)
    for X in (values, da.from_array(values, chunks=2)):
        assert as_row_blocks(X).rows.compute().dtype == values.dtype


def test_masked_and_sparse_arrays_are_refused():
    masked = np.ma.masked_less(ROWS, 0)
    sparse = da.from_array(ROWS, chunks=300).map_blocks(scipy.sparse.csr_array, meta=scipy.sparse.csr_array((0, 0)))
    for X, kind in ((masked, "masked"), (da.from_array(masked, chunks=300), "masked"), (sparse, "csr_array")):
        with pytest.raises(InputTypeError, match=kind):
            as_row_blocks(X)


class DataFrame:
    """What Dask's data frames have in common."""

    def to_dask_array(self, lengths: bool) -> None: ...


@pytest.mark.parametrize(
    ("X", "remedy"),
    [
        (DataFrame(), r"to_dask_array\(lengths=True\)"),
        (scipy.sparse.csr_array((4, 2)), "toarray"),
        ([[1.0], [2.0]], "numpy.asarray"),
        (None, "numpy.asarray"),
    ],
)
def test_what_is_no_array_is_refused_with_a_remedy(X, remedy):
    with pytest.raises(InputTypeError, match=remedy):
        as_row_blocks(X)


def test_zarr_arrays_and_paths_are_opened(store):
    for X in (store, str(store), zarr.open_array(store, mode="r")):
        blocks = as_row_blocks(X)
        assert not blocks.in_memory
        np.testing.assert_array_equal(blocks.rows.compute(), ROWS)


def test_a_zarr_array_with_missing_chunks_is_refused(store):
    (store / "c" / "2" / "0").unlink()
    with pytest.raises(MissingChunksError):
        as_row_blocks(zarr.open_array(store, mode="r"))


def test_is_out_of_core_tells_what_gives_lazy_results(store):
    lazy = [da.from_array(ROWS), DataFrame(), store, str(store), zarr.open_array(store, mode="r")]
    assert all(is_out_of_core(X) for X in lazy)
    assert not any(is_out_of_core(X) for X in (ROWS, ROWS.tolist(), None, scipy.sparse.csr_array((4, 2))))


def test_numpy_rows_become_views_in_blocks():
    X = np.zeros((3 * 2**20, 4))
    blocks = as_row_blocks(X)
    assert blocks.in_memory
    assert blocks.rows.chunks == ((2**20,) * 3, (4,))
    shared = blocks.rows.map_blocks(lambda rows: np.array([[np.shares_memory(rows, X)]]), dtype=bool, chunks=(1, 1))
    assert shared.compute(scheduler="synchronous").all()


def test_numpy_rows_are_neither_copied_nor_hashed():
    X = np.zeros((2**20, 8))
    as_row_blocks(X)
    tracemalloc.start()
    try:
        as_row_blocks(X, np.ones(2**20, np.float32))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 2**23
    assert as_row_blocks(X).rows.name != as_row_blocks(X).rows.name


@pytest.mark.parametrize("make", [lambda w: w, lambda w: da.from_array(w, chunks=70), lambda w: w.tolist()])
def test_weights_come_in_the_blocks_of_the_rows(make):
    values = np.arange(1050.0)
    for X in (ROWS, da.from_array(ROWS, chunks=(300, 4)), da.from_array(ROWS, chunks=((400, 0, 650), 4))):
        blocks = as_row_blocks(X, make(values))
        assert blocks.weights.chunks == blocks.rows.chunks[:1]
        np.testing.assert_array_equal(blocks.weights.compute(), values)


@pytest.mark.parametrize("make", [np.asarray, da.from_array])
@pytest.mark.parametrize("shape", [(1049,), (1050, 1), (), (1,)])
def test_weights_of_other_shapes_are_refused_with_both_shapes(make, shape):
    with pytest.raises(InputDataError, match=r"\(1050,\).*\(1050, 4\); got shape \(") as caught:
        as_row_blocks(ROWS, make(np.ones(shape)))
    assert str(shape) in str(caught.value)


def test_a_single_number_is_no_weights():
    with pytest.raises(InputDataError, match=r"got shape \(\)"):
        as_row_blocks(ROWS, 1.0)


@pytest.mark.parametrize("make", [np.asarray, lambda w: da.from_array(w, chunks=300)])
@pytest.mark.parametrize("dtype", ["c16", "O", "U1"])
def test_weights_of_other_dtypes_are_refused(make, dtype):
    with pytest.raises(InputTypeError, match="sample_weight: expected real numbers"):
        as_row_blocks(ROWS, make(np.zeros(1050, dtype)))


def test_weights_of_rows_of_unknown_number_go_block_by_block():
    X, w = da.from_array(ROWS, chunks=(300, 4)), da.from_array(np.arange(1050.0), chunks=300)
    kept = X[:, 0] > 0
    for weights in (w[kept], da.from_array(np.arange(float((ROWS[:, 0] > 0).sum())), chunks=140)):
        blocks = as_row_blocks(X[kept], weights)
        # Dask joins two arrays block by block only if it takes their blocks for equally long.
        together = da.blockwise(np.multiply, "i", blocks.rows[:, 0], "i", blocks.weights, "i", dtype=float)
        assert together.numblocks == (4,)
    np.testing.assert_array_equal(as_row_blocks(X[kept], w[kept]).weights.compute(), np.arange(1050.0)[ROWS[:, 0] > 0])


def test_weights_of_unknown_number_take_the_blocks_of_the_rows():
    w = da.from_array(np.arange(1050.0), chunks=300)
    blocks = as_row_blocks(da.from_array(ROWS, chunks=(300, 4)), w[w >= 0])
    assert blocks.weights.chunks == blocks.rows.chunks[:1]
    np.testing.assert_array_equal(blocks.weights.compute(), np.arange(1050.0))


def test_weights_that_cannot_be_matched_to_unknown_rows_are_refused():
    X = da.from_array(ROWS, chunks=(300, 4))
    X = X[X[:, 0] > 0]
    with pytest.raises(InputDataError, match=r"4 blocks of X.*got 2 blocks.*compute_chunk_sizes"):
        as_row_blocks(X, da.ones(500, chunks=250))
    with pytest.raises(InputDataError, match=r"array in memory.*compute_chunk_sizes"):
        as_row_blocks(X, np.ones(500))


@pytest.mark.usefixtures("client")
def test_workers_read_the_store(store):
    np.testing.assert_array_equal(open_zarr(store, chunks=300).compute(), ROWS)
