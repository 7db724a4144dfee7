"""Bad input gets one clear error: what was expected, what came, where. In every method that takes data."""

from __future__ import annotations

import copy

import dask.array as da
import numpy as np
import pytest
import scipy.sparse
import zarr

from daskgmm import GaussianMixture
from daskgmm.errors import (
    DaskGMMError,
    InputDataError,
    InputTypeError,
    ParameterError,
    RowError,
    StorageError,
    StoreNotFoundError,
)
from tests.bad_blocks import BAD_BLOCKS
from tests.drawn import draw

LAZY = ("predict", "predict_proba", "score_samples")
EAGER = ("score", "bic", "aic")
METHODS = ("fit", "fit_predict", *LAZY, *EAGER)
WITH_WEIGHTS = ("fit", "fit_predict", "score")


def here(values):
    return np.asarray(values)


def there(values):
    return da.from_array(np.asarray(values), chunks=(7, *np.shape(values)[1:]))


def unknown(values):
    lazy = there(values)
    return lazy[da.ones(len(values), chunks=7, dtype=bool)]


ANYWHERE = pytest.mark.parametrize("as_input", [here, there], ids=["numpy", "dask"])
IN_METHODS = pytest.mark.parametrize("method", METHODS)


@pytest.fixture
def rows():
    return draw("full", n_rows=40).rows


@pytest.fixture(scope="module")
def fitted():
    return GaussianMixture(2, random_state=0).fit(draw("full", n_rows=40).rows)


@pytest.fixture
def model(fitted):
    return copy.copy(fitted)


def use(model, method, X, **kwargs):
    result = getattr(model, method)(X, **kwargs)
    return result.compute() if isinstance(result, da.Array) else result


@IN_METHODS
@pytest.mark.parametrize("as_input", [here, there, unknown], ids=["numpy", "dask", "unknown sizes"])
@pytest.mark.parametrize(("row", "bad"), [(0, np.nan), (25, np.inf), (39, -np.inf)])
def test_a_row_that_is_not_finite_is_named(model, rows, method, as_input, bad, row):
    rows[row, 1] = bad
    block = 0 if as_input is here else row // 7
    place = f"row {row % 7} of block {block}" if as_input is unknown and block else rf"row {row} \("
    with pytest.raises(RowError, match=rf"^{place}.*feature 1 is {bad}; expected finite") as caught:
        use(model, method, as_input(rows))
    assert caught.value.block == block


def test_a_row_that_is_not_finite_is_named_with_a_given_start_too(rows):
    rows[25, 2] = np.nan
    start = draw("full").start
    with pytest.raises(RowError, match=r"^row 25 \(row 4 of block 3\): feature 2 is nan"):
        GaussianMixture(3, **start).fit(there(rows))


def test_a_row_that_is_not_finite_is_named_on_a_cluster(client, model, rows):
    rows[25, 2] = np.nan
    for method in ("fit", "predict", "score"):
        with pytest.raises(RowError, match=r"^row 25 \(row 4 of block 3\): feature 2 is nan"):
            use(model, method, there(rows))


@ANYWHERE
def test_a_value_too_large_to_square_is_named(rows, as_input):
    rows[25, 2] = 1e200
    start = draw("full").start
    with pytest.raises(RowError, match=r"^row 25 .*1e\+200 overflows"):
        GaussianMixture(3, **start).fit(as_input(rows))


@pytest.mark.parametrize("method", WITH_WEIGHTS)
@ANYWHERE
@pytest.mark.parametrize("bad", [-1.0, np.nan, np.inf])
def test_a_weight_that_is_negative_or_not_finite_is_named(model, rows, method, as_input, bad):
    weights = np.ones(40)
    weights[25] = bad
    with pytest.raises(RowError, match=rf"^row 25 .*sample_weight is {bad:g}; expected finite weights >= 0"):
        use(model, method, as_input(rows), sample_weight=weights)


@pytest.mark.parametrize("method", WITH_WEIGHTS)
@ANYWHERE
def test_weights_that_are_all_zero_are_an_error(model, rows, method, as_input):
    with pytest.raises(InputDataError, match="weight"):
        use(model, method, as_input(rows), sample_weight=np.zeros(40))


@pytest.mark.parametrize("method", WITH_WEIGHTS)
@ANYWHERE
@pytest.mark.parametrize("shape", [(39,), (41,), (40, 1), (1, 40), ()], ids=str)
@pytest.mark.parametrize("as_weights", [np.ones, da.ones], ids=["numpy", "dask"])
def test_weights_of_another_shape_than_the_rows_are_an_error(model, rows, method, as_input, shape, as_weights):
    with pytest.raises(InputDataError, match="sample_weight") as caught:
        use(model, method, as_input(rows), sample_weight=as_weights(shape))
    assert "40" in str(caught.value)


