from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from zarr.storage import MemoryStore

from daskgmm.errors import ChunkReadError, InputDataError, InputTypeError, MissingChunksError
from daskgmm.storage.zarr_rows import check_complete, check_layout, zarr_rows


def written(path: Path, *, shape: tuple[int, ...] = (1000, 4), chunks: tuple[int, ...] = (100, 4), **settings: Any):
    array = zarr.create_array(path, shape=shape, chunks=chunks, dtype="f8", **settings)
    array[...] = 1.0 + np.arange(np.prod(shape), dtype=float).reshape(shape)
    return array


def rows_of(array: zarr.Array, **settings: Any):
    return zarr_rows(array, "rows.zarr", **settings)


LAYOUTS = {
    "version 3": {},
    "version 2": {"zarr_format": 2},
    "sharded": {"shards": (500, 4)},
    "features split": {"chunks": (100, 3)},
    "ragged": {"chunks": (333, 4)},
    "uncompressed": {"compressors": None},
}


@pytest.fixture(params=LAYOUTS)
def array(request, tmp_path) -> zarr.Array:
    return written(tmp_path / "rows.zarr", **LAYOUTS[request.param])


def test_slices_read_the_same_as_zarr(array):
    rows = rows_of(array)
    for selection in ((slice(0, 1000), slice(0, 4)), (slice(150, 420), slice(0, 4)), (slice(990, 1000), slice(1, 3))):
        np.testing.assert_array_equal(rows[selection], array[selection])


def test_a_one_dimensional_array_is_one_feature(tmp_path):
    rows = rows_of(written(tmp_path / "rows.zarr", shape=(10,), chunks=(3,)))
    assert (rows.shape, rows.ndim) == ((10, 1), 2)
    np.testing.assert_array_equal(rows[2:5, 0:1], [[3.0], [4.0], [5.0]])


def test_units_are_shards_where_there_are_any(tmp_path):
    assert rows_of(written(tmp_path / "chunked.zarr")).unit_rows == 100
    assert rows_of(written(tmp_path / "sharded.zarr", shards=(500, 4))).unit_rows == 500


def test_rows_can_be_sent_to_workers(array):
    rows = rows_of(array)
    copy = pickle.loads(pickle.dumps(rows))
    np.testing.assert_array_equal(copy[0:150, 0:4], rows[0:150, 0:4])


@pytest.mark.parametrize("shape", [(), (3, 3, 3)])
def test_arrays_of_other_dimensions_are_refused(tmp_path, shape):
    array = zarr.create_array(tmp_path / "rows.zarr", shape=shape, chunks=shape, dtype="f8")
    with pytest.raises(InputDataError, match=r"expected a Zarr array of shape \(n_samples, n_features\)"):
        rows_of(array)


@pytest.mark.parametrize("shape", [(0, 4), (5, 0), (0,)])
def test_arrays_without_rows_or_features_are_refused(tmp_path, shape):
    array = zarr.create_array(tmp_path / "rows.zarr", shape=shape, chunks=(1,) * len(shape), dtype="f8")
    with pytest.raises(InputDataError, match="at least one row and one feature"):
        rows_of(array)


@pytest.mark.parametrize("dtype", ["c16", "M8[s]"])
def test_arrays_of_other_numbers_are_refused(tmp_path, dtype):
    with pytest.raises(InputTypeError, match=r"rows\.zarr: expected real numbers"):
        rows_of(zarr.create_array(tmp_path / "rows.zarr", shape=(4, 2), chunks=(2, 2), dtype=dtype))


def test_a_chunk_beyond_memory_is_refused_with_both_numbers(tmp_path):
    array = zarr.create_array(tmp_path / "rows.zarr", shape=(10, 2), chunks=(10**15, 2), dtype="f8")
    with pytest.raises(InputDataError, match=r"16,000,000,000,000,000 bytes.*1,000,000 bytes of memory"):
        check_layout(rows_of(array), 10**6)


def test_chunks_of_all_features_together_must_fit_in_memory(tmp_path):
    array = zarr.create_array(tmp_path / "rows.zarr", shape=(10**6, 1000), chunks=(10**6, 1), dtype="f8")
    with pytest.raises(InputDataError, match="8,000,000,000 bytes"):
        check_layout(rows_of(array), 10**9)


