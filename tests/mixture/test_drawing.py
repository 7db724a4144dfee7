from __future__ import annotations

import numpy as np
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.mixture import GaussianMixture

from daskgmm.mixture.drawing import draw
from daskgmm.mixture.parameters import MixtureParameters


def parameters_of(drawn) -> MixtureParameters:
    return MixtureParameters.from_covariances(
        weights=drawn.weights, means=drawn.means, covariances=drawn.covariances, covariance_type=drawn.covariance_type
    )


def test_rows_are_those_that_scikit_learn_draws(drawn):
    model = GaussianMixture(3, covariance_type=drawn.covariance_type, random_state=5)
    model.weights_, model.means_, model.covariances_ = drawn.weights, drawn.means, drawn.covariances
    model.precisions_cholesky_ = parameters_of(drawn).precisions_cholesky
    expected_rows, expected_labels = model.sample(50)
    rows, labels = draw(parameters_of(drawn), 50, np.random.RandomState(5))
    assert_allclose(rows, expected_rows, rtol=1e-12)
    assert_array_equal(labels, expected_labels)


def test_many_rows_have_the_moments_of_their_components(drawn, generator):
    rows, labels = draw(parameters_of(drawn), 60_000, generator)
    assert_allclose(np.bincount(labels) / len(rows), drawn.weights, atol=0.01)
    for k in range(3):
        assert_allclose(rows[labels == k].mean(axis=0), drawn.means[k], atol=0.05)


def test_no_rows_can_be_drawn(drawn, generator):
    rows, labels = draw(parameters_of(drawn), 0, generator)
    assert rows.shape == (0, 3)
    assert labels.shape == (0,)
