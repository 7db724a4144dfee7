"""Factors of one symmetric matrix, shared by the types whose covariances are matrices."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.linalg.lapack import dpotrf, dtrtri

from daskgmm.mixture.covariance.structure import Floats

__all__ = [
    "congruent",
    "factor_from_precision",
    "factors_from_covariances",
    "half_axis",
    "inverse_gram",
]


def congruent(matrices: Floats, factors: Floats) -> Floats:
    """Return A^T M A for symmetric matrices M and factors A."""
    products: Floats = np.swapaxes(factors, -1, -2) @ matrices @ factors
    return (products + np.swapaxes(products, -1, -2)) / 2


def factors_from_covariances(covariances: Floats) -> tuple[Floats, NDArray[np.bool_]]:
    """Return the upper triangular P with P P^T the inverse of each covariance, and which are positive definite.

    `covariances` is (n_components, n_features, n_features); those that are not finite are not positive definite, and
    where they are not P is NaN.
    """
    factors, sound = np.full(covariances.shape, np.nan), np.zeros(len(covariances), dtype=bool)
    for k, covariance in enumerate(covariances):
        # Columns one after another are what LAPACK wants, and the rows of a symmetric matrix are its columns.
        lower, failed = dpotrf(covariance.T, lower=True)
        # What is not finite anywhere has made the pivot of its row so.
        sound[k] = not failed and math.isfinite(lower.trace())
        if sound[k]:
            factors[k] = triangular_inverse(lower, lower=True).T
    return factors, sound


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
