"""Factors of one symmetric matrix, shared by the types whose covariances are matrices."""

from __future__ import annotations

import math

import numpy as np
from scipy.linalg import solve_triangular

from daskgmm.mixture.covariance.structure import Floats

__all__ = [
    "cholesky_exists",
    "congruent",
    "factor_from_covariance",
    "factor_from_precision",
    "half_axis",
    "inverse_gram",
]


def cholesky_exists(matrix: Floats) -> bool:
    """Return whether the matrix (n_features, n_features) is finite and positive definite to working precision."""
    if not np.isfinite(matrix).all():
        return False
    try:
        np.linalg.cholesky(matrix)
    except np.linalg.LinAlgError:
        return False
    return True


def congruent(matrices: Floats, factors: Floats) -> Floats:
    """Return A^T M A for symmetric matrices M and factors A."""
    products: Floats = np.swapaxes(factors, -1, -2) @ matrices @ factors
    return (products + np.swapaxes(products, -1, -2)) / 2


def factor_from_covariance(covariance: Floats) -> Floats:
    """Return the upper triangular P with P P^T the inverse of a positive definite covariance."""
    lower = np.linalg.cholesky(covariance)
    inverse: Floats = solve_triangular(lower, np.eye(len(covariance)), lower=True)
    return inverse.T


def factor_from_precision(precision: Floats) -> Floats:
    """Return the upper triangular P with P P^T the precision: a Cholesky factor with rows and columns reversed."""
    lower = np.linalg.cholesky(np.asarray(precision[::-1, ::-1]))
    return np.ascontiguousarray(lower[::-1, ::-1], dtype=np.float64)


def inverse_gram(factor: Floats) -> Floats:
    """Return (P P^T)^-1 for an upper triangular P."""
    inverse: Floats = solve_triangular(factor, np.eye(len(factor)), lower=False)
    return inverse.T @ inverse


def half_axis(covariance: Floats) -> Floats:
    """Return the longest axis of a covariance as a vector one standard deviation long."""
    variances, axes = np.linalg.eigh(covariance)
    longest: Floats = axes[:, -1]
    return longest * math.sqrt(max(float(variances[-1]), 0.0))
