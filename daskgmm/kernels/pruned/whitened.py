"""A mixture seen through the pooled covariance of its components: whitened means, and how wide each component is there.

Rows are whitened as z = (x - centre) @ whitening, after which the weighted mean of all covariances is the identity, so
that balls around means are no bad picture of components whose features correlate alike.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from daskgmm.mixture.covariance import Floats, covariance_structure
from daskgmm.mixture.density import log_factors
from daskgmm.mixture.parameters import MixtureParameters

__all__ = ["SLACK", "WhitenedMixture", "Whitening", "whiten_mixture", "whitening_of"]

SLACK = 1e-6
"""By what fraction lengths are shortened or widened so that rounding turns no bound around."""
EPSILON = float(np.finfo(np.float64).eps)
# Rounding in a whitened length is at most this times features times epsilon times the condition of the factor.
ROUNDING = 8.0
# ||A^16||_F^(1/16) is at least the largest eigenvalue of A, and at most n_features^(1/32) of it: 1.14 at 64 features.
SQUARINGS = 4
# Numbers of the matrices that are worked on at once, 8 MiB.
MATRIX_ELEMENTS = 2**20


@dataclass(frozen=True, slots=True, eq=False)
class Whitening:
    """The change of coordinates."""

    centre: Floats
    """Shape (n_features,)."""
    matrix: Floats
    """Shape (n_features, n_features)."""
    inverse: Floats
    """Shape (n_features, n_features)."""
    rounding: float
    """How far rounding may move a whitened point, by its distance from the centre."""

    def __call__(self, rows: Floats) -> Floats:
        """Return rows (n_rows, n_features) whitened."""
        whitened: Floats = (rows - self.centre) @ self.matrix
        return whitened


@dataclass(frozen=True, slots=True, eq=False)
class WhitenedMixture:
    """What bounds and searches look at."""

    parameters: MixtureParameters
    whitening: Whitening
    log_factors: Floats
    """Log density of each component at its mean, log weight included, shape (n_components,)."""
    means: Floats
    """Whitened means, shape (n_components, n_features)."""
    precisions: Floats
    """Whitened precisions, shape (n_components, n_features, n_features), or their diagonals; one for all if shared."""
    widths: Floats
    """Not less than the longest half-axis of each whitened component, shape (n_components,)."""
    scales: Floats
    """Root mean squared half-axis of each whitened component, shape (n_components,)."""


def whitening_of(parameters: MixtureParameters) -> Whitening | None:
    """Return the whitening of a mixture, or None if a covariance is too ill-conditioned for bounds to be sound."""
    covariances = as_given(parameters, parameters.covariances)
    factors = as_given(parameters, parameters.precisions_cholesky)
    n_features = parameters.n_features
    weights = parameters.weights if len(covariances) > 1 else np.ones(1)
    pooled = np.tensordot(weights, covariances, axes=1)
    matrices = covariances.ndim == 3
    # In units of each feature's own deviation: scales far apart between features are no ill condition.
    variances = np.diagonal(pooled) if matrices else pooled
    traces = ((np.einsum("kdd->kd", covariances) if matrices else covariances) / variances).sum(axis=1)
    squares = np.square(factors).sum(axis=2) if matrices else np.square(factors)
    condition = math.sqrt((traces * (squares * variances).sum(axis=1)).max())
    deviations = np.sqrt(variances)
    root = np.eye(n_features)
    if matrices:
        try:
            root = np.linalg.cholesky(pooled / np.outer(deviations, deviations))
        except np.linalg.LinAlgError:
            return None
    inverse_root = np.linalg.inv(root)
    condition = max(condition, math.sqrt(n_features * np.square(inverse_root).sum()))
    rounding = ROUNDING * n_features * EPSILON * condition
    if not rounding <= SLACK:
        return None
    centre = parameters.weights @ parameters.means
    return Whitening(centre, inverse_root.T / deviations[:, None], root.T * deviations, rounding)


def whiten_mixture(parameters: MixtureParameters, whitening: Whitening) -> WhitenedMixture | None:
    """Return the mixture in whitened space, or None if means lie so far apart that rounding blurs components there."""
    covariances = as_given(parameters, parameters.covariances)
    factors = as_given(parameters, parameters.precisions_cholesky)
    n_components, n_features = parameters.means.shape
    if covariances.ndim == 3:
        precisions, widths, squares = np.empty(factors.shape), np.empty(len(factors)), np.empty(len(factors))
        step = max(1, MATRIX_ELEMENTS // n_features**2)
        for start in range(0, len(factors), step):
            part = slice(start, start + step)
            whitened_factors = whitening.inverse @ factors[part]
            np.matmul(whitened_factors, whitened_factors.transpose(0, 2, 1), out=precisions[part])
            whitened = whitening.matrix.T @ covariances[part] @ whitening.matrix
            widths[part] = largest_eigenvalues(whitened)
            squares[part] = np.einsum("kdd->k", whitened)
    else:
        deviations = np.diagonal(whitening.inverse)
        precisions = np.square(factors * deviations)
        whitened = covariances / np.square(deviations)
        widths, squares = whitened.max(axis=1), whitened.sum(axis=1)
    means = whitening(parameters.means)
    farthest = math.sqrt(np.einsum("kd,kd->k", means, means).max())
    # The shortest half-axis of all is at least one over the root of the largest trace.
    traces = np.einsum("kdd->k", precisions) if precisions.ndim == 3 else precisions.sum(axis=1)
    if not whitening.rounding * farthest * math.sqrt(traces.max()) <= SLACK:
        return None
    return WhitenedMixture(
        parameters=parameters,
        whitening=whitening,
        log_factors=log_factors(parameters).ravel(),
        means=means,
        precisions=precisions,
        widths=np.full(n_components, np.sqrt(widths) * (1 + SLACK)),
        scales=np.full(n_components, np.sqrt(squares / n_features)),
    )


def as_given(parameters: MixtureParameters, array: Floats) -> Floats:
    """Return covariances or factors as (n_components or 1, n_features, n_features), or without the last axis."""
    n_components, n_features = parameters.means.shape
    if covariance_structure(parameters.covariance_type).has_matrices:
        return array.reshape(-1, n_features, n_features)
    return np.broadcast_to(array.reshape(n_components, -1), (n_components, n_features))


def largest_eigenvalues(matrices: Floats) -> Floats:
    """Return upper bounds of the largest eigenvalues of symmetric positive matrices (n, n_features, n_features)."""
    traces = np.einsum("kdd->k", matrices)
    powers = matrices / traces[:, None, None]
    for _ in range(SQUARINGS):
        powers = powers @ powers
    bounds: Floats = traces * np.sqrt(np.square(powers).sum(axis=(1, 2))) ** (1 / 2**SQUARINGS)
    return bounds
