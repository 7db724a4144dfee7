"""Components that leave their place: what is lost, and what the mixture is then."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from daskgmm.mixture.density import log_density
from daskgmm.mixture.parameters import MixtureParameters
from daskgmm.mixture.relocation import losses_without, relocated
from tests import reference


@pytest.fixture
def parameters(drawn) -> MixtureParameters:
    return MixtureParameters.from_covariances(
        weights=drawn.weights, means=drawn.means, covariances=drawn.covariances, covariance_type=drawn.covariance_type
    )


@pytest.mark.parametrize("has_weights", [False, True])
def test_a_loss_is_what_the_log_likelihood_falls_by(parameters, drawn, has_weights):
    weights = np.linspace(0.0, 2.0, len(drawn.rows)) if has_weights else None
    mixture = reference.mixture(
        parameters.weights, parameters.means, parameters.covariances, parameters.covariance_type
    )
    rows = parameters.means.mean(axis=0) + drawn.rows / 100  # between the components, where none is alone
    shares = reference.responsibilities(rows, mixture).astype(float)
    losses = losses_without(shares, weights)
    each = np.ones(len(rows)) if weights is None else weights
    density = np.exp(log_density(rows, parameters))
    for component in range(parameters.n_components):
        rest = density * (1 - shares[:, component])
        expected = each @ (np.log(density) - np.log(rest))
        assert_allclose(losses[component], expected, rtol=1e-6)


def test_a_row_of_one_component_alone_costs_a_finite_amount():
    assert np.isfinite(losses_without(np.array([[1.0, 0.0]]), None)).all()


def test_a_component_moves_and_shares_the_weight_of_another(parameters):
    mean = np.array([1.0, 2.0, 3.0])
    moved = relocated(parameters, 0, beside=2, mean=mean)
    assert_array_equal(moved.means, [mean, parameters.means[1], parameters.means[2]])
    assert_allclose(moved.weights.sum(), 1.0)
    assert moved.weights[0] == moved.weights[2]
    assert_allclose(moved.weights[2] / moved.weights[1], parameters.weights[2] / parameters.weights[1] / 2)
    if parameters.covariance_type == "tied":
        assert_array_equal(moved.covariances, parameters.covariances)
    else:
        assert_array_equal(moved.covariances, parameters.covariances[[2, 1, 2]])


def test_the_mixture_that_a_component_leaves_is_not_changed(parameters):
    before = replace(parameters)
    relocated(parameters, 1, beside=0, mean=np.zeros(3))
    for name in ("weights", "means", "covariances"):
        assert_array_equal(getattr(parameters, name), getattr(before, name))


def test_as_many_components_as_features_with_one_covariance_keep_it():
    parameters = MixtureParameters.from_covariances(
        weights=[0.5, 0.5],
        means=[[0.0, 0.0], [1.0, 1.0]],
        covariances=[[2.0, 0.1], [0.1, 1.0]],
        covariance_type="tied",
    )
    moved = relocated(parameters, 0, beside=1, mean=np.zeros(2))
    assert_array_equal(moved.covariances, parameters.covariances)