@pytest.mark.parametrize(
    "weights",
    [
        np.ones(40, dtype=complex),
        np.ones(40).astype(str),
        np.zeros(40, dtype="datetime64[s]"),
        np.array([None] * 40),
        np.ma.masked_less(np.arange(40.0), 3.0),
    ],
    ids=["complex", "text", "datetime", "object", "masked"],
)
@ANYWHERE
def test_weights_that_are_no_numbers_are_an_error(model, rows, as_input, weights):
    with pytest.raises(InputTypeError, match="sample_weight"):
        use(model, "fit", as_input(rows), sample_weight=weights)


def test_weights_here_for_rows_of_unknown_number_are_an_error(model, rows):
    with pytest.raises(InputDataError, match="compute_chunk_sizes"):
        model.fit(unknown(rows), sample_weight=np.ones(40))


@ANYWHERE
def test_fewer_rows_than_components_are_an_error(rows, as_input):
    with pytest.raises(InputDataError, match="n_components = 5, n_samples = 4"):
        GaussianMixture(5).fit(as_input(rows[:4]))


@IN_METHODS
@ANYWHERE
@pytest.mark.parametrize(
    ("shape", "expected"),
    [((0, 3), "0 sample"), ((40, 0), "0 feature"), ((40,), "2D"), ((4, 2, 3), "dim|2D"), ((), "2D")],
    ids=str,
)
def test_a_shape_that_is_not_rows_by_features_is_an_error(model, method, as_input, shape, expected):
    X = np.ones(shape) if as_input is here else da.ones(shape)
    with pytest.raises(ValueError, match=expected) as caught:
        use(model, method, X)
    assert as_input is here or isinstance(caught.value, InputDataError)


@IN_METHODS
def test_blocks_that_turn_out_to_hold_no_rows_are_an_error(model, rows, method):
    lazy = there(rows)
    none = lazy[lazy[:, 0] > 1e9]
    if method in LAZY:
        assert len(use(model, method, none)) == 0
    else:
        with pytest.raises(InputDataError):
            use(model, method, none)


@pytest.mark.parametrize("method", [*LAZY, *EAGER])
@ANYWHERE
@pytest.mark.parametrize("n_features", [1, 2, 4])
def test_another_number_of_features_than_fitted_is_an_error(model, method, as_input, n_features):
    expected = f"X has {n_features} features, but GaussianMixture is expecting 3 features"
    with pytest.raises(ValueError, match=expected):
        getattr(model, method)(as_input(np.ones((40, n_features))))


@IN_METHODS
@pytest.mark.parametrize("block", BAD_BLOCKS.values(), ids=BAD_BLOCKS.keys())
def test_blocks_that_are_not_what_the_array_says_are_an_error(model, rows, method, block):
    lazy = there(rows).map_blocks(block, meta=np.empty((0, 0)))
    with pytest.raises(InputDataError, match="expected"):
        use(model, method, lazy)


OTHER_THINGS = {
    "complex": lambda rows: rows.astype(complex),
    "text": lambda rows: np.full(rows.shape, "x"),
    "objects that are no numbers": lambda rows: np.full(rows.shape, object(), dtype=object),
    "datetime": lambda rows: np.zeros(rows.shape, "datetime64[s]"),
    "timedelta": lambda rows: np.zeros(rows.shape, "timedelta64[s]"),
    "structured": lambda rows: np.zeros(rows.shape, [("x", float)]),
    "masked": lambda rows: np.ma.masked_less(rows, 0.0),
    "sparse matrix": scipy.sparse.csr_matrix,
    "sparse array": scipy.sparse.csr_array,
    "nothing": lambda rows: None,
    "a number": lambda rows: 3.0,
    "a dictionary": lambda rows: {"rows": rows},
}


@IN_METHODS
@pytest.mark.parametrize("thing", OTHER_THINGS.values(), ids=OTHER_THINGS.keys())
def test_things_that_are_no_dense_array_of_numbers_are_an_error(model, rows, method, thing):
    with pytest.raises((ValueError, TypeError)):
        use(model, method, thing(rows))


