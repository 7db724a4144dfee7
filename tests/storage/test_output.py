from __future__ import annotations

import os
import pickle
import subprocess
import sys
import threading
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

from daskgmm.errors import OutputExistsError, OutputInUseError, ParameterError, StorageError, StoreNotFoundError
from daskgmm.storage import output_place
from daskgmm.storage.dataset import open_zarr
from daskgmm.storage.output import OutputRows, check_apart, check_output, create_output, output_chunk_rows


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
        assert array.array.compressors == ()


@pytest.mark.parametrize("dtype", ["i2", "i4", "i8"])
def test_labels_take_less_room_than_by_default(tmp_path, dtype):
    labels = np.random.default_rng(0).integers(0, 16, 50_000).astype(dtype)
    with create_output(tmp_path / "out", shape=(50_000,), chunk_rows=25_000, dtype=dtype) as array:
        array[...] = labels
    zarr.create_array(tmp_path / "default", data=labels, chunks=(25_000,))
    out, default = (zarr.open_array(tmp_path / name) for name in ("out", "default"))
    np.testing.assert_array_equal(out[...], labels)
    assert out.nbytes_stored() < 0.9 * default.nbytes_stored()


def test_nothing_is_in_its_place_before_the_end(tmp_path):
    with create_output(tmp_path / "labels.zarr", shape=(10,), chunk_rows=4, dtype="i8") as array:
        array[...] = 1
        assert not (tmp_path / "labels.zarr").exists()
        names = sorted(os.listdir(tmp_path))
        assert [name[: len(".labels.zarr.partial-")] for name in names] == [
            ".labels.zarr.lock",
            ".labels.zarr.partial-",
        ]
    assert os.listdir(tmp_path) == ["labels.zarr"]


def write_and_fail(array: OutputRows, error: type[BaseException]) -> None:
    array[:4] = 1
    raise error


def write_and_occupy(array: OutputRows, place: Path) -> None:
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
        assert array.array.store.root.is_absolute()
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

    monkeypatch.setattr(output_place.os, "rename", fail)
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


def write(place: Path | str, value: int, **options: object) -> None:
    """Write ten labels that are all alike."""
    with create_output(place, shape=(10,), chunk_rows=4, dtype="i8", **options) as array:
        array[...] = value


def labels_at(place: Path | str) -> list[int]:
    return sorted(set(zarr.open_array(place, mode="r")[...].tolist()))


def test_the_marker_says_that_an_output_is_complete_and_is_written_last(place):
    with create_output(place, shape=(10,), chunk_rows=4, dtype="i8") as array:
        array[...] = 1
        unfinished = zarr.open_array(array.array.store, mode="r")
        assert unfinished.attrs["daskgmm"] == {"complete": False}
    assert zarr.open_array(place, mode="r").attrs["daskgmm"] == {"complete": True}


def test_an_output_may_be_replaced(place):
    write(place, 1)
    write(place, 2, overwrite=True)
    assert labels_at(place) == [2]


def test_an_output_is_there_until_it_is_replaced_and_nothing_is_left_of_it(tmp_path):
    place = tmp_path / "labels.zarr"
    write(place, 1)
    with create_output(place, shape=(10,), chunk_rows=5, dtype="i8", overwrite=True) as array:
        array[...] = 2
        assert labels_at(place) == [1]
    assert labels_at(place) == [2]
    assert zarr.open_array(place).chunks == (5,)
    assert os.listdir(tmp_path) == ["labels.zarr"]


def test_a_failure_keeps_the_output_that_was_to_be_replaced(tmp_path):
    place = tmp_path / "labels.zarr"
    write(place, 1)
    with (
        pytest.raises(ZeroDivisionError),
        create_output(place, shape=(10,), chunk_rows=4, dtype="i8", overwrite=True) as array,
    ):
        write_and_fail(array, ZeroDivisionError)
    assert labels_at(place) == [1]
    assert os.listdir(tmp_path) == ["labels.zarr"]


@pytest.mark.parametrize("code", [38, 22])
def test_names_are_changed_one_after_the_other_where_they_cannot_be_exchanged(tmp_path, monkeypatch, code):
    class System:
        def __init__(self, *_, **__):
            self.renameat2 = lambda *_: -1

    monkeypatch.setattr(output_place.ctypes, "CDLL", System)
    monkeypatch.setattr(output_place.ctypes, "get_errno", lambda: code)
    write(tmp_path / "labels.zarr", 1)
    write(tmp_path / "labels.zarr", 2, overwrite=True)
    assert labels_at(tmp_path / "labels.zarr") == [2]
    assert os.listdir(tmp_path) == ["labels.zarr"]


def test_what_is_no_output_is_not_replaced(tmp_path):
    (tmp_path / "directory").mkdir()
    (tmp_path / "directory" / "mine").touch()
    (tmp_path / "file").touch()
    zarr.create_array(tmp_path / "rows.zarr", data=np.ones(3))
    for name in ("directory", "file", "rows.zarr"):
        with pytest.raises(OutputExistsError, match="made by something else"):
            check_output(tmp_path / name, overwrite=True)
        with pytest.raises(OutputExistsError, match="made by something else"):
            write(tmp_path / name, 1, overwrite=True)
    assert sorted(os.listdir(tmp_path)) == ["directory", "file", "rows.zarr"]
    assert os.listdir(tmp_path / "directory") == ["mine"]


def test_what_is_no_output_is_not_replaced_at_a_url(url):
    zarr.create_array(url, data=np.ones(3))
    with pytest.raises(OutputExistsError, match="made by something else"):
        write(url, 1, overwrite=True)
    assert labels_at(url) == [1]


