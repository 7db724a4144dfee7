"""Ellipses against NumPy's eigenvalues, and marginals against the densities that they should have."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from daskgmm.mixture.parameters import MixtureParameters
from daskgmm.view.drawn_mixture import parameters_shown
from daskgmm.view.ellipses import ellipse_of
from daskgmm.view.marginals import limits, marginal, mass_levels, separation
from tests.pictures import mixture, three


@pytest.mark.parametrize("seed", range(6))
def test_axes_are_roots_of_the_eigenvalues(seed):
    root = np.random.default_rng(seed).normal(size=(2, 2))
    covariance = root @ root.T
    shape = ellipse_of(np.array([3.0, -1.0]), covariance, 2.0)
    variances, axes = np.linalg.eigh(covariance)
    np.testing.assert_allclose([shape.height, shape.width], 4 * np.sqrt(variances), rtol=1e-8)
    direction = np.array([np.cos(np.radians(shape.angle)), np.sin(np.radians(shape.angle))])
    assert abs(direction @ axes[:, 1]) == pytest.approx(1.0, abs=1e-12)
    assert shape.centre == (3.0, -1.0)


def test_features_in_very_different_units_keep_both_axes():
    shape = ellipse_of(np.zeros(2), np.array([[1e16, 0.0], [0.0, 1e-6]]), 1.0)
    assert (shape.width, shape.height) == pytest.approx((2e8, 2e-3), rel=1e-12)
    # The eigenvalues of a matrix so scaled are known to 1e-16 of the larger one only.
    correlated = ellipse_of(np.zeros(2), np.array([[1e16, 5e4], [5e4, 1e-6]]), 1.0)
    assert correlated.height == pytest.approx(2e-3 * np.sqrt(0.75), rel=1e-9)


@pytest.mark.parametrize(
    ("kind", "covariances"),
    [
        ("full", [np.diag([1.0, 4.0, 9.0]), np.eye(3)]),
        ("tied", np.diag([1.0, 4.0, 9.0]) + 0.5),
        ("diag", [[1.0, 4.0, 9.0], [2.0, 2.0, 3.0]]),
        ("spherical", [4.0, 9.0]),
    ],
)
def test_marginals_have_the_density_of_scipy(kind, covariances):
    given = parameters_shown(mixture([0.3, 0.7], [[0, 1, 2], [3, 4, 5]], covariances, kind))
    pair = marginal(given, (2, 0))
    matrices = {
        "full": lambda k: np.asarray(covariances[k]),
        "tied": lambda k: np.asarray(covariances),
        "diag": lambda k: np.diag(covariances[k]),
        "spherical": lambda k: covariances[k] * np.eye(3),
    }[kind]
    for component in (0, 1):
        wanted = matrices(component)[np.ix_([2, 0], [2, 0])]
        np.testing.assert_array_equal(pair.covariances[component], wanted)
        np.testing.assert_array_equal(pair.means[component], given.means[component][[2, 0]])


def test_separation_is_variance_between_over_variance_within():
    given = parameters_shown(mixture([0.5, 0.5], [[0, 0, 7], [4, 1, 7]], [[4, 1, 1], [4, 1, 1]], "diag"))
    np.testing.assert_allclose(separation(given), [1.0, 0.25, 0.0])
    far = parameters_shown(mixture([0.5, 0.5], [[1e8], [1e8 + 4]], [[4], [4]], "diag"))
    np.testing.assert_allclose(separation(far), [1.0])


def test_limits_hold_the_components_and_their_rows():
    one = MixtureParameters.from_covariances(
        weights=[0.5, 0.5], means=[[0.0], [100.0]], covariances=[[1.0], [4.0]], covariance_type="diag"
    )
    low, high = limits(one)
    assert -10 < low < -3
    assert 106 < high < 120
    values = np.concatenate([stats.norm.rvs(0, 1, 1000, random_state=0), [130.0]])
    assert 130 < limits(one, values)[1] < 140
    # One row a million away would leave the others a pixel.
    assert limits(one, np.append(values, 1e6))[1] < 400


def test_a_light_component_far_out_does_not_push_the_others_into_a_corner():
    given = parameters_shown(mixture([1 - 1e-6, 1e-6], [[0.0], [1e6]], [[1.0], [1.0]], "diag"))
    assert limits(given)[1] < 10


def test_levels_hold_their_shares():
    at = np.linspace(-6, 6, 201)
    density = np.exp(-0.5 * (at[:, None] ** 2 + at**2))
    levels = mass_levels(density, (0.5, 0.9))
    # A share s of a round normal distribution lies where the density is above 1 - s of its peak.
    np.testing.assert_allclose(levels, [0.1, 0.5], atol=0.01)


def test_three_is_what_the_other_tests_take_it_for():
    assert parameters_shown(three(4)).means.shape == (3, 4)
