"""Factors of variances, shared by the types whose covariances are variances: square roots, entry by entry."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from daskgmm.mixture.covariance.structure import Floats

__all__ = ["factor_from_precision", "factor_from_variance", "inverse_square", "square"]


def factor_from_variance(variances: Floats) -> tuple[Floats, NDArray[np.bool_]]:
    """Return 1 / sqrt(variance), and which variances are positive and finite; of others NaN."""
    sound = np.isfinite(variances) & (variances > 0)
    return 1.0 / np.sqrt(variances, out=np.full(variances.shape, np.nan), where=sound), sound


def factor_from_precision(precisions: Floats) -> Floats:
    """Return sqrt(precision); raises numpy.linalg.LinAlgError, as matrices do, when one is not positive."""
    if not (precisions > 0).all():
        raise np.linalg.LinAlgError("a precision is not positive")
    return np.sqrt(precisions)


def square(factors: Floats) -> Floats:
    """Return the precisions that factors belong to."""
    return factors * factors


def inverse_square(factors: Floats) -> Floats:
    """Return the variances that factors belong to."""
    return 1.0 / (factors * factors)
