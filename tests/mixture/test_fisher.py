from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.stats import multivariate_normal

from daskgmm.kernels.blas import e_step
from daskgmm.mixture.fisher import FisherCoordinates
from daskgmm.mixture.m_step import m_step
from daskgmm.mixture.parameters import MixtureParameters
from tests.drawn import Drawn


def parameters_of(drawn: Drawn, *, shift: float = 0.0, scale: float = 1.0) -> MixtureParameters:
    """The mixture that the rows were drawn from, or one some way off."""
    weights = drawn.weights + shift * np.linspace(-0.1, 0.1, len(drawn.weights))
    return MixtureParameters.from_covariances(
        weights=weights / weights.sum(),
        means=drawn.means + shift * np.linspace(-1, 1, drawn.means.size).reshape(drawn.means.shape),
        covariances=drawn.covariances * scale,
        covariance_type=drawn.covariance_type,
    )


def matrices(parameters: MixtureParameters) -> np.ndarray:
    n_components, n_features = parameters.means.shape
    covariances, eye = parameters.covariances, np.eye(n_features)
    if parameters.covariance_type == "full":
        return covariances
    if parameters.covariance_type == "tied":
        return np.broadcast_to(covariances, (n_components, n_features, n_features))
    return covariances.reshape(n_components, -1)[:, :, None] * eye


def log_densities(rows: np.ndarray, parameters: MixtureParameters) -> np.ndarray:
    """Log weight plus log density of each row and component, from SciPy."""
    parts = zip(parameters.weights, parameters.means, matrices(parameters), strict=True)
    return np.stack([np.log(w) + multivariate_normal(m, c).logpdf(rows) for w, m, c in parts], axis=1)


def test_the_product_with_statistics_is_the_change_of_the_expected_complete_data_log_likelihood(drawn):
    origin, here, there = (
        parameters_of(drawn),
        parameters_of(drawn, shift=0.3),
        parameters_of(drawn, shift=0.8, scale=1.7),
    )
    sample_weights = np.linspace(0.5, 2.0, len(drawn.rows))
    statistics = e_step(drawn.rows, sample_weights, here)
    log_prob = log_densities(drawn.rows, here)
    responsibilities = np.exp(log_prob - np.logaddexp.reduce(log_prob, axis=1, keepdims=True))
    difference = log_densities(drawn.rows, there) - log_densities(drawn.rows, origin)
    expected = (sample_weights[:, None] * responsibilities * difference).sum() / sample_weights.sum()
    coordinates = FisherCoordinates.about(origin)
    found = coordinates.of_parameters(there) @ coordinates.of_statistics(statistics)
    assert_allclose(found, expected, rtol=1e-11)


def test_the_origin_lies_at_zero(drawn):
    origin = parameters_of(drawn)
    assert_allclose(FisherCoordinates.about(origin).of_parameters(origin), 0, atol=1e-12)


def test_statistics_come_back_from_their_coordinates(drawn):
    coordinates = FisherCoordinates.about(parameters_of(drawn))
    statistics = e_step(drawn.rows, None, parameters_of(drawn, shift=0.4))
    there = coordinates.statistics(coordinates.of_statistics(statistics))
    back = there.about(statistics.reference)
    assert_allclose(back.counts * len(drawn.rows), statistics.counts, rtol=1e-12)
    assert_allclose(back.first * len(drawn.rows), statistics.first, rtol=1e-9, atol=1e-9)
    assert_allclose(back.second * len(drawn.rows), statistics.second, rtol=1e-9, atol=1e-9)


def test_natural_parameters_and_expected_statistics_move_together_to_first_order(drawn):
    """The Fisher information of the complete data is the identity."""
    origin = parameters_of(drawn)
    coordinates = FisherCoordinates.about(origin)
    base = coordinates.of_statistics(e_step(drawn.rows, None, origin))
    direction = coordinates.of_statistics(e_step(drawn.rows, None, parameters_of(drawn, shift=0.5))) - base
    here = m_step(coordinates.statistics(base), reg_covar=0.0).parameters
    step = 1e-5
    moved = m_step(coordinates.statistics(base + step * direction), reg_covar=0.0).parameters
    local = FisherCoordinates.about(here)
    natural = local.of_parameters(moved) / step
    expected = (
        local.of_statistics(coordinates.statistics(base + step * direction))
        - local.of_statistics(coordinates.statistics(base))
    ) / step
    assert_allclose(natural, expected, atol=1e-3 * np.abs(expected).max())


@pytest.mark.parametrize("scale", [1e-3, 1e4])
def test_units_of_the_features_do_not_matter(drawn, scale):
    origin, there = parameters_of(drawn), parameters_of(drawn, shift=0.3, scale=1.4)

    def scaled(parameters):
        return MixtureParameters.from_covariances(
            weights=parameters.weights,
            means=parameters.means * scale,
            covariances=parameters.covariances * scale**2,
            covariance_type=parameters.covariance_type,
        )

    expected = FisherCoordinates.about(origin).of_parameters(there)
    assert_allclose(
        FisherCoordinates.about(scaled(origin)).of_parameters(scaled(there)), expected, rtol=1e-8, atol=1e-9
    )
