from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from numpy.testing import assert_allclose, assert_array_equal

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
        return _formulation(means.astype(dtype), parameters)

    assert taken("full", 8, 1.0) is quadratic_moments
    assert taken("full", 8, 65.0) is centred_moments
    assert taken("full", 64, 30.0) is triangular_moments
    assert taken("full", 64, 1.0) is quadratic_moments
    assert taken("full", 100, 1.0) is triangular_moments
    assert taken("full", 64, 4e3) is triangular_moments
    assert taken("full", 64, 5e3) is centred_moments
    assert taken("tied", 64, 1.0) is taken("diag", 64, 1.0) is taken("spherical", 64, 1.0) is quadratic_moments
    assert taken("full", 8, 1.0, "f4").keywords == {"dtype": np.float32}
    assert taken("full", 8, 20.0, "f4") is quadratic_moments
