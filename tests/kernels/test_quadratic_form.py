from __future__ import annotations

import numpy as np
from numpy.testing import assert_allclose

from daskgmm.kernels.quadratic_form import QuadraticForm, lost_digits_ratio
from daskgmm.mixture.covariance import covariance_structure
from daskgmm.mixture.density import TileDensity
from daskgmm.mixture.parameters import MixtureParameters
from tests.drawn import Drawn


def parameters_of(drawn: Drawn) -> MixtureParameters:
    return MixtureParameters.from_covariances(
        weights=drawn.weights, means=drawn.means, covariances=drawn.covariances, covariance_type=drawn.covariance_type
    )


def test_coefficients_times_features_are_log_densities_up_to_what_components_share(drawn):
    parameters = parameters_of(drawn)
    form = QuadraticForm.of(parameters)
    columns = drawn.rows.T - form.centre[:, None]
    features = np.empty((form.n_quadratic, len(drawn.rows)))
    covariance_structure(drawn.covariance_type).quadratic_features(columns, out=features)
    log_prob = form.coefficients @ np.concatenate([features, columns, np.ones((1, len(drawn.rows)))])
    expected, _, _ = TileDensity.of(parameters, len(drawn.rows)).log_prob(drawn.rows)
    if form.structure.shares_scatter:
        expected += log_prob[0] - expected[0]
    assert_allclose(log_prob, expected, rtol=1e-11, atol=1e-11)


def test_the_form_can_be_taken_about_any_centre(drawn):
    parameters = parameters_of(drawn)
    plain, moved = QuadraticForm.of(parameters), QuadraticForm.of(parameters, centre=np.array([1.0, -2.0, 0.5]))

    def density(form):
        columns = drawn.rows.T - form.centre[:, None]
        features = np.empty((form.n_quadratic, len(drawn.rows)))
        form.structure.quadratic_features(columns, out=features)
        log_prob = form.coefficients @ np.concatenate([features, columns, np.ones((1, len(drawn.rows)))])
        return log_prob - log_prob[0]  # without what components share

    assert_allclose(density(moved), density(plain), rtol=1e-11, atol=1e-11)


def test_the_ratio_is_the_largest_squared_distance_from_the_centre(drawn):
    parameters = parameters_of(drawn)
    offsets = parameters.means - np.average(parameters.means, axis=0, weights=parameters.weights)
    covariances = {
        "full": drawn.covariances,
        "tied": [drawn.covariances] * 3,
        "diag": [np.diag(row) for row in np.atleast_2d(drawn.covariances)],
        "spherical": [value * np.eye(3) for value in np.ravel(drawn.covariances)],
    }[drawn.covariance_type]
    expected = max(
        offset @ np.linalg.solve(covariance, offset) for offset, covariance in zip(offsets, covariances, strict=True)
    )
    assert_allclose(lost_digits_ratio(parameters), expected, rtol=1e-10)
