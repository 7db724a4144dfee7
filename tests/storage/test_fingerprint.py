from __future__ import annotations

import json

import numpy as np
import pytest
import zarr

from daskgmm import GaussianMixture, open_zarr
from daskgmm.errors import StoreChangedError
from daskgmm.storage.dataset import as_row_blocks
from daskgmm.storage.fingerprint import Fingerprint

ROWS = np.random.default_rng(0).normal(size=(600, 3))


@pytest.fixture(params=[2, 3])
def store(request, tmp_path):
    zarr.create_array(tmp_path / "rows.zarr", data=ROWS, chunks=(100, 3), zarr_format=request.param)
    return tmp_path / "rows.zarr"


def test_an_array_that_stays_as_it_is_passes(store):
    array = zarr.open_array(store, mode="r")
    Fingerprint.of(array, "rows").check(array)


def test_a_store_replaced_by_another_is_noticed_and_both_are_described(store):
    blocks = as_row_blocks(open_zarr(store)).stored
    blocks.check_unchanged()
    zarr.create_array(store, data=ROWS[:500], chunks=(50, 3), overwrite=True)
    with pytest.raises(StoreChangedError, match=r"\(600, 3\).*\(100, 3\); found shape \(500, 3\).*\(50, 3\)"):
        blocks.check_unchanged()


def test_metadata_that_are_gone_are_noticed(store):
    blocks = as_row_blocks(open_zarr(store)).stored
    for name in ("zarr.json", ".zarray"):
        (store / name).unlink(missing_ok=True)
    with pytest.raises(StoreChangedError, match="found nothing"):
        blocks.check_unchanged()


def test_metadata_that_are_damaged_are_noticed(store):
    blocks = as_row_blocks(open_zarr(store)).stored
    for name in ("zarr.json", ".zarray"):
        (store / name).write_text("[" if name == ".zarray" else json.dumps([1]))
    with pytest.raises(StoreChangedError, match="cannot be understood"):
        blocks.check_unchanged()


def test_an_array_inside_a_group_is_looked_up_there(tmp_path):
    group = zarr.open_group(tmp_path / "group.zarr", mode="w")
    array = group.create_array("a/b", data=ROWS, chunks=(100, 3))
    assert "(600, 3)" in Fingerprint.of(array, "rows").description


def test_a_store_that_is_changed_during_a_fit_ends_it(store):
    X = open_zarr(store)
    fitted = GaussianMixture(2, random_state=0).fit(X)
    zarr.create_array(store, data=ROWS[:500], chunks=(50, 3), overwrite=True)
    with pytest.raises(StoreChangedError, match="start again"):
        fitted.fit(X)
