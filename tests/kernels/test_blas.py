from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from numpy.testing import assert_allclose, assert_array_equal

from daskgmm.errors import InputDataError, InputTypeError, RowError
from daskgmm.kernels.blas import _formulation, e_step
from daskgmm.kernels.centred import centred_moments
from daskgmm.kernels.quadratic import quadratic_moments
from daskgmm.kernels.triangular import triangular_moments
from daskgmm.mixture.parameters import MixtureParameters
from daskgmm.mixture.rows import tile_rows
from daskgmm.mixture.statistics import SufficientStatistics
from tests import reference
from tests.drawn import Drawn, draw
from tests.mixture.test_statistics import compact_second
from tests.strategies import mixtures_with_rows

TILE = tile_rows(8, 8)
SUMS = ("weight", "log_likelihood", "counts", "first", "second")


def parameters_of(drawn: Drawn) -> MixtureParameters:
    return MixtureParameters.from_covariances(
        weights=drawn.weights, means=drawn.means, covariances=drawn.covariances, covariance_type=drawn.covariance_type
    )


def assert_is_the_references(statistics: SufficientStatistics, rows, weights, parameters, *, rtol=1e-12, atol=0.0):
    """Equal to `rtol` of the largest element: moments of either sign may cancel to nearly zero."""
    mixture = reference.mixture(
        parameters.weights, parameters.means, parameters.covariances, parameters.covariance_type
    )
    counts, first, second = reference.moments(rows, mixture, parameters.means, weights)
    log_likelihood = reference.weigh(reference.log_density(rows, mixture), weights).sum()
    expected = {
        "counts": counts,
        "first": first,
        "second": compact_second(second, parameters.covariance_type),
        "log_likelihood": log_likelihood,
        "weight": len(rows) if weights is None else np.sum(weights),
    }
    assert statistics.n_samples == len(rows)
    for name, value in expected.items():
        value = np.asarray(value, dtype=float)
        scale = np.abs(value).max(initial=0.0)
        assert_allclose(getattr(statistics, name), value, rtol=rtol, atol=rtol * scale + atol, err_msg=name)


def assert_same_bits(actual: SufficientStatistics, expected: SufficientStatistics) -> None:
    for name in SUMS:
        assert_array_equal(getattr(actual, name), getattr(expected, name), err_msg=name)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("n_rows", [0, 1, TILE - 1, TILE, TILE + 1])
def test_statistics_are_the_references_at_the_edges_of_tiles(covariance_type, n_rows, weighted):
    drawn = draw(covariance_type, n_rows=n_rows, n_components=8, n_features=8)
    weights = np.linspace(0.0, 2.0, n_rows) if weighted else None
    parameters = parameters_of(drawn)
    assert_is_the_references(e_step(drawn.rows, weights, parameters), drawn.rows, weights, parameters)


@given(mixtures_with_rows())
def test_statistics_of_any_mixture_are_the_references(case):
    parameters, rows = case
    assert_is_the_references(e_step(rows, None, parameters), rows, None, parameters, rtol=1e-11, atol=1e-11)


def test_moments_are_about_the_means(drawn):
    parameters = parameters_of(drawn)
    assert_array_equal(e_step(drawn.rows, None, parameters).reference, parameters.means)


def test_inputs_are_not_written_to(drawn):
    rows, weights = drawn.rows.copy(), np.linspace(0.0, 2.0, len(drawn.rows))
    rows.flags.writeable = weights.flags.writeable = False
    e_step(rows, weights, parameters_of(drawn))
    assert_array_equal(rows, drawn.rows)


