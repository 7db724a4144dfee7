from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from numpy.testing import assert_allclose

from daskgmm.kernels.centred import centred_moments
from daskgmm.kernels.quadratic import _tile_rows, quadratic_moments
from daskgmm.kernels.quadratic_form import MOST_LOST_DIGITS, lost_digits_ratio
from daskgmm.mixture.parameters import MixtureParameters
from tests.drawn import Drawn, draw
from tests.strategies import mixtures_with_rows

FEATURES, COMPONENTS = 6, 5
TILE = _tile_rows(FEATURES * (FEATURES + 1) // 2 + FEATURES + 1 + COMPONENTS)


def parameters_of(drawn: Drawn) -> MixtureParameters:
    return MixtureParameters.from_covariances(
        weights=drawn.weights, means=drawn.means, covariances=drawn.covariances, covariance_type=drawn.covariance_type
    )


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("n_rows", [0, 1, TILE - 1, TILE, TILE + 1])
def test_both_formulations_agree_at_the_edges_of_tiles(covariance_type, n_rows, weighted, assert_close):
    drawn = draw(covariance_type, n_rows=n_rows, n_features=FEATURES, n_components=COMPONENTS)
    weights = np.linspace(0.5, 2.0, n_rows) if weighted else None
    parameters = parameters_of(drawn)
    assert_close(
        quadratic_moments(drawn.rows, weights, parameters),
        centred_moments(drawn.rows, weights, parameters),
        rtol=1e-12,
    )


@given(mixtures_with_rows())
def test_both_formulations_agree_on_any_mixture(case):
    parameters, rows = case
    actual, expected = quadratic_moments(rows, None, parameters), centred_moments(rows, None, parameters)
    for name in ("log_likelihood", "counts", "first", "second"):
        assert_allclose(getattr(actual, name), getattr(expected, name), rtol=1e-10, atol=1e-10, err_msg=name)


def test_digits_are_kept_up_to_the_ratio_that_is_allowed(covariance_type, assert_close):
    drawn = draw(covariance_type, n_rows=5_000, n_features=4, n_components=6, spread=1.0)
    reach = lost_digits_ratio(parameters_of(drawn))
    far = draw(covariance_type, n_rows=5_000, n_features=4, n_components=6, spread=np.sqrt(MOST_LOST_DIGITS / reach))
    parameters = parameters_of(far)
    assert MOST_LOST_DIGITS / 2 < lost_digits_ratio(parameters) < MOST_LOST_DIGITS * 2
    assert_close(quadratic_moments(far.rows, None, parameters), centred_moments(far.rows, None, parameters), rtol=1e-12)


def test_rows_far_from_the_origin_cost_no_digits(covariance_type, assert_close):
    drawn = draw(covariance_type, n_rows=500)
    shifted = MixtureParameters.from_covariances(
        weights=drawn.weights, means=drawn.means + 1e8, covariances=drawn.covariances, covariance_type=covariance_type
    )
    rows = drawn.rows + 1e8
    assert_close(quadratic_moments(rows, None, shifted), centred_moments(rows, None, shifted), rtol=1e-12)
