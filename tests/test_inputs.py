from __future__ import annotations

import dask.array as da
import numpy as np
import pytest
import zarr
from numpy.testing import assert_array_equal

from daskgmm import GaussianMixture
from daskgmm.errors import InputDataError, InputTypeError
from daskgmm.inputs import row_blocks_of


@pytest.fixture
def values(generator):
    return generator.normal(size=(20, 3))


def stored(values, path):
    zarr.create_array(path, data=values, chunks=(5, 3))
    return path


@pytest.mark.parametrize("kind", ["dask", "zarr", "path", "text"])
def test_data_elsewhere_stay_there(values, tmp_path, kind):
    path = stored(values, tmp_path / "rows.zarr")
    X = {
        "dask": lambda: da.from_array(values, chunks=(5, 3)),
        "zarr": lambda: zarr.open_array(path, mode="r"),
        "path": lambda: path,
        "text": lambda: str(path),
    }[kind]()
    estimator = GaussianMixture()
    blocks = row_blocks_of(estimator, X, None, reset=True)
    assert not blocks.in_memory
    assert estimator.n_features_in_ == 3
    assert_array_equal(blocks.rows.compute(), values)


@pytest.mark.parametrize("kind", [np.asarray, np.asfortranarray, list, lambda values: values.tolist()])
def test_data_here_are_rows_in_memory(values, kind):
    blocks = row_blocks_of(GaussianMixture(), kind(values), None, reset=True)
    assert blocks.in_memory
    assert_array_equal(blocks.rows.compute(scheduler="synchronous"), values)


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [
        (np.float32, np.float32),
        (">f8", np.float64),
        (np.int32, np.float64),
        (bool, np.float64),
        (np.float16, np.float64),
    ],
)
def test_numbers_here_become_floats(values, dtype, expected):
    blocks = row_blocks_of(GaussianMixture(), (values * 4).astype(dtype), None, reset=True)
    assert blocks.rows.dtype == expected
    assert_array_equal(blocks.rows.compute(scheduler="synchronous"), (values * 4).astype(dtype))


def test_a_data_frame_gives_its_names(values):
    pandas = pytest.importorskip("pandas")
    estimator = GaussianMixture()
    row_blocks_of(estimator, pandas.DataFrame(values, columns=["a", "b", "c"]), None, reset=True)
    assert_array_equal(estimator.feature_names_in_, ["a", "b", "c"])


def test_data_without_names_drop_those_of_an_earlier_fit(values):
    estimator = GaussianMixture()
    estimator.feature_names_in_ = np.array(["a", "b", "c"], dtype=object)
    row_blocks_of(estimator, da.from_array(values), None, reset=True)
    assert not hasattr(estimator, "feature_names_in_")


@pytest.mark.parametrize("kind", [np.asarray, da.from_array], ids=["numpy", "dask"])
def test_other_features_than_those_fitted_are_an_error(values, kind):
    estimator = GaussianMixture()
    row_blocks_of(estimator, values, None, reset=True)
    with pytest.raises(ValueError, match="X has 2 features, but GaussianMixture is expecting 3 features as input"):
        row_blocks_of(estimator, kind(values[:, :2]), None, reset=False)


@pytest.mark.parametrize("kind", [np.asarray, da.from_array], ids=["numpy", "dask"])
def test_one_row_is_enough_once_fitted(values, kind):
    estimator = GaussianMixture()
    row_blocks_of(estimator, values, None, reset=True)
    assert row_blocks_of(estimator, kind(values[:1]), None, reset=False).n_samples == 1


def test_weights_go_with_the_rows(values):
    blocks = row_blocks_of(GaussianMixture(), da.from_array(values, chunks=(6, 3)), np.arange(20.0), reset=True)
    assert blocks.weights.chunks == blocks.rows.chunks[:1]
    assert_array_equal(blocks.weights.compute(), np.arange(20.0))


def test_a_masked_array_is_refused_with_advice(values):
    with pytest.raises(InputTypeError, match="masked"):
        row_blocks_of(GaussianMixture(), np.ma.masked_less(values, 0.0), None, reset=True)


@pytest.mark.parametrize("dtype", ["datetime64[s]", "timedelta64[s]", [("x", float)]], ids=str)
def test_arrays_that_hold_no_numbers_are_refused(dtype):
    with pytest.raises(InputTypeError, match="dtype"):
        row_blocks_of(GaussianMixture(), np.zeros((4, 2), dtype=dtype), None, reset=True)


def test_refused_data_leave_the_estimator_as_it_was(values):
    estimator = GaussianMixture()
    row_blocks_of(estimator, values, None, reset=True)
    for bad in (da.zeros((3, 2, 2)), da.zeros((0, 2)), da.zeros((4, 2), dtype=complex)):
        with pytest.raises(InputDataError):
            row_blocks_of(estimator, bad, None, reset=True)
    assert estimator.n_features_in_ == 3
