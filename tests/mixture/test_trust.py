from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.testing import assert_allclose

from daskgmm.mixture.parameters import MixtureParameters
from daskgmm.mixture.trust import LARGEST_CAP, MOST_STEPS, TrustRegion, distance


def standard(**changes) -> MixtureParameters:
    values = {"weights": [0.5, 0.5], "means": [[0.0, 0.0], [9.0, 9.0]], "covariances": [4 * np.eye(2), np.eye(2)]}
    return MixtureParameters.from_covariances(**{**values, **changes}, covariance_type="full")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, 0.0),
        ({"means": [[3.0, 0.0], [9.0, 9.0]]}, 1.5),
        ({"weights": [0.25, 0.75]}, math.log(2)),
        ({"covariances": [4 * np.eye(2), np.diag([1.0, 3.0])]}, math.log(3)),
        ({"covariances": [4 * np.eye(2), np.diag([0.2, 1.0])]}, math.log(5)),
        ({"weights": [0.0, 1.0]}, math.inf),
    ],
)
def test_the_distance_is_that_of_the_component_that_moves_most(changes, expected):
    assert_allclose(distance(standard(), standard(**changes)), expected)


def test_every_covariance_type_measures_the_same_scaling(drawn):
    arguments = {"weights": drawn.weights, "means": drawn.means, "covariance_type": drawn.covariance_type}
    here = MixtureParameters.from_covariances(covariances=drawn.covariances, **arguments)
    there = MixtureParameters.from_covariances(covariances=2 * drawn.covariances, **arguments)
    assert_allclose(distance(here, there), math.log(2))


def test_a_good_model_is_trusted_further_and_longer_if_it_ran_out_of_steps():
    region = TrustRegion(cap=0.2, n_steps=8)
    assert region.after_rise(ratio=0.9, distance=0.1, cut_short=True) == TrustRegion(pytest.approx(0.3), 16)
    assert region.after_rise(ratio=0.9, distance=0.1, cut_short=False) == TrustRegion(pytest.approx(0.3), 8)


def test_a_poor_model_is_trusted_less():
    region = TrustRegion(cap=0.2, n_steps=8)
    assert region.after_rise(ratio=0.1, distance=0.1, cut_short=True) == TrustRegion(0.05, 4)
    assert region.after_fall(distance=0.1) == TrustRegion(0.05, 4)
    assert region.after_fall(distance=0.5) == TrustRegion(0.1, 4)


def test_trust_has_bounds():
    region = TrustRegion(cap=1.0, n_steps=MOST_STEPS)
    assert region.after_rise(ratio=1.0, distance=0.9, cut_short=True) == TrustRegion(LARGEST_CAP, MOST_STEPS)
