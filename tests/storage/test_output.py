from __future__ import annotations

import os
import pickle
import uuid
from itertools import accumulate
from pathlib import Path

import dask.array as da
import fsspec
import numpy as np
import pytest
import zarr
from hypothesis import given
from hypothesis import strategies as st

from daskgmm.errors import OutputExistsError, ParameterError, StorageError, StoreNotFoundError
from daskgmm.storage import output
from daskgmm.storage.dataset import open_zarr
from daskgmm.storage.output import create_output, output_chunk_rows


@pytest.fixture
def url() -> str:
    return f"memory://{uuid.uuid4().hex}/labels.zarr"


@pytest.fixture(params=["path", "url"])
def place(request, tmp_path, url) -> Path | str:
    return tmp_path / "labels.zarr" if request.param == "path" else url


def test_what_was_written_is_there_at_the_end(place):
    with create_output(place, shape=(10, 2), chunk_rows=4, dtype="f8") as array:
        array[...] = 1.0
    result = zarr.open_array(place, mode="r")
    assert (result.shape, result.chunks, result.dtype) == ((10, 2), (4, 2), np.dtype("f8"))
    assert result[...].sum() == 20.0


def test_dask_writes_its_blocks_into_it(place):
    labels = da.arange(10, chunks=4)
    with create_output(place, shape=(10,), chunk_rows=4, dtype="i8") as array:
        da.store(labels, array, lock=False)
    np.testing.assert_array_equal(zarr.open_array(place, mode="r")[...], np.arange(10))


def test_labels_that_are_all_zero_are_stored_and_not_missing(place):
    with create_output(place, shape=(10,), chunk_rows=4, dtype="i8") as array:
        pickle.loads(pickle.dumps(array))[...] = 0
    np.testing.assert_array_equal(open_zarr(place).compute(), np.zeros((10, 1)))


def test_chunks_are_stored_as_they_are_when_not_compressed(place):
    with create_output(place, shape=(10,), chunk_rows=4, dtype="i8", compressed=False) as array:
        assert array.compressors == ()


def test_nothing_is_in_its_place_before_the_end(tmp_path):
    with create_output(tmp_path / "labels.zarr", shape=(10,), chunk_rows=4, dtype="i8") as array:
        array[...] = 1
        assert not (tmp_path / "labels.zarr").exists()
        assert [name[: len(".labels.zarr.partial-")] for name in os.listdir(tmp_path)] == [".labels.zarr.partial-"]
    assert os.listdir(tmp_path) == ["labels.zarr"]


def write_and_fail(array: zarr.Array, error: type[BaseException]) -> None:
    array[:4] = 1
    raise error


def write_and_occupy(array: zarr.Array, place: Path) -> None:
    array[...] = 1
    place.mkdir()


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_failure_leaves_nothing(tmp_path, error):
    with pytest.raises(error), create_output(tmp_path / "x.zarr", shape=(10,), chunk_rows=4, dtype="i8") as array:
        write_and_fail(array, error)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_failure_leaves_nothing_at_a_url(url, error):
    with pytest.raises(error), create_output(url, shape=(10,), chunk_rows=4, dtype="i8") as array:
        write_and_fail(array, error)
    assert fsspec.filesystem("memory").find(url) == []


def test_an_output_that_exists_is_refused_and_kept(place):
    with create_output(place, shape=(10,), chunk_rows=4, dtype="i8") as array:
        array[...] = 1
    with (
        pytest.raises(OutputExistsError, match=r"labels\.zarr: the output exists already; choose another name"),
        create_output(place, shape=(10,), chunk_rows=4, dtype="i8"),
    ):
        pytest.fail("the body must not run")
    assert zarr.open_array(place, mode="r")[...].sum() == 10


def test_a_file_or_an_empty_directory_in_its_place_is_refused(tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "directory").mkdir()
    for name in ("file", "directory"):
        with pytest.raises(OutputExistsError), create_output(tmp_path / name, shape=(1,), chunk_rows=1, dtype="i8"):
            pass


def test_what_appeared_in_the_meantime_is_kept(tmp_path):
    with (
        pytest.raises(OutputExistsError),
        create_output(tmp_path / "labels.zarr", shape=(10,), chunk_rows=4, dtype="i8") as array,
    ):
        write_and_occupy(array, tmp_path / "labels.zarr")
    assert os.listdir(tmp_path) == ["labels.zarr"]
    assert os.listdir(tmp_path / "labels.zarr") == []


def test_a_directory_that_is_not_there_is_named(tmp_path):
    with (
        pytest.raises(StoreNotFoundError, match="absent; create it first"),
        create_output(tmp_path / "absent" / "labels.zarr", shape=(1,), chunk_rows=1, dtype="i8"),
    ):
        pass


def test_a_relative_path_is_made_absolute_for_workers_elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with create_output("labels.zarr", shape=(1,), chunk_rows=1, dtype="i8") as array:
        assert array.store.root.is_absolute()
    assert os.listdir(tmp_path) == ["labels.zarr"]


def test_a_disk_that_is_full_is_a_storage_error(tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(zarr, "create_array", full)
    with (
        pytest.raises(StorageError, match=r"labels\.zarr: the output cannot be created.*No space left"),
        create_output(tmp_path / "labels.zarr", shape=(1,), chunk_rows=1, dtype="i8"),
    ):
        pass
    assert os.listdir(tmp_path) == []


def test_a_rename_that_fails_leaves_nothing(tmp_path, monkeypatch):
    def fail(*_):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(output.os, "rename", fail)
    with (
        pytest.raises(StorageError, match="cannot be put in its place"),
        create_output(tmp_path / "labels.zarr", shape=(1,), chunk_rows=1, dtype="i8"),
    ):
        pass
    assert os.listdir(tmp_path) == []


def test_a_url_that_nothing_speaks_is_refused():
    with (
        pytest.raises(ParameterError, match="Protocol not known"),
        create_output("weird://bucket/labels", shape=(1,), chunk_rows=1, dtype="i8"),
    ):
        pass


@pytest.mark.parametrize(
    ("block_rows", "chunk_rows"),
    [
        ((100, 100, 100), 100),
        ((100, 100, 30), 100),
        ((100,), 100),
        ((100, 30), 100),
        ((200, 100, 300, 7), 100),
        ((100, 0, 100, 0), 100),
        ((30, 100), 30),
        ((100, 101, 99), 101),
        ((7, 100, 100), 100),
        ((0,), 1),
        ((), 1),
    ],
)
def test_chunks_are_as_long_as_the_blocks_allow(block_rows, chunk_rows):
    assert output_chunk_rows(block_rows) == chunk_rows


@given(unit=st.integers(1, 50), counts=st.lists(st.integers(0, 8), max_size=20), last=st.integers(0, 400))
def test_blocks_of_whole_units_never_share_a_chunk(unit, counts, last):
    block_rows = (8 * unit, *(count * unit for count in counts), last % (8 * unit + 1))
    rows = output_chunk_rows(block_rows)
    assert all(end % rows == 0 for end in accumulate(block_rows[:-1]))