def test_an_output_at_a_url_without_its_marker_is_started_over(url):
    zarr.create_array(url, shape=(50,), chunks=(1,), dtype="i8", attributes={"daskgmm": {"complete": False}})[...] = 7
    write(url, 1)
    assert labels_at(url) == [1]
    assert len(fsspec.filesystem("memory").find(url)) == 4


def test_two_at_once_are_told_apart(place):
    with create_output(place, shape=(10,), chunk_rows=4, dtype="i8") as array:
        with (
            pytest.raises(OutputInUseError, match=rf"another run is writing this output \(process {os.getpid()} on"),
            create_output(place, shape=(10,), chunk_rows=4, dtype="i8"),
        ):
            pytest.fail("the body must not run")
        array[...] = 3
    assert labels_at(place) == [3]


def test_two_at_once_into_two_places_do_not_meet(tmp_path):
    with create_output(tmp_path / "one", shape=(10,), chunk_rows=4, dtype="i8") as array:
        write(tmp_path / "other", 2)
        array[...] = 1
    assert sorted(os.listdir(tmp_path)) == ["one", "other"]


KILLED = """
import sys
from daskgmm.storage.output import create_output
with create_output(sys.argv[1], shape=(10,), chunk_rows=4, dtype="i8") as array:
    array[:4] = 1
    print("written", flush=True)
    sys.stdin.read()
"""


def test_what_a_killed_run_left_is_removed_by_the_next(tmp_path):
    place = tmp_path / "labels.zarr"
    for other in (".labels.zarr.partial-elsewhere-0123456789abcdef", ".labels.zarr.partial-mine", "labels"):
        (tmp_path / other).mkdir()
    kept = set(os.listdir(tmp_path))
    with subprocess.Popen([sys.executable, "-c", KILLED, place], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as run:
        assert run.stdout.readline() == b"written\n"
        with pytest.raises(OutputInUseError, match=f"process {run.pid} on"):
            write(place, 2)
        run.kill()
    assert not place.exists()
    assert len(set(os.listdir(tmp_path)) - kept) == 2
    write(place, 2)
    assert labels_at(place) == [2]
    assert set(os.listdir(tmp_path)) == kept | {"labels.zarr"}


def test_a_task_that_outlives_its_run_leaves_nothing(tmp_path):
    with (
        pytest.raises(ZeroDivisionError),
        create_output(tmp_path / "labels.zarr", shape=(10,), chunk_rows=4, dtype="i8") as array,
    ):
        write_and_fail(array, ZeroDivisionError)
    with pytest.raises(StorageError, match="given up"):
        array[4:8] = 1
    assert os.listdir(tmp_path) == []


def test_a_failure_waits_for_what_threads_are_writing(tmp_path, monkeypatch):
    begun, may_end, order = threading.Event(), threading.Event(), []

    class Slow:
        def __init__(self, array):
            self.array, self.store = array, array.store

        def __setitem__(self, key, values):
            begun.set()
            may_end.wait(5)  # as long as that only if nobody waits for this write
            self.array[key] = values
            order.append("written")

    def run():
        with create_output(tmp_path / "labels.zarr", shape=(10,), chunk_rows=4, dtype="i8") as array:
            outputs.append(OutputRows(Slow(array.array), array.path))
            thread.start()
            begun.wait()
            raise ZeroDivisionError

    def write_slowly():
        with pytest.raises(StorageError, match="given up"):
            outputs[0][:4] = 1

    def wait_for_none(folder):
        may_end.set()
        wait(folder)

    wait = output_place._writes.wait_for_none
    monkeypatch.setattr(output_place._writes, "wait_for_none", wait_for_none)
    outputs, thread = [], threading.Thread(target=write_slowly)
    with pytest.raises(ZeroDivisionError):
        run()
    order.append("removed")
    assert os.listdir(tmp_path) == []
    thread.join()
    assert order == ["written", "removed"]


def test_a_task_that_writes_while_its_output_is_given_up_leaves_nothing(tmp_path):
    class GivenUp:
        """Removed between the look at it and the write."""

        def __init__(self, array):
            self.array, self.store = array, array.store

        def __setitem__(self, key, values):
            output_place.abandon(self.store.root)
            self.array[key] = values

    with (
        pytest.raises(StorageError, match="given up"),
        create_output(tmp_path / "labels.zarr", shape=(10,), chunk_rows=4, dtype="i8") as array,
    ):
        OutputRows(GivenUp(array.array), array.path)[:4] = 1
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), RuntimeError("codec")])
def test_a_chunk_that_cannot_be_written_is_a_storage_error(tmp_path, monkeypatch, error):
    def fail(*_):
        raise error

    monkeypatch.setattr(zarr.Array, "__setitem__", fail)
    with pytest.raises(StorageError, match=r"labels\.zarr: results cannot be written .*Make room"):
        write(tmp_path / "labels.zarr", 1)
    assert os.listdir(tmp_path) == []


def test_a_marker_that_cannot_be_written_leaves_nothing(tmp_path, monkeypatch):
    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(zarr.Array, "update_attributes", fail)
    with pytest.raises(StorageError, match=r"cannot be completed.*No space left"):
        write(tmp_path / "labels.zarr", 1)
    assert os.listdir(tmp_path) == []


def test_rows_are_not_replaced_by_what_is_computed_from_them(tmp_path, url):
    for root in (tmp_path / "data", url):
        group = zarr.create_group(root)
        rows = group.create_array("rows", data=np.ones((4, 2)))
        for place in (f"{root}/rows", root):
            with pytest.raises(ParameterError, match="it would replace them"):
                check_apart(rows, place)
        check_apart(rows, f"{root}/labels")
        check_apart(rows, f"{root}2")
        check_apart(rows, str(root)[:-1])


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
