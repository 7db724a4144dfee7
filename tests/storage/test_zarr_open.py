from __future__ import annotations

import base64
import json
import os
import pickle
import uuid
from pathlib import Path

import fsspec
import numpy as np
import pytest
import zarr
from fsspec.implementations.memory import MemoryFileSystem
from zarr.storage import LocalStore, MemoryStore

from daskgmm.errors import InputDataError, InputTypeError, ParameterError, StorageError, StoreNotFoundError
from daskgmm.storage.zarr_open import is_zarr, local_path, open_array


@pytest.fixture
def group(tmp_path) -> Path:
    """A group with the arrays one and inner/two."""
    root = zarr.open_group(tmp_path / "group.zarr", mode="w")
    for name in ("one", "inner/two"):
        root.create_array(name, shape=(4, 2), chunks=(2, 2), dtype="f8")[:] = 1.0
    return tmp_path / "group.zarr"


def write_metadata(path: Path, **changes) -> Path:
    path.mkdir()
    metadata = {
        "zarr_format": 3,
        "node_type": "array",
        "shape": [4, 2],
        "data_type": "float64",
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [2, 2]}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "fill_value": 0.0,
        "codecs": [{"name": "bytes", "configuration": {"endian": "little"}}],
        "attributes": {},
    }
    content = {key: value for key, value in {**metadata, **changes}.items() if value is not None}
    (path / "zarr.json").write_text(json.dumps(content))
    return path


def test_a_path_and_its_text_open_the_same_array(group):
    for store in (group / "one", str(group / "one"), f"file://{group / 'one'}", f"local://{group / 'one'}"):
        array, _ = open_array(store, None, None)
        assert array.shape == (4, 2)


def test_a_relative_path_is_made_absolute_for_workers_elsewhere(group, monkeypatch):
    monkeypatch.chdir(group.parent)
    array, _ = open_array("group.zarr/one", None, None)
    assert array.store.root.is_absolute()


@pytest.mark.parametrize("component", ["one", "one/", "inner/two"])
def test_a_component_opens_an_array_in_a_group(group, component):
    for store in (group, LocalStore(group), zarr.open_group(group, mode="r")):
        array, source = open_array(store, component, None)
        assert array.path == component.rstrip("/")
        assert component.rstrip("/") in source


def test_a_component_is_looked_for_below_the_group_that_was_given(group):
    inner = zarr.open_group(group, mode="r")["inner"]
    assert open_array(inner, "two", None)[0].path == "inner/two"


def test_an_opened_array_is_taken_as_it_is(group):
    array = zarr.open_array(group / "one", mode="r")
    assert open_array(array, None, None)[0] is array
    with pytest.raises(ParameterError, match="no parts"):
        open_array(array, "one", None)


def test_a_url_is_opened():
    url = f"memory://{uuid.uuid4().hex}/rows.zarr"
    zarr.create_array(url, shape=(4, 2), chunks=(2, 2), dtype="f8")[:] = 1.0
    array, source = open_array(url, None, None)
    assert array[:].sum() == 8.0
    assert source == url


class LockedFileSystem(MemoryFileSystem):
    """A filesystem that wants to know a password."""

    protocol = "locked"
    cachable = False

    def __init__(self, password: str = "", **options: object) -> None:
        super().__init__(**options)
        if password != "sesame":
            raise PermissionError("wrong password")


def test_storage_options_open_a_url_through_fsspec():
    fsspec.register_implementation("locked", LockedFileSystem, clobber=True)
    url = f"locked://{uuid.uuid4().hex}/rows.zarr"
    zarr.create_array(url, shape=(4, 2), chunks=(2, 2), dtype="f8", storage_options={"password": "sesame"})[:] = 1.0
    array, _ = open_array(url, None, {"password": "sesame"})
    assert array[:].sum() == 8.0
    with pytest.raises(StorageError, match="wrong password"):
        open_array(url, None, {"password": "guess"})


def test_a_store_object_is_opened():
    store = MemoryStore()
    zarr.create_array(store, name="x", shape=(4, 2), chunks=(2, 2), dtype="f8")
    assert open_array(store, "x", None)[0].shape == (4, 2)


def test_a_store_that_is_not_there_is_named(tmp_path):
    with pytest.raises(StoreNotFoundError, match=r"absent\.zarr: there is no such file"):
        open_array(tmp_path / "absent.zarr", None, None)
    with pytest.raises(StoreNotFoundError, match="memory://absent/rows"):
        open_array("memory://absent/rows", None, None)


@pytest.mark.parametrize("kind", ["directory", "file"])
def test_something_that_is_no_zarr_store_is_named(tmp_path, kind):
    path = tmp_path / "other"
    path.mkdir() if kind == "directory" else path.write_text("rows")
    with pytest.raises(StoreNotFoundError, match="other: there is no Zarr array"):
        open_array(path, None, None)


def test_a_group_without_component_names_its_arrays(group):
    for store in (group, zarr.open_group(group, mode="r")):
        with pytest.raises(StoreNotFoundError, match=r"this is a group.*--component.*it holds inner/two, one"):
            open_array(store, None, None)


def test_a_group_without_arrays_says_so(tmp_path):
    zarr.open_group(tmp_path / "empty.zarr", mode="w")
    with pytest.raises(StoreNotFoundError, match="it holds no arrays"):
        open_array(tmp_path / "empty.zarr", None, None)


def test_a_component_that_is_not_there_names_those_that_are(group):
    (group / "notes.txt").write_text("other files do no harm")
    with pytest.raises(StoreNotFoundError, match=r"\(three\): there is no .*it holds inner/two, one"):
        open_array(group, "three", None)