@pytest.mark.parametrize(
    "view",
    [
        np.asfortranarray,
        lambda rows: np.repeat(rows, 2, axis=0)[::2],
        lambda rows: np.repeat(rows, 2, axis=1)[:, ::2],
        lambda rows: rows[::-1].copy()[::-1],
        lambda rows: rows.astype(">f8"),
        lambda rows: rows.astype(np.longdouble),
    ],
    ids=["fortran", "every second row", "every second column", "reversed", "big-endian", "longdouble"],
)
def test_memory_layout_changes_no_bit(drawn, view):
    parameters = parameters_of(drawn)
    assert_same_bits(e_step(view(drawn.rows), None, parameters), e_step(drawn.rows, None, parameters))


@pytest.mark.parametrize("dtype", ["f2", "i4", "u1", "?"])
def test_narrow_dtypes_are_computed_in_float64(drawn, dtype):
    rows = np.abs(drawn.rows).astype(dtype)
    statistics = e_step(rows, None, parameters_of(drawn))
    assert statistics.second.dtype == np.float64
    assert_same_bits(statistics, e_step(rows.astype(np.float64), None, parameters_of(drawn)))


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("spread", [0.5, 2.0, 6.0, 30.0])
def test_float32_rows_are_within_the_stated_bound(covariance_type, spread, weighted):
    drawn = draw(covariance_type, n_rows=20_000, n_components=8, n_features=8, spread=spread)
    weights = np.linspace(0.0, 2.0, 20_000) if weighted else None
    rows, parameters = drawn.rows.astype(np.float32), parameters_of(drawn)
    narrow, wide = e_step(rows, weights, parameters), e_step(rows.astype(np.float64), weights, parameters)
    assert narrow.second.dtype == np.float64
    for name in ("log_likelihood", "counts", "second"):
        expected = getattr(wide, name)
        scale = np.abs(expected).max()
        assert_allclose(getattr(narrow, name), expected, rtol=1e-5, atol=1e-5 * scale, err_msg=name)


def test_the_fastest_formulation_that_is_exact_is_taken():
    def taken(covariance_type: str, n_features: int, distance: float, dtype: str = "f8") -> object:
        """What is done about two components of unit variance, each at this distance from their centre."""
        unit = np.eye(n_features) if covariance_type in ("full", "tied") else np.ones(n_features)
        covariances = {"full": [unit, unit], "tied": unit, "diag": [unit, unit], "spherical": [1.0, 1.0]}
        means = np.zeros((2, n_features))
        means[:, 0] = -distance, distance
        parameters = MixtureParameters.from_covariances(
            weights=[0.5, 0.5], means=means, covariances=covariances[covariance_type], covariance_type=covariance_type
        )
        return _formulation(np.zeros((1, n_features), dtype), parameters)

    assert taken("full", 8, 1.0) is quadratic_moments
    assert taken("full", 8, 65.0) is centred_moments
    assert taken("full", 64, 1.0) is triangular_moments
    assert taken("full", 64, 4e3) is triangular_moments
    assert taken("full", 64, 5e3) is centred_moments
    assert taken("tied", 64, 1.0) is taken("diag", 64, 1.0) is taken("spherical", 64, 1.0) is quadratic_moments
    assert taken("full", 8, 1.0, "f4").keywords == {"dtype": np.float32}
    assert taken("full", 8, 17.0, "f4") is quadratic_moments


@pytest.mark.parametrize(
    "weights", [np.ones(300, dtype="f4"), np.ones(300, dtype=int), np.ones(300, dtype=bool), [1] * 300]
)
def test_weights_of_one_change_nothing(drawn, weights):
    parameters = parameters_of(drawn)
    weighted, plain = e_step(drawn.rows, weights, parameters), e_step(drawn.rows, None, parameters)
    for name in SUMS:
        assert_allclose(getattr(weighted, name), getattr(plain, name), rtol=1e-14, err_msg=name)


def test_the_same_call_gives_the_same_bits(drawn):
    parameters = parameters_of(drawn)
    assert_same_bits(e_step(drawn.rows, None, parameters), e_step(drawn.rows, None, parameters))


