"""What tells a stored array from itself before it was changed, without reading a chunk."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import zarr

from daskgmm.storage.contents import contents_of

ROWS = np.arange(1.0, 41.0).reshape(20, 2)


@pytest.fixture(params=["directory", "memory", "version 2", "group"])
def place(request, tmp_path):
    """A store of each kind, and the component of the array in it."""
    version = 2 if request.param == "version 2" else 3
    if request.param == "group":
        zarr.create_group(tmp_path / "group.zarr").create_array("deep/rows", data=ROWS, chunks=(5, 2))
        return str(tmp_path / "group.zarr"), "deep/rows"
    url = f"memory://contents-{tmp_path.name}/rows.zarr" if request.param == "memory" else str(tmp_path / "rows.zarr")
    zarr.create_array(url, data=ROWS, chunks=(5, 2), zarr_format=version)
    return url, None


def test_the_same_array_gives_the_same(place):
    found = contents_of(*place)
    assert found == contents_of(*place)
    assert found["shape"] == [20, 2]
    assert found["chunks"] is not None


def test_a_chunk_that_is_written_anew_is_seen(place):
    url, component = place
    before = contents_of(url, component)
    zarr.open(url, mode="r+", path=component or "")[:5] = ROWS[:5] + 1
    after = contents_of(url, component)
    assert after["chunks"] != before["chunks"]
    assert {**after, "chunks": before["chunks"]} == before


def test_a_chunk_that_was_removed_is_seen(tmp_path):
    zarr.create_array(tmp_path / "rows.zarr", data=ROWS, chunks=(5, 2))
    before = contents_of(tmp_path / "rows.zarr")
    (tmp_path / "rows.zarr" / "c" / "1" / "0").unlink()
    assert contents_of(tmp_path / "rows.zarr")["chunks"] != before["chunks"]


def test_another_array_is_another_one(tmp_path):
    zarr.create_array(tmp_path / "rows.zarr", data=ROWS, chunks=(5, 2))
    shutil.copytree(tmp_path / "rows.zarr", tmp_path / "copy.zarr")
    one, other = contents_of(tmp_path / "rows.zarr"), contents_of(tmp_path / "copy.zarr")
    assert one["store"] != other["store"]
    # The times of files travel with such a copy.
    assert {**one, "store": other["store"]} == other