def test_a_component_of_an_array_says_that_it_is_an_array(group):
    with pytest.raises(StoreNotFoundError, match="is an array itself"):
        open_array(group / "one", "three", None)


@pytest.mark.parametrize("component", ["../group.zarr/one", "inner/../one", "/etc", "", ".", "a//b", "a\\b", "c:/x", 3])
def test_a_component_that_is_no_path_inside_the_store_is_refused(group, component):
    with pytest.raises(ParameterError, match="component: expected"):
        open_array(group / "inner", component, None)


def test_a_component_that_leaves_the_store_through_a_link_is_refused(group, tmp_path):
    outside = zarr.create_array(tmp_path / "outside.zarr", shape=(4, 2), chunks=(2, 2), dtype="f8")
    os.symlink(tmp_path / "outside.zarr", group / "link")
    for store in (group, LocalStore(group), zarr.open_group(group, mode="r")):
        with pytest.raises(ParameterError, match="links lead to another place"):
            open_array(store, "link", None)
    assert outside.shape == (4, 2)


def test_a_store_may_itself_be_reached_through_a_link(group, tmp_path):
    os.symlink(group, tmp_path / "alias.zarr")
    assert open_array(tmp_path / "alias.zarr", "one", None)[0].shape == (4, 2)


@pytest.mark.parametrize("text", ["{", "[1, 2]", '{"zarr_format": 3, "node_type": "array"}', '{"zarr_format": 7}', ""])
def test_metadata_that_are_no_metadata_are_refused(tmp_path, text):
    (tmp_path / "bad.zarr").mkdir()
    (tmp_path / "bad.zarr" / "zarr.json").write_text(text)
    with pytest.raises(InputDataError, match=r"bad\.zarr: expected a Zarr array of version 2 or 3"):
        open_array(tmp_path / "bad.zarr", None, None)


@pytest.mark.parametrize(
    "changes",
    [
        {"shape": [-4, 2]},
        {"shape": None},
        {"data_type": "weird"},
        {"codecs": [{"name": "weird"}]},
        {"codecs": [{"name": "bytes"}, {"name": "numcodecs.pickle", "configuration": {}}]},
        {"chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [2]}}},
    ],
)
def test_metadata_that_contradict_themselves_are_refused(tmp_path, changes):
    with pytest.raises(InputDataError, match="metadata"):
        open_array(write_metadata(tmp_path / "bad.zarr", **changes), None, None)


class Mischief:
    """Unpickling it makes a directory."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


@pytest.mark.parametrize(
    "changes",
    [
        {"compressor": {"id": "pickle"}},
        {"filters": [{"id": "pickle"}]},
        {"filters": [{"id": "delta", "dtype": "<f8"}, {"id": "pickle"}]},
        {"dtype": "|O", "filters": [{"id": "pickle"}]},
    ],
)
def test_pickles_in_a_store_are_refused_without_running_them(tmp_path, changes):
    bait = pickle.dumps(Mischief(str(tmp_path / "ran")))
    path = tmp_path / "bad.zarr"
    path.mkdir()
    metadata = {
        "zarr_format": 2,
        "shape": [4, 2],
        "chunks": [4, 2],
        "dtype": "<f8",
        "compressor": None,
        "filters": None,
        "order": "C",
        "fill_value": base64.b64encode(bait).decode() if "dtype" in changes else 0,
    }
    (path / ".zarray").write_text(json.dumps({**metadata, **changes}))
    (path / "0.0").write_bytes(bait)
    with pytest.raises(InputDataError):
        open_array(path, None, None)
    assert not (tmp_path / "ran").exists()


def test_a_protocol_that_nothing_speaks_is_refused():
    with pytest.raises(InputDataError, match="Protocol not known: weird"):
        open_array("weird://bucket/rows", None, None)


def test_a_store_that_cannot_be_reached_is_a_storage_error(monkeypatch):
    def refuse(**_):
        raise ConnectionError("no route to host")

    monkeypatch.setattr(zarr, "open", refuse)
    with pytest.raises(StorageError, match="cannot be opened: ConnectionError: no route to host"):
        open_array("memory://bucket/rows", None, None)


def test_messages_leave_out_the_password_of_a_url():
    with pytest.raises(StoreNotFoundError) as caught:
        open_array("memory://user:secret@bucket/rows", None, None)
    assert "secret" not in str(caught.value)


def test_storage_options_without_a_url_are_refused(group):
    with pytest.raises(ParameterError, match="storage_options"):
        open_array(group, "one", {"anon": True})


@pytest.mark.parametrize("store", [None, 3, np.zeros((4, 2))])
def test_what_cannot_hold_an_array_is_refused(store):
    with pytest.raises(InputTypeError, match="store: expected"):
        open_array(store, None, None)


def test_is_zarr_knows_what_names_a_zarr_array(group):
    known = [group, str(group), LocalStore(group), zarr.open_group(group, mode="r"), zarr.open_array(group / "one")]
    assert all(is_zarr(value) for value in known)
    assert not any(is_zarr(value) for value in (None, 3, np.zeros(3), [1.0]))


def test_local_path_tells_paths_from_urls():
    assert local_path("file:///data/x.zarr") == Path("/data/x.zarr")
    assert local_path("x.zarr") == Path.cwd() / "x.zarr"
    assert local_path("s3://bucket/x.zarr") is None
    assert local_path("simplecache::s3://bucket/x.zarr") is None
