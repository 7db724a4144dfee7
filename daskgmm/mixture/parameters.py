"""The parameters of a mixture: what is sent down to every block."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from daskgmm.errors import DegenerateMixtureError, ParameterError
from daskgmm.mixture.covariance import CovarianceStructure, Floats, covariance_structure

__all__ = ["MixtureParameters", "checked_array", "read_only"]

# How far from 1 the weights may sum, as in scikit-learn: rounding of float64 inputs, not mistakes.
WEIGHT_SUM_TOLERANCE = 1e-8


@dataclass(frozen=True, slots=True, eq=False)
class MixtureParameters:
    """Weights, means and covariances of a Gaussian mixture, validated once, with their Cholesky factors.

    Arrays are float64 and read-only. `from_covariances` and `from_precisions` compute what is missing.

    Raises
    ------
    ParameterError
        If a shape is wrong, a value is not finite, a weight is outside [0, 1], the weights do not sum to 1, or the
        diagonal of a Cholesky factor is not positive.
    """

    covariance_type: str
    """One of full, tied, diag, spherical."""
    weights: Floats
    """Shares of the components, shape (n_components,)."""
    means: Floats
    """Means, shape (n_components, n_features)."""
    covariances: Floats
    """Covariances: full (n_components, n_features, n_features), tied (n_features, n_features), diag (n_components,
    n_features), spherical (n_components,)."""
    precisions_cholesky: Floats
    """Upper triangular factors P of the precisions P P^T, shaped as the covariances."""

    def __post_init__(self) -> None:
        weights = checked_weights(self.weights)
        n_components = len(weights)
        means = checked_array("means", self.means, (n_components, -1))
        structure = covariance_structure(self.covariance_type)
        shape = structure.shape(n_components, means.shape[1])
        covariances = checked_array("covariances", self.covariances, shape)
        factors = checked_array("precisions_cholesky", self.precisions_cholesky, shape)
        diagonals = np.diagonal(factors, axis1=-2, axis2=-1) if structure.has_matrices else factors
        if not (diagonals > 0).all():
            raise ParameterError("precisions_cholesky: expected positive diagonals; at least one entry is not positive")
        for name, value in (
            ("weights", weights),
            ("means", means),
            ("covariances", covariances),
            ("precisions_cholesky", factors),
        ):
            object.__setattr__(self, name, value)

    @classmethod
    def from_covariances(
        cls, *, weights: ArrayLike, means: ArrayLike, covariances: ArrayLike, covariance_type: str
    ) -> MixtureParameters:
        """Make parameters from covariances.

        Raises
        ------
        ParameterError
            If a shape or a value is wrong.
        DegenerateMixtureError
            If a covariance is not positive definite.
        """
        structure = covariance_structure(covariance_type)
        weights = checked_weights(weights)
        means = checked_array("means", means, (len(weights), -1))
        covariances = checked_array("covariances", covariances, structure.shape(*means.shape))
        check_symmetric("covariances", covariances, structure)
        factors, sound = structure.precisions_cholesky(covariances, len(weights))
        if not sound.all():
            raise DegenerateMixtureError(
                f"covariances: expected positive definite covariances; that of component {int(np.argmin(sound))} is not"
            )
        return cls(covariance_type, weights, means, covariances, read_only(factors))

    @classmethod
    def from_precisions(
        cls, *, weights: ArrayLike, means: ArrayLike, precisions: ArrayLike, covariance_type: str
    ) -> MixtureParameters:
        """Make parameters from precisions.

        Raises
        ------
        ParameterError
            If a shape or a value is wrong, or a precision is not symmetric positive definite.
        """
        structure = covariance_structure(covariance_type)
        weights = checked_weights(weights)
        means = checked_array("means", means, (len(weights), -1))
        precisions = checked_array("precisions", precisions, structure.shape(*means.shape))
        check_symmetric("precisions", precisions, structure)
        try:
            factors = structure.factor_precisions(precisions)
        except np.linalg.LinAlgError:
            raise ParameterError("precisions: expected positive definite precisions; at least one is not") from None
        return cls(covariance_type, weights, means, structure.covariances(factors), factors)

    @property
    def n_components(self) -> int:
        """Number of components."""
        return len(self.weights)

    @property
    def n_features(self) -> int:
        """Number of features."""
        return int(self.means.shape[1])

    @property
    def precisions(self) -> Floats:
        """Inverse covariances, shaped as the covariances."""
        return covariance_structure(self.covariance_type).precisions(self.precisions_cholesky)

    @property
    def n_free(self) -> int:
        """Number of free parameters, as the information criteria count them."""
        structure = covariance_structure(self.covariance_type)
        in_covariances = structure.n_parameters(self.n_components, self.n_features)
        return in_covariances + self.means.size + self.n_components - 1


def checked_array(name: str, value: ArrayLike, shape: tuple[int, ...]) -> Floats:
    """Return a read-only float64 array of the expected shape, where -1 stands for any length of at least 1.

    It is a copy, unless the array given is just that and nobody else's.

    Raises
    ------
    ParameterError
        If the value is not numeric, has another shape, or holds NaN or infinity.
    """
    if isinstance(value, np.ndarray) and _is_settled(value):
        array = value
    else:
        try:
            array = read_only(np.array(value, dtype=np.float64, order="C"))
        except (TypeError, ValueError) as error:
            raise ParameterError(
                f"{name}: expected an array of real numbers; got {type(value).__name__} ({error})"
            ) from None
    fits = array.ndim == len(shape) and all(
        have == want or (want < 0 and have > 0) for have, want in zip(array.shape, shape, strict=True)
    )
    if not fits:
        lengths = ", ".join("n" if length < 0 else str(length) for length in shape)
        expected = f"({lengths},)" if len(shape) == 1 else f"({lengths})"
        raise ParameterError(f"{name}: expected shape {expected}; got shape {array.shape}")
    if not np.isfinite(array).all():
        raise ParameterError(f"{name}: expected finite numbers; got NaN or infinity")
    return array


def read_only(array: Floats) -> Floats:
    """Make an array that nobody else writes to read-only, and return it."""
    array.flags.writeable = False
    return array


def _is_settled(array: NDArray[Any]) -> bool:
    """Whether an array is read-only float64 numbers in C order that are not part of another array."""
    flags = array.flags
    return array.dtype == np.float64 and flags.c_contiguous and flags.owndata and not flags.writeable


def checked_weights(weights: ArrayLike) -> Floats:
    """Return weights (n_components,) that lie in [0, 1] and sum to 1; raises ParameterError otherwise."""
    array = checked_array("weights", weights, (-1,))
    if (array < 0).any() or (array > 1).any():
        raise ParameterError(f"weights: expected values in [0, 1]; got {array.min():.5g} to {array.max():.5g}")
    if abs(array.sum() - 1) > WEIGHT_SUM_TOLERANCE:
        raise ParameterError(f"weights: expected a sum of 1 (normalized weights); got {array.sum():.9g}")
    return array


def check_symmetric(name: str, matrices: Floats, structure: CovarianceStructure) -> None:
    """Raise ParameterError when matrices, if the type has any, are not symmetric to rounding."""
    if structure.has_matrices and not np.allclose(matrices, np.swapaxes(matrices, -1, -2)):
        raise ParameterError(f"{name}: expected symmetric matrices; at least one is not")
