from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from numpy.testing import assert_allclose, assert_array_equal

from daskgmm.errors import InputDataError, InputTypeError, RowError
from daskgmm.mixture.density import log_density
from daskgmm.mixture.parameters import MixtureParameters
from daskgmm.mixture.rows import tile_rows
from tests import reference
from tests.strategies import mixtures_with_rows


@pytest.fixture
def parameters(drawn) -> MixtureParameters:
    return MixtureParameters.from_covariances(
        weights=drawn.weights, means=drawn.means, covariances=drawn.covariances, covariance_type=drawn.covariance_type
    )


def reference_of(parameters: MixtureParameters) -> reference.Mixture:
    return reference.mixture(parameters.weights, parameters.means, parameters.covariances, parameters.covariance_type)


@given(mixtures_with_rows())
def test_log_density_is_the_references(case):
    parameters, rows = case
    expected = reference.log_density(rows, reference_of(parameters)).astype(float)
    assert_allclose(log_density(rows, parameters), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("change", [-1, 0, 1])
def test_tiles_join_without_a_seam(parameters, drawn, change):
    n_rows = 2 * tile_rows(3, 3) + change
    rows = np.resize(drawn.rows, (n_rows, 3))
    assert_allclose(log_density(rows, parameters)[:300], log_density(drawn.rows, parameters), rtol=1e-12)
    assert_allclose(log_density(rows, parameters)[-5:], log_density(rows[-5:], parameters), rtol=1e-12)


def test_no_rows_give_empty_results(parameters):
    rows = np.empty((0, 3))
    assert log_density(rows, parameters).shape == (0,)


@pytest.mark.parametrize("distance", [1e3, 1e6, 1e150, 1e200, 1e300])
def test_rows_on_which_all_densities_underflow_get_finite_results(parameters, distance):
    rows = np.full((2, 3), distance)
    assert np.isfinite(log_density(rows, parameters)).all()


def test_a_component_of_weight_zero_adds_nothing():
    parameters = MixtureParameters.from_covariances(
        weights=[1.0, 0.0], means=[[0.0], [5.0]], covariances=[1.0, 1.0], covariance_type="spherical"
    )
    rows = np.array([[5.0], [0.0]])
    assert_allclose(log_density(rows, parameters), [-0.5 * np.log(2 * np.pi) - 12.5, -0.5 * np.log(2 * np.pi)])


@pytest.mark.parametrize("dtype", ["f4", "f8", ">f8", "i8", "u1", "?", "f2"])
def test_rows_of_any_real_dtype_are_computed_in_float64(parameters, dtype):
    rows = np.arange(12).reshape(4, 3).astype(dtype)
    result = log_density(rows, parameters)
    assert result.dtype == np.float64
    assert_array_equal(result, log_density(rows.astype(np.float64), parameters))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_row_that_is_not_finite_is_named(parameters, drawn, value):
    rows = np.resize(drawn.rows, (tile_rows(3, 3) + 50, 3)).copy()
    rows[-7, 2] = value
    with pytest.raises(RowError, match="feature 2 is") as caught:
        log_density(rows, parameters)
    assert caught.value.row == len(rows) - 7


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
def test_blocks_without_a_density_are_refused(parameters, rows, error, message):
    with pytest.raises(error, match=message):
        log_density(rows, parameters)
