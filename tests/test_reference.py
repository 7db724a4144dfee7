"""The oracle itself, against scikit-learn on easy data and against mpmath's digits."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture

from tests import reference


def fit_sklearn(drawn, **settings):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return GaussianMixture(3, covariance_type=drawn.covariance_type, **drawn.start, **settings).fit(drawn.rows)


def fit_reference(drawn, **settings):
    precisions = reference.matrices(drawn.start["precisions_init"], drawn.covariance_type, *drawn.means.shape)
    covariances = np.array([reference.inverse(precision) for precision in precisions])
    start = reference.Mixture(drawn.start["weights_init"], drawn.start["means_init"], covariances)
    return reference.em(drawn.rows, start, drawn.covariance_type, **settings)


def test_cholesky_factor_reproduces_the_matrix(generator):
    root = generator.normal(size=(4, 4))
    matrix = root @ root.T + np.eye(4)
    lower = reference.cholesky(matrix)
    assert_allclose(lower @ lower.T, matrix, rtol=1e-14)
    assert_allclose(reference.inverse(matrix) @ matrix, np.eye(4), atol=1e-14)


def test_cholesky_refuses_an_indefinite_matrix():
    with pytest.raises(ValueError, match="positive definite"):
        reference.cholesky(np.array([[1.0, 2.0], [2.0, 1.0]]))


def test_density_equals_scikit_learn(drawn):
    model = fit_sklearn(drawn, max_iter=3)
    mixture = reference.mixture(model.weights_, model.means_, model.covariances_, drawn.covariance_type)
    assert_allclose(reference.log_density(drawn.rows, mixture), model.score_samples(drawn.rows), rtol=1e-12)
    assert_allclose(reference.responsibilities(drawn.rows, mixture), model.predict_proba(drawn.rows), atol=1e-12)


def test_density_equals_fifty_digits(drawn):
    mixture = reference.mixture(drawn.weights, drawn.means, drawn.covariances, drawn.covariance_type)
    density = reference.log_density(drawn.rows[:5], mixture)
    for row, value in zip(drawn.rows, density, strict=False):
        exact = reference.log_density_digits(row, drawn.weights, drawn.means, drawn.covariances, drawn.covariance_type)
        assert_allclose(float(value), exact, rtol=1e-15)


def test_em_equals_scikit_learn(drawn):
    model = fit_sklearn(drawn, tol=1e-5, reg_covar=1e-6, max_iter=60)
    fit = fit_reference(drawn, tol=1e-5, reg_covar=1e-6, max_iter=60)
    assert fit.n_iter == model.n_iter_
    assert fit.converged == model.converged_
    assert_allclose(np.array(fit.lower_bounds, dtype=float), model.lower_bounds_, rtol=1e-11)
    assert_allclose(fit.mixture.weights, model.weights_, rtol=1e-9)
    assert_allclose(fit.mixture.means, model.means_, rtol=1e-9)
    assert_allclose(
        reference.compact(fit.mixture.covariances, drawn.covariance_type), model.covariances_, rtol=1e-8, atol=1e-12
    )


def test_em_raises_the_bound_in_every_iteration(drawn):
    fit = fit_reference(drawn, tol=0.0, reg_covar=0.0, max_iter=20)
    assert min(np.diff(fit.lower_bounds)) > 0


def test_moments_are_those_of_the_m_step(drawn):
    mixture = reference.mixture(drawn.weights, drawn.means, drawn.covariances, drawn.covariance_type)
    counts, first, second = reference.moments(drawn.rows, mixture, reference=drawn.means)
    update = reference.m_step(drawn.rows, reference.responsibilities(drawn.rows, mixture), "full", reg_covar=0.0)
    step = first / counts[:, None]
    assert_allclose(drawn.means + step, update.means, rtol=1e-15)
    assert_allclose(
        second / counts[:, None, None] - step[:, :, None] * step[:, None, :], update.covariances, rtol=1e-13
    )


def test_weight_two_is_the_row_twice(drawn):
    mixture = reference.mixture(drawn.weights, drawn.means, drawn.covariances, drawn.covariance_type)
    twice = np.concatenate([drawn.rows[:50], drawn.rows])
    weights = np.where(np.arange(len(drawn.rows)) < 50, 2.0, 1.0)
    weighted = reference.em(
        drawn.rows, mixture, drawn.covariance_type, tol=0, reg_covar=0, max_iter=3, sample_weight=weights
    )
    repeated = reference.em(twice, mixture, drawn.covariance_type, tol=0, reg_covar=0, max_iter=3)
    assert_allclose(weighted.mixture.covariances, repeated.mixture.covariances, rtol=1e-13, atol=1e-17)
    assert_allclose(weighted.lower_bounds[-1], repeated.lower_bounds[-1], rtol=1e-15)