def test_components_far_from_all_rows_leave_no_denormal_numbers(covariance_type):
    drawn = draw(covariance_type, n_rows=200)
    parameters = MixtureParameters.from_covariances(
        weights=drawn.weights,
        means=drawn.means + np.array([[0.0], [36.0], [1e4]]),  # exp(-18^2 * 2), exp(-5e7)
        covariances=drawn.covariances,
        covariance_type=covariance_type,
    )
    statistics = e_step(drawn.rows, None, parameters)
    assert_is_the_references(statistics, drawn.rows, None, parameters, atol=1e-30)
    values = np.abs(np.concatenate([statistics.counts, statistics.first.ravel(), statistics.second.ravel()]))
    assert ((values == 0) | (values > np.finfo(float).tiny)).all()


@pytest.mark.parametrize("distance", [1e3, 1e6, 1e100])
def test_rows_on_which_all_densities_underflow_still_count(drawn, distance):
    rows = np.concatenate([drawn.rows, [[distance, -distance, distance]]])
    statistics = e_step(rows, None, parameters_of(drawn))
    assert_allclose(statistics.counts.sum(), len(rows), rtol=1e-13)
    for name in SUMS:
        assert np.isfinite(getattr(statistics, name)).all()


def test_moments_of_shifted_data_keep_their_digits(covariance_type):
    drawn = draw(covariance_type)
    rows = drawn.rows + 1e8
    parameters = MixtureParameters.from_covariances(
        weights=drawn.weights, means=drawn.means + 1e8, covariances=drawn.covariances, covariance_type=covariance_type
    )
    assert_is_the_references(e_step(rows, None, parameters), rows, None, parameters)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e200])
def test_a_row_that_cannot_be_used_is_named(drawn, value):
    rows = drawn.rows.copy()
    rows[123, 1] = value
    with pytest.raises(RowError) as caught:
        e_step(rows, None, parameters_of(drawn))
    assert caught.value.row == 123


def test_a_row_that_cannot_be_used_is_ignored_with_weight_zero(drawn):
    rows, weights = drawn.rows.copy(), np.ones(len(drawn.rows))
    rows[[1, 2, 3]] = [[np.nan], [np.inf], [1e300]]
    weights[[1, 2, 3]] = 0.0
    parameters = parameters_of(drawn)
    statistics = e_step(rows, weights, parameters)
    expected = e_step(np.delete(drawn.rows, [1, 2, 3], axis=0), None, parameters)
    assert (statistics.n_samples, statistics.weight) == (300, 297.0)
    for name in SUMS:
        assert_allclose(getattr(statistics, name), getattr(expected, name), rtol=1e-13, atol=1e-13, err_msg=name)


def test_a_bad_row_is_named_by_its_place_among_all_rows(drawn):
    rows, weights = drawn.rows.copy(), np.ones(len(drawn.rows))
    weights[:5], rows[9] = 0.0, np.nan
    with pytest.raises(RowError) as caught:
        e_step(rows, weights, parameters_of(drawn))
    assert caught.value.row == 9


@pytest.mark.parametrize("value", [-1.0, np.nan, np.inf])
def test_a_wrong_weight_is_named(drawn, value):
    weights = np.ones(len(drawn.rows))
    weights[7] = value
    with pytest.raises(RowError, match="sample_weight is") as caught:
        e_step(drawn.rows, weights, parameters_of(drawn))
    assert caught.value.row == 7


@pytest.mark.parametrize("rows", [np.zeros((5, 2)), np.zeros(3), np.zeros((2, 3, 1))])
def test_rows_of_the_wrong_shape_are_refused(drawn, rows):
    with pytest.raises(InputDataError, match="expected blocks of shape"):
        e_step(rows, None, parameters_of(drawn))


@pytest.mark.parametrize("dtype", [complex, object, "M8[s]", "U3"])
def test_rows_without_real_numbers_are_refused(drawn, dtype):
    with pytest.raises(InputTypeError, match="expected real numbers"):
        e_step(np.zeros((5, 3), dtype=dtype), None, parameters_of(drawn))