def test_the_index_of_a_shard_must_fit_in_memory_too(tmp_path):
    array = zarr.create_array(tmp_path / "rows.zarr", shape=(10_000, 1), chunks=(1, 1), shards=(10_000, 1), dtype="f8")
    check_layout(rows_of(array), 720_000)
    with pytest.raises(InputDataError, match=r"720,000 bytes.*719,999 bytes of memory"):
        check_layout(rows_of(array), 719_999)


def test_more_chunks_than_can_be_handled_are_refused(tmp_path):
    array = zarr.create_array(tmp_path / "rows.zarr", shape=(10**18, 2), chunks=(10, 2), dtype="f8")
    with pytest.raises(InputDataError, match="100,000,000,000,000,000 chunks"):
        check_layout(rows_of(array), 10**9)


def test_ordinary_layouts_pass(array):
    check_layout(rows_of(array), 10**6)


def stored(array: zarr.Array) -> list[Path]:
    """Files of the chunks or shards, in the order of rows."""
    names = {"zarr.json", ".zarray", ".zattrs"}
    files = [path for path in array.store.root.rglob("*") if path.is_file() and path.name not in names]
    return sorted(
        files, key=lambda path: [int(n) for n in path.relative_to(array.store.root).as_posix() if n.isdigit()]
    )


def test_a_complete_store_passes(array):
    check_complete(rows_of(array))


def test_missing_chunks_are_counted_and_the_first_is_named(tmp_path):
    array = written(tmp_path / "rows.zarr")
    for chunk in (3, 7):
        (tmp_path / "rows.zarr" / "c" / str(chunk) / "0").unlink()
    with pytest.raises(MissingChunksError, match=r"2 of 10 chunks.*'c/3/0'.*missing_chunks=\"fill\".*--missing-chunks"):
        check_complete(rows_of(array))


def test_missing_chunks_of_version_2_are_found(tmp_path):
    array = written(tmp_path / "rows.zarr", zarr_format=2)
    (tmp_path / "rows.zarr" / "9.0").unlink()
    with pytest.raises(MissingChunksError, match=r"1 of 10 chunks.*'9\.0'"):
        check_complete(rows_of(array))


def test_missing_shards_are_found(tmp_path):
    array = written(tmp_path / "rows.zarr", shards=(500, 4))
    (tmp_path / "rows.zarr" / "c" / "1" / "0").unlink()
    with pytest.raises(MissingChunksError, match=r"1 of 2 chunks.*'c/1/0'"):
        check_complete(rows_of(array))


def test_missing_chunks_of_an_array_in_a_group_are_found_in_stores_that_are_listed():
    store = MemoryStore()
    for name in ("x", "xy"):
        zarr.create_array(store, name=name, shape=(20, 4), chunks=(10, 4), dtype="f8")
    zarr.open_array(store, path="xy")[...] = 1.0
    zarr.open_array(store, path="x")[:10] = 1.0
    check_complete(rows_of(zarr.open_array(store, path="xy")))
    with pytest.raises(MissingChunksError, match=r"1 of 2 chunks.*'c/1/0'"):
        check_complete(rows_of(zarr.open_array(store, path="x")))


def test_a_store_that_cannot_list_asks_for_the_option(monkeypatch):
    array = zarr.create_array(MemoryStore(), shape=(20, 4), chunks=(10, 4), dtype="f8")
    monkeypatch.setattr(MemoryStore, "supports_listing", False)
    with pytest.raises(MissingChunksError, match=r"cannot list.*--missing-chunks fill"):
        check_complete(rows_of(array))


