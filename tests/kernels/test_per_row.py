"""What a mixture says of each row, against the oracle in `reference.py` and against scikit-learn."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.mixture import GaussianMixture as SklearnGaussianMixture

from daskgmm.errors import InputDataError, InputTypeError, RowError
from daskgmm.kernels import per_row
from daskgmm.kernels.fused import is_available
from daskgmm.kernels.fused.row_results import CompiledRows
from daskgmm.kernels.per_row import MOST_TILE_ROWS, labels, log_density, responsibilities
from daskgmm.kernels.quadratic_form import MOST_LOST_DIGITS, lost_digits_ratio
from daskgmm.mixture.parameters import MixtureParameters
from tests import reference
from tests.strategies import mixtures_with_rows

ALL = [log_density, responsibilities, labels]
LEAST_WORKS = {"compiled": 0, "with NumPy": 2**62}


@pytest.fixture(autouse=True, scope="module", params=list(LEAST_WORKS))
def way(request) -> Iterator[str]:
    """Each test runs with the compiled loops and without."""
    if request.param == "compiled" and not is_available():
        pytest.skip("Numba is not installed")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(per_row, "LEAST_WORK", LEAST_WORKS[request.param])
        yield request.param


@pytest.fixture
def parameters(drawn) -> MixtureParameters:
    return MixtureParameters.from_covariances(
        weights=drawn.weights, means=drawn.means, covariances=drawn.covariances, covariance_type=drawn.covariance_type
    )


def reference_of(parameters: MixtureParameters) -> reference.Mixture:
    return reference.mixture(parameters.weights, parameters.means, parameters.covariances, parameters.covariance_type)


@given(mixtures_with_rows())
def test_log_densities_are_the_references(case):
    parameters, rows = case
    expected = reference.log_density(rows, reference_of(parameters)).astype(float)
    assert_allclose(log_density(rows, parameters), expected, rtol=1e-12, atol=1e-12)


@given(mixtures_with_rows())
def test_responsibilities_are_the_references_and_sum_to_one(case):
    parameters, rows = case
    result = responsibilities(rows, parameters)
    expected = reference.responsibilities(rows, reference_of(parameters)).astype(float)
    assert_allclose(result, expected, rtol=1e-9, atol=1e-13)
    assert_allclose(result.sum(axis=1), 1.0, rtol=1e-14)


@given(mixtures_with_rows())
def test_labels_are_the_most_responsible_components(case):
    parameters, rows = case
    result, posterior = labels(rows, parameters), responsibilities(rows, parameters)
    assert result.dtype == np.int64
    assert_array_equal(posterior[np.arange(len(rows)), result], posterior.max(axis=1) if len(rows) else [])


@pytest.mark.parametrize("change", [-1, 0, 1])
def test_tiles_join_without_a_seam(parameters, drawn, change):
    n_rows = 2 * MOST_TILE_ROWS + change
    rows = np.resize(drawn.rows, (n_rows, 3))
    for function in ALL:
        assert_allclose(function(rows, parameters)[:300], function(drawn.rows, parameters), rtol=1e-12)
        assert_allclose(function(rows, parameters)[-5:], function(rows[-5:], parameters), rtol=1e-12)


def test_no_rows_give_empty_results(parameters):
    rows = np.empty((0, 3))
    assert log_density(rows, parameters).shape == (0,)
    assert responsibilities(rows, parameters).shape == (0, 3)
    assert labels(rows, parameters).shape == (0,)


@pytest.mark.parametrize("distance", [1e3, 1e6, 1e150, 1e200, 1e300])
def test_rows_on_which_all_densities_underflow_get_finite_results(parameters, distance):
    rows = np.full((2, 3), distance)
    posterior = responsibilities(rows, parameters)
    assert np.isfinite(log_density(rows, parameters)).all()
    assert np.isfinite(posterior).all()
    assert_allclose(posterior.sum(axis=1), 1.0, rtol=1e-14)


def test_a_component_of_weight_zero_never_wins():
    parameters = MixtureParameters.from_covariances(
        weights=[1.0, 0.0], means=[[0.0], [5.0]], covariances=[1.0, 1.0], covariance_type="spherical"
    )
    rows = np.array([[5.0], [0.0]])
    assert labels(rows, parameters).tolist() == [0, 0]
    assert_allclose(responsibilities(rows, parameters), [[1.0, 0.0], [1.0, 0.0]], atol=1e-34)
    assert_allclose(log_density(rows, parameters), [-0.5 * np.log(2 * np.pi) - 12.5, -0.5 * np.log(2 * np.pi)])


@pytest.mark.parametrize("dtype", ["f4", "f8", ">f8", "i8", "u1", "?", "f2"])
def test_rows_of_any_real_dtype_are_computed_in_float64(parameters, dtype):
    rows = np.arange(12).reshape(4, 3).astype(dtype)
    result = log_density(rows, parameters)
    assert result.dtype == np.float64
    assert_array_equal(result, log_density(rows.astype(np.float64), parameters))


@pytest.mark.parametrize("function", ALL)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_row_that_is_not_finite_is_named(parameters, drawn, function, value):
    rows = np.resize(drawn.rows, (MOST_TILE_ROWS + 50, 3)).copy()
    rows[-7, 2] = value
    with pytest.raises(RowError, match="feature 2 is") as caught:
        function(rows, parameters)
    assert caught.value.row == len(rows) - 7


@pytest.mark.parametrize("function", ALL)
@pytest.mark.parametrize(
    ("rows", "error", "message"),
    [
        (np.zeros((4, 2)), InputDataError, r"shape \(rows, 3\); got shape \(4, 2\)"),
        (np.zeros(3), InputDataError, r"got shape \(3,\)"),
        (np.zeros((4, 3), dtype=complex), InputTypeError, "complex128"),
        (np.zeros((4, 3), dtype=object), InputTypeError, "object"),
        (np.zeros((4, 3), dtype="M8[s]"), InputTypeError, "datetime64"),
        (np.zeros((4, 3), dtype="m8[s]"), InputTypeError, "timedelta64"),
        (np.zeros((4, 3), dtype="U3"), InputTypeError, "U3"),
        (np.zeros((4, 3), dtype=[("a", float)]), InputTypeError, "'a'"),
        (np.ma.zeros((4, 3)), InputTypeError, "drop the masked rows"),
        ([[0.0, 0.0, 0.0]], InputTypeError, "got builtins.list"),
    ],
)
def test_blocks_without_a_density_are_refused(parameters, function, rows, error, message):
    with pytest.raises(error, match=message):
        function(rows, parameters)


@pytest.fixture
def far_apart(parameters) -> MixtureParameters:
    """The same mixture with means a million standard deviations apart, where quadratic features lose all digits."""
    return MixtureParameters.from_covariances(
        weights=parameters.weights,
        means=parameters.means * 1e6,
        covariances=parameters.covariances,
        covariance_type=parameters.covariance_type,
    )


def test_clusters_far_apart_are_as_exact_as_others(far_apart, drawn):
    assert lost_digits_ratio(far_apart) > MOST_LOST_DIGITS
    rows = far_apart.means[np.arange(300) % 3] + drawn.rows - drawn.rows.mean(axis=0)
    expected = reference.log_density(rows, reference_of(far_apart)).astype(float)
    # The rows are rounded to 1e-10 standard deviations themselves; the oracle sees the same numbers.
    assert_allclose(log_density(rows, far_apart), expected, rtol=1e-9)
    assert_array_equal(labels(rows, far_apart), np.arange(300) % 3)
    assert_allclose(responsibilities(rows, far_apart), np.eye(3)[np.arange(300) % 3], atol=1e-30)


@given(mixtures_with_rows())
def test_a_row_whose_squares_overflow_does_not_change_the_others(case):
    parameters, rows = case
    outlier = np.full((1, parameters.n_features), 1e200)
    together = np.concatenate([rows, outlier])
    assert_allclose(log_density(together, parameters)[:-1], log_density(rows, parameters), rtol=1e-11, atol=1e-11)
    assert_array_equal(labels(together, parameters)[:-1], labels(rows, parameters))


def test_the_first_of_equally_probable_components_is_the_label():
    parameters = MixtureParameters.from_covariances(
        weights=[0.25, 0.25, 0.5],
        means=[[1.0], [1.0], [100.0]],
        covariances=[1.0, 1.0, 1.0],
        covariance_type="spherical",
    )
    assert labels(np.array([[1.0], [0.0], [100.0]]), parameters).tolist() == [0, 0, 2]


@pytest.mark.parametrize("n_components", [1, 127, 128, 255, 256, 300])
def test_labels_are_right_for_any_number_of_components(n_components):
    means = 3.0 * np.arange(n_components)[:, None]
    parameters = MixtureParameters.from_covariances(
        weights=np.full(n_components, 1 / n_components),
        means=means,
        covariances=np.ones(n_components),
        covariance_type="spherical",
    )
    for dtype in ("i2", "i4", "i8"):
        result = labels(means + 0.5, parameters, dtype=dtype)
        assert result.dtype == dtype
        assert_array_equal(result, np.arange(n_components))


def test_other_number_formats_hold_the_same_results_rounded(parameters, drawn):
    for function in (log_density, responsibilities):
        result = function(drawn.rows, parameters, dtype=np.float32)
        assert result.dtype == np.float32
        assert_array_equal(result, function(drawn.rows, parameters).astype(np.float32))


def test_many_features_are_computed_by_deviations(generator):
    n_features = 64
    factors = generator.normal(size=(2, n_features, n_features)) / n_features**0.5
    parameters = MixtureParameters.from_covariances(
        weights=[0.3, 0.7],
        means=generator.normal(size=(2, n_features)),
        covariances=factors @ factors.transpose(0, 2, 1) + np.eye(n_features),
        covariance_type="full",
    )
    rows = generator.normal(size=(20, n_features))
    expected = reference.log_density(rows, reference_of(parameters)).astype(float)
    assert_allclose(log_density(rows, parameters), expected, rtol=1e-12)


def test_results_are_scikit_learns(drawn):
    model = SklearnGaussianMixture(3, covariance_type=drawn.covariance_type, random_state=0).fit(drawn.rows)
    parameters = MixtureParameters.from_covariances(
        weights=model.weights_,
        means=model.means_,
        covariances=model.covariances_,
        covariance_type=drawn.covariance_type,
    )
    assert_array_equal(labels(drawn.rows, parameters), model.predict(drawn.rows))
    assert_allclose(responsibilities(drawn.rows, parameters), model.predict_proba(drawn.rows), rtol=1e-9, atol=1e-13)
    assert_allclose(log_density(drawn.rows, parameters), model.score_samples(drawn.rows), rtol=1e-11)


def test_compiled_loops_are_taken_where_there_is_enough_work(drawn, monkeypatch, way):
    parameters = MixtureParameters.from_covariances(
        weights=drawn.weights, means=drawn.means, covariances=drawn.covariances, covariance_type=drawn.covariance_type
    )
    seen = []
    labels_of = CompiledRows.labels
    monkeypatch.setattr(CompiledRows, "labels", lambda self, rows: seen.append(len(rows)) or labels_of(self, rows))
    labels(drawn.rows, parameters)
    assert seen == ([len(drawn.rows)] if way == "compiled" else [])
