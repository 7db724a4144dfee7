"""Results of all rows, streamed from a Zarr array into another."""

from __future__ import annotations

import os
import tracemalloc
import uuid
from pathlib import Path

import dask
import dask.array as da
import numpy as np
import pytest
import zarr
from sklearn.exceptions import NotFittedError

from daskgmm import GaussianMixture, open_zarr
from daskgmm.errors import (
    InputDataError,
    OutputExistsError,
    OutputInUseError,
    ParameterError,
    RowError,
    StorageError,
)
from daskgmm.storage import result_chunks, stored_blocks
from daskgmm.storage.output import create_output
from daskgmm.storage.output_place import abandon
from daskgmm.writing import check_result, write_results
from tests.drawn import draw
from tests.watched import watched_computes

METHODS = {"labels": "predict", "proba": "predict_proba", "log-density": "score_samples"}
KINDS = pytest.mark.parametrize("what", METHODS)


@pytest.fixture(scope="module")
def rows() -> np.ndarray:
    return np.tile(draw("full", n_rows=500, n_features=2, spread=4.0).rows, (8, 1))[:-300]


@pytest.fixture(scope="module")
def mixture(rows) -> GaussianMixture:
    return GaussianMixture(3, random_state=0).fit(rows)


@pytest.fixture
def many_blocks(monkeypatch) -> None:
    """Make blocks of a few hundred rows, that small data may have many."""
    monkeypatch.setattr(stored_blocks, "STREAMED_BYTES", 500 * 2 * 8)
    monkeypatch.setattr(result_chunks, "MOST_BYTES", 300 * 3 * 8)


LAYOUTS = {
    "compressed": {"chunks": (250, 2)},
    "uncompressed": {"chunks": (250, 2), "compressors": None},
    "sharded": {"chunks": (50, 2), "shards": (200, 2)},
    "columns": {"chunks": (100, 1)},
    "one chunk": {"chunks": (5000, 2)},
    "version 2": {"chunks": (250, 2), "zarr_format": 2},
}


@KINDS
@pytest.mark.parametrize("layout", LAYOUTS)
def test_results_are_those_of_rows_in_memory(many_blocks, tmp_path, rows, mixture, what, layout):
    zarr.create_array(tmp_path / "rows", data=rows, **LAYOUTS[layout])
    with watched_computes() as computes:
        write_results(mixture, open_zarr(tmp_path / "rows"), tmp_path / "out", what=what)
    assert len(computes) == 1
    assert_same(tmp_path / "out", getattr(mixture, METHODS[what])(rows))


@KINDS
def test_a_path_will_do_and_one_dimension_is_one_feature(many_blocks, tmp_path, rows, what):
    column = rows[:, 0]
    mixture = GaussianMixture(2, random_state=0).fit(column[:, None])
    zarr.create_array(tmp_path / "rows", data=column, chunks=(250,))
    write_results(mixture, tmp_path / "rows", tmp_path / "out", what=what)
    assert_same(tmp_path / "out", getattr(mixture, METHODS[what])(column[:, None]))


@KINDS
def test_workers_write_the_same(client, tmp_path, rows, mixture, what):
    zarr.create_array(tmp_path / "rows", data=rows, chunks=(200, 2))
    # Blocks follow from the rows of a chunk that are asked for.
    X = open_zarr(tmp_path / "rows", chunks=200)
    write_results(mixture, X, tmp_path / "out", what=what)
    assert zarr.open_array(tmp_path / "out").chunks[0] == 200
    assert_same(tmp_path / "out", getattr(mixture, METHODS[what])(rows))


@KINDS
def test_dask_and_numpy_arrays_are_written_too(tmp_path, rows, mixture, what):
    expected = getattr(mixture, METHODS[what])(rows)
    write_results(mixture, da.from_array(rows, chunks=((1000, 1001, 1699), 2)), tmp_path / "dask", what=what)
    write_results(mixture, rows, tmp_path / "numpy", what=what)
    assert_same(tmp_path / "dask", expected)
    assert_same(tmp_path / "numpy", expected)


def test_a_part_of_a_store_is_not_taken_for_all_of_it(tmp_path, rows, mixture):
    zarr.create_array(tmp_path / "rows", data=rows, chunks=(250, 2))
    write_results(mixture, open_zarr(tmp_path / "rows")[100:600] * 2, tmp_path / "out", what="log-density")
    assert_same(tmp_path / "out", mixture.score_samples(rows[100:600] * 2))


def assert_same(place: Path, expected: np.ndarray) -> None:
    array = zarr.open_array(place, mode="r")
    assert array.dtype == expected.dtype
    assert array.attrs["daskgmm"] == {"complete": True}
    # A product of matrices may round a row in other ways in tiles of other lengths.
    np.testing.assert_allclose(array[:], expected, rtol=1e-12, atol=1e-14)


def test_a_chunk_of_results_belongs_to_one_block(many_blocks, tmp_path, rows, mixture):
    zarr.create_array(tmp_path / "rows", data=rows, chunks=(250, 2))
    for what, chunks in {"labels": (500,), "proba": (250, 3), "log-density": (500,)}.items():
        write_results(mixture, tmp_path / "rows", tmp_path / what, what=what)
        assert zarr.open_array(tmp_path / what).chunks == chunks