@IN_METHODS
@pytest.mark.parametrize("dtype", ["c16", "U3", "O", "M8[s]", "m8[s]", [("x", float)]], ids=str)
def test_dask_arrays_that_say_they_hold_no_numbers_are_an_error_before_anything_is_read(model, method, dtype):
    def reads(block):
        raise AssertionError("must not be read")

    lazy = da.map_blocks(reads, chunks=((5, 5), (3,)), dtype=dtype, meta=np.empty((0, 0), dtype))
    with pytest.raises(InputTypeError, match="expected"):
        getattr(model, method)(lazy)


@pytest.mark.parametrize(
    "make_meta",
    [lambda: np.ma.masked_array(np.empty((0, 0))), lambda: scipy.sparse.csr_array((0, 0))],
    ids=["masked", "sparse"],
)
@IN_METHODS
def test_dask_arrays_that_say_they_are_not_dense_are_an_error_before_anything_is_read(model, rows, method, make_meta):
    lazy = there(rows)
    lazy._meta = make_meta()
    with pytest.raises(InputTypeError, match="expected dense"):
        getattr(model, method)(lazy)


def test_an_unknown_number_of_features_is_an_error(model):
    lazy = da.Array(there(np.ones((7, 3))).dask, "x", ((7,), (np.nan,)), dtype=float)
    with pytest.raises(InputDataError, match="features"):
        model.fit(lazy)


@IN_METHODS
@pytest.mark.parametrize("as_path", [str, lambda path: path], ids=["text", "path"])
def test_a_store_that_is_not_there_is_an_error_that_names_it(model, tmp_path, method, as_path):
    with pytest.raises(StoreNotFoundError, match=r"nowhere\.zarr") as caught:
        getattr(model, method)(as_path(tmp_path / "nowhere.zarr"))
    assert isinstance(caught.value, FileNotFoundError)
    assert list(tmp_path.iterdir()) == []


def test_a_store_with_missing_chunks_is_an_error(model, tmp_path):
    zarr.create_array(tmp_path / "rows.zarr", shape=(40, 3), chunks=(10, 3), dtype=float)[:10] = 1.0
    with pytest.raises(StorageError, match="missing"):
        model.fit(tmp_path / "rows.zarr")


START = draw("full").start
BAD_STARTS = {
    "weights of another shape": ("weights_init", np.ones(2) / 2),
    "weights that do not sum to 1": ("weights_init", np.ones(3)),
    "negative weights": ("weights_init", [1.5, -0.25, -0.25]),
    "means of another shape": ("means_init", np.zeros((3, 2))),
    "means of other components": ("means_init", np.zeros((2, 3))),
    "means that are not finite": ("means_init", np.full((3, 3), np.nan)),
    "means that are no numbers": ("means_init", [["a", "b", "c"]] * 3),
    "precisions of another shape": ("precisions_init", np.eye(3)),
    "precisions that are not symmetric": ("precisions_init", START["precisions_init"] + np.triu(np.ones((3, 3)), 1)),
    "precisions that are not positive definite": ("precisions_init", -START["precisions_init"]),
}


@pytest.mark.parametrize(("name", "value"), BAD_STARTS.values(), ids=BAD_STARTS.keys())
@pytest.mark.parametrize("alone", [True, False], ids=["alone", "with sound ones"])
@ANYWHERE
def test_a_start_that_does_not_fit_is_an_error_that_names_it(rows, as_input, name, value, alone):
    start = {name: value} if alone else {**START, name: value}
    with pytest.raises(ParameterError, match=name.removesuffix("_init")):
        GaussianMixture(3, **start).fit(as_input(rows))


@pytest.mark.parametrize(
    ("name", "value"),
    [("n_components", 0), ("tol", -1.0), ("covariance_type", "round"), ("init_params", "kmeans++"), ("kernel", "gpu")],
)
def test_a_setting_that_is_wrong_is_an_error_when_fitting(rows, name, value):
    model = GaussianMixture(**{name: value})
    with pytest.raises(ParameterError, match=f"^{name}: expected"):
        model.fit(rows)


@pytest.mark.parametrize("as_input", [here, there], ids=["numpy", "dask"])
def test_a_fit_that_fails_leaves_the_earlier_mixture(model, rows, as_input):
    before = model.score_samples(rows)
    bad = rows.copy()
    bad[3, 0] = np.nan
    with pytest.raises(DaskGMMError):
        model.fit(as_input(bad))
    np.testing.assert_array_equal(model.score_samples(rows), before)


def test_text_that_could_be_read_as_numbers_is_refused_in_memory_too():
    with pytest.raises(InputTypeError, match="convert text to numbers"):
        GaussianMixture().fit(np.array([["1.5"], ["2.5"], ["3"]]))
