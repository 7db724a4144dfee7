from __future__ import annotations

import importlib.util
import pickle

import numpy as np
import pytest
import zarr

from daskgmm import open_zarr
from daskgmm.storage import codecs
from daskgmm.storage.zarr_open import open_array

zarrs = pytest.mark.skipif(importlib.util.find_spec("zarrs") is None, reason="zarrs is not installed")

ROWS = np.arange(4200.0).reshape(1050, 4)
LAYOUTS = {
    "default": {},
    "plain": {"compressors": None},
    "sharded": {"shards": (200, 4)},
    "blosc": {"compressors": zarr.codecs.BloscCodec()},
    "gzip": {"compressors": zarr.codecs.GzipCodec()},
    "version 2": {"zarr_format": 2},
    "big endian": {"zarr_format": 2, "dtype": ">f8"},
}


def written(path, layout):
    settings = {"shape": ROWS.shape, "dtype": "f8", **LAYOUTS[layout]}
    zarr.create_array(path, chunks=(100, 4), **settings)[:] = ROWS
    return path


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("installed", [pytest.param(True, marks=zarrs), False])
def test_every_layout_is_read_with_and_without_zarrs(tmp_path, monkeypatch, layout, installed):
    if not installed:
        monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    X = open_zarr(written(tmp_path / "rows.zarr", layout), chunks=400)
    np.testing.assert_array_equal(X.compute(scheduler="synchronous"), ROWS)


@zarrs
def test_an_array_remembers_its_codecs_on_its_way_to_other_processes(tmp_path):
    array, _ = open_array(written(tmp_path / "rows.zarr", "default"), None, None)
    for one in (array, pickle.loads(pickle.dumps(array))):
        assert type(one.async_array.codec_pipeline).__name__ == "ZarrsCodecPipeline"
    assert "zarrs" not in zarr.config.get("codec_pipeline.path").lower()


@zarrs
def test_an_array_that_zarrs_does_not_understand_is_opened_by_zarr(monkeypatch):
    seen = []

    def open_node():
        seen.append(zarr.config.get("codec_pipeline.path"))
        if len(seen) == 1:
            import warnings

            warnings.warn("Array is unsupported by ZarrsCodecPipeline: test", UserWarning, stacklevel=1)
        return "node"

    assert codecs.with_fastest_codecs(open_node) == "node"
    assert [path.startswith("zarrs") for path in seen] == [True, False]


@zarrs
def test_a_store_that_zarrs_cannot_reach_is_read_by_zarr():
    zarr.create_array("memory://codecs.zarr", data=ROWS, chunks=(100, 4), overwrite=True)
    np.testing.assert_array_equal(open_zarr("memory://codecs.zarr").compute(scheduler="synchronous"), ROWS)