def test_every_kind_of_truncated_chunk_is_named(array):
    chunk = stored(array)[-1]
    content = chunk.read_bytes()
    chunk.write_bytes(content[: len(content) // 2])
    key = chunk.relative_to(array.store.root).as_posix()
    with pytest.raises(ChunkReadError, match=rf"rows\.zarr: the chunk '{key}' cannot be read.*restore it"):
        rows_of(array)[0:1000, 0:4]


def test_every_kind_of_empty_chunk_is_named(array):
    chunk = stored(array)[-1]
    chunk.write_bytes(b"")
    key = chunk.relative_to(array.store.root).as_posix()
    for accept_missing in (True, False):
        with pytest.raises(ChunkReadError, match=f"'{key}'"):
            rows_of(array, accept_missing=accept_missing)[0:1000, 0:4]


def test_a_shard_with_a_damaged_index_is_named(tmp_path):
    array = written(tmp_path / "rows.zarr", shards=(500, 4))
    shard = stored(array)[1]
    content = bytearray(shard.read_bytes())
    content[-20] ^= 1
    shard.write_bytes(content)
    with pytest.raises(ChunkReadError, match=r"'c/1/0'.*checksum"):
        rows_of(array)[500:1000, 0:4]


def test_other_chunks_of_a_damaged_store_can_be_read(tmp_path):
    array = written(tmp_path / "rows.zarr")
    stored(array)[5].write_bytes(b"damaged")
    assert rows_of(array)[0:500, 0:4].shape == (500, 4)


def test_a_chunk_that_disappears_while_reading_is_not_taken_as_zeros(tmp_path):
    array = written(tmp_path / "rows.zarr", chunks=(100, 3))
    rows = rows_of(array)
    check_complete(rows)
    (tmp_path / "rows.zarr" / "c" / "4" / "1").unlink()
    with pytest.raises(MissingChunksError, match="'c/4/1' was there when the store was opened"):
        rows[300:600, 0:4]
    rows[300:400, 0:4]
    rows[300:600, 0:3]


def test_chunks_that_hold_the_fill_value_and_are_stored_are_read(tmp_path):
    array = zarr.create_array(
        tmp_path / "rows.zarr", shape=(20, 2), chunks=(10, 2), dtype="f8", config={"write_empty_chunks": True}
    )
    array[...] = 0.0
    np.testing.assert_array_equal(rows_of(array)[0:20, 0:2], np.zeros((20, 2)))


@pytest.mark.parametrize("fill", [0.0, 7.0, np.nan])
def test_missing_chunks_are_filled_when_that_is_accepted(tmp_path, fill):
    array = zarr.create_array(tmp_path / "rows.zarr", shape=(20, 2), chunks=(10, 2), dtype="f8", fill_value=fill)
    array[:10] = 1.0
    block = rows_of(array, accept_missing=True)[0:20, 0:2]
    np.testing.assert_array_equal(block[10:], np.full((10, 2), fill))
    with pytest.raises(MissingChunksError):
        rows_of(array)[0:20, 0:2]


def test_a_failure_that_passes_is_forgiven_once(tmp_path, monkeypatch):
    array = written(tmp_path / "rows.zarr")
    failures = iter([True])
    read = zarr.AsyncArray.getitem
    stored = array[0:200]

    async def fail_once(self, selection):
        if next(failures, False):
            raise OSError("connection reset")
        return await read(self, selection)

    monkeypatch.setattr(zarr.AsyncArray, "getitem", fail_once)
    np.testing.assert_array_equal(rows_of(array)[0:200, 0:4], stored)
    assert next(failures, None) is None


def test_a_failure_outside_the_chunks_leads_to_reading_them_one_by_one(array, monkeypatch):
    reads = []
    read = zarr.AsyncArray.getitem

    async def fail_on_blocks(self, selection):
        reads.append(selection)
        if self is array.async_array:
            raise OSError("too many requests")
        return await read(self, selection)

    monkeypatch.setattr(zarr.AsyncArray, "getitem", fail_on_blocks)
    for rows, columns in (
        (slice(0, 1000), slice(0, 4)),
        (slice(150, 720), slice(1, 4)),
        (slice(990, 1000), slice(0, 1)),
    ):
        reads.clear()
        np.testing.assert_array_equal(rows_of(array)[rows, columns], array[rows, columns])
        # Each chunk once, after the block.
        assert len(reads) == 1 + len({tuple((part.start, part.stop) for part in region) for region in reads[1:]})


def test_running_out_of_memory_is_not_blamed_on_a_chunk(tmp_path, monkeypatch):
    async def fail(self, selection):
        raise MemoryError

    rows = rows_of(written(tmp_path / "rows.zarr"))
    monkeypatch.setattr(zarr.AsyncArray, "getitem", fail)
    with pytest.raises(MemoryError):
        rows[0:100, 0:4]