@pytest.mark.parametrize(
    ("what", "dtype"),
    [("labels", "int16"), ("labels", np.int32), ("proba", "float32"), ("log-density", np.float32)],
)
def test_other_numbers_may_be_asked_for(tmp_path, rows, mixture, what, dtype):
    zarr.create_array(tmp_path / "rows", data=rows, chunks=(250, 2))
    expected = getattr(mixture, METHODS[what])(rows).astype(dtype)
    for name, X in {"stream": tmp_path / "rows", "dask": da.from_array(rows, chunks=(1000, 2))}.items():
        write_results(mixture, X, tmp_path / name, what=what, dtype=dtype)
        written = zarr.open_array(tmp_path / name, mode="r")[:]
        assert written.dtype == dtype
        np.testing.assert_allclose(written, expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("what", "dtype", "message"),
    [
        ("labels", "float64", "int64, int32, int16 for labels; got float64"),
        ("labels", "uint8", "got uint8"),
        ("proba", "int16", "float64, float32 for proba; got int16"),
        ("log-density", "float16", "got float16"),
        ("proba", "nonsense", "got 'nonsense'"),
        ("classes", None, "expected one of labels, proba, log-density; got 'classes'"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_is_read(tmp_path, mixture, what, dtype, message):
    with pytest.raises(ParameterError, match=message):
        write_results(mixture, tmp_path / "absent", tmp_path / "out", what=what, dtype=dtype)


@pytest.mark.parametrize(("n_components", "fits"), [(32768, True), (32769, False)])
def test_int16_must_hold_the_labels(n_components, fits):
    if fits:
        assert check_result("labels", "int16", n_components) == np.int16
    else:
        with pytest.raises(ParameterError, match=r"labels 0 to 32768; int16 ends at 32767. Use int32"):
            check_result("labels", "int16", n_components)


def test_a_mixture_must_be_fitted_and_rows_must_go_with_it(tmp_path, mixture):
    with pytest.raises(NotFittedError):
        write_results(GaussianMixture(), np.ones((3, 2)), tmp_path / "out")
    with pytest.raises(InputDataError, match="3 features"):
        write_results(mixture, da.ones((3, 3)), tmp_path / "out")
    assert os.listdir(tmp_path) == []


def test_a_bad_row_is_named_by_its_place_and_leaves_nothing(many_blocks, tmp_path, rows, mixture):
    rows = rows.copy()
    rows[2345, 1] = np.nan
    zarr.create_array(tmp_path / "rows", data=rows, chunks=(250, 2))
    with pytest.raises(RowError, match=r"row 2345 \(row 345 of block 4\): feature 1 is nan"):
        write_results(mixture, tmp_path / "rows", tmp_path / "out")
    assert os.listdir(tmp_path) == ["rows"]


def test_results_at_a_url_are_complete_with_their_marker(tmp_path, rows, mixture):
    url = f"memory://{uuid.uuid4().hex}/labels"
    zarr.create_array(tmp_path / "rows", data=rows, chunks=(250, 2))
    write_results(mixture, tmp_path / "rows", url, storage_options={"asynchronous": True})
    with pytest.raises(OutputExistsError, match="--overwrite"):
        write_results(mixture, tmp_path / "rows", url)
    write_results(mixture, tmp_path / "rows", url, dtype="int16", overwrite=True)
    array = zarr.open_array(url, mode="r")
    assert array.attrs["daskgmm"] == {"complete": True}
    np.testing.assert_array_equal(array[:], mixture.predict(rows))


def test_rows_are_not_replaced_by_their_labels(tmp_path, mixture):
    write_results(mixture, np.ones((10, 2)), tmp_path / "proba", what="proba")
    three = GaussianMixture(1).fit(np.random.default_rng(0).normal(size=(50, 3)))
    with pytest.raises(ParameterError, match="it would replace them"):
        write_results(three, tmp_path / "proba", tmp_path / "proba", overwrite=True)
    assert zarr.open_array(tmp_path / "proba").shape == (10, 3)


def test_two_runs_do_not_write_to_one_place(tmp_path, rows, mixture):
    zarr.create_array(tmp_path / "rows", data=rows, chunks=(250, 2))
    with create_output(tmp_path / "out", shape=(1,), chunk_rows=1, dtype="i8") as output:
        with pytest.raises(OutputInUseError, match="another run is writing this output"):
            write_results(mixture, tmp_path / "rows", tmp_path / "out")
        output[:] = np.ones(1)
    assert sorted(os.listdir(tmp_path)) == ["out", "rows"]


def test_memory_does_not_grow_with_the_results(tmp_path):
    mixture = GaussianMixture(8, random_state=0).fit(np.random.default_rng(0).normal(size=(500, 1)))
    rows = zarr.create_array(tmp_path / "rows", shape=(3_000_000,), chunks=(100_000,), dtype="i1")
    rows[:] = 1
    tracemalloc.start()
    try:
        with dask.config.set(scheduler="synchronous", num_workers=1):
            write_results(mixture, tmp_path / "rows", tmp_path / "out", what="proba")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    result = zarr.open_array(tmp_path / "out", mode="r")
    assert result.nbytes == 192_000_000
    # 32 MiB of results, the codec's copy of them, and the blocks of rows.
    assert peak < 80e6


def test_workers_stop_when_their_output_is_given_up(client, tmp_path):
    def give_up_and_go_on() -> None:
        with create_output(tmp_path / "out", shape=(3700,), chunk_rows=250, dtype="i8") as output:
            abandon(output.array.store.root)
            da.store(da.zeros(3700, chunks=250, dtype="i8"), output, lock=False)

    with pytest.raises(StorageError, match="given up"):
        give_up_and_go_on()
    assert os.listdir(tmp_path) == []
