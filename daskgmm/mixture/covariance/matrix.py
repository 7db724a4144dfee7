"""Factors of one symmetric matrix, shared by the types whose covariances are matrices."""

from __future__ import annotations

import math

import numpy as np
from scipy.linalg.lapack import dtrtri

from daskgmm.mixture.covariance.structure import Floats

__all__ = [
    "cholesky_exists",
    "congruent",
    "factor_from_covariance",
    "factor_from_precision",
    "factors_from_covariances",
    "half_axis",
    "inverse_gram",
]


def cholesky_exists(matrices: Floats) -> bool:
    """Return whether one matrix or all (..., n_features, n_features) are finite and numerically positive definite."""
    if not np.isfinite(matrices).all():
        return False
    try:
        np.linalg.cholesky(matrices)
    except np.linalg.LinAlgError:
        return False
    return True


def congruent(matrices: Floats, factors: Floats) -> Floats:
    """Return A^T M A for symmetric matrices M and factors A."""
    products: Floats = np.swapaxes(factors, -1, -2) @ matrices @ factors
    return (products + np.swapaxes(products, -1, -2)) / 2


def factor_from_covariance(covariance: Floats) -> Floats:
    """Return the upper triangular P with P P^T the inverse of a positive definite covariance."""
    lower: Floats = np.asarray(np.linalg.cholesky(covariance), dtype=np.float64)
    return triangular_inverse(lower, lower=True).T


def factors_from_covariances(covariances: Floats) -> Floats:
    """Return those of covariances (n_components, n_features, n_features)."""
    lower: Floats = np.asarray(np.linalg.cholesky(covariances), dtype=np.float64)
    return np.stack([triangular_inverse(one, lower=True).T for one in lower])


def factor_from_precision(precision: Floats) -> Floats:
    """Return the upper triangular P with P P^T the precision: a Cholesky factor with rows and columns reversed."""
    lower = np.linalg.cholesky(np.asarray(precision[::-1, ::-1]))
    return np.ascontiguousarray(lower[::-1, ::-1], dtype=np.float64)


def inverse_gram(factor: Floats) -> Floats:
    """Return (P P^T)^-1 for an upper triangular P."""
    inverse = triangular_inverse(factor, lower=False)
    return inverse.T @ inverse


def triangular_inverse(factor: Floats, *, lower: bool) -> Floats:
    """Return the inverse of a triangular matrix whose diagonal has no zero.

    LAPACK's trtri is called directly: solve_triangular goes through a routine that OpenBLAS runs on all threads however
    small the matrix is, which takes milliseconds where these are busy.
    """
    inverse: Floats
    inverse, _ = dtrtri(factor, lower=lower)
    return inverse


def half_axis(covariance: Floats) -> Floats:
    """Return the longest axis of a covariance as a vector one standard deviation long."""
    variances, axes = np.linalg.eigh(covariance)
    longest: Floats = axes[:, -1]
    return longest * math.sqrt(max(float(variances[-1]), 0.0))
