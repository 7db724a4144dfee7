"""The four covariance types as strategy objects and one table; nothing outside this folder asks which type it has."""

from __future__ import annotations

from daskgmm.errors import ParameterError
from daskgmm.mixture.covariance.diag import DiagonalCovariance
from daskgmm.mixture.covariance.full import FullCovariance
from daskgmm.mixture.covariance.spherical import SphericalCovariance
from daskgmm.mixture.covariance.structure import CovarianceStructure, Floats, Random
from daskgmm.mixture.covariance.tied import TiedCovariance

__all__ = ["COVARIANCE_TYPES", "CovarianceStructure", "Floats", "Random", "covariance_structure"]

_STRUCTURES: dict[str, CovarianceStructure] = {
    structure.name: structure
    for structure in (FullCovariance(), TiedCovariance(), DiagonalCovariance(), SphericalCovariance())
}

COVARIANCE_TYPES = tuple(_STRUCTURES)


def covariance_structure(covariance_type: str) -> CovarianceStructure:
    """Return the strategy object of a covariance type.

    Raises
    ------
    ParameterError
        If there is no such type.
    """
    try:
        return _STRUCTURES[covariance_type]
    except (KeyError, TypeError):
        expected = ", ".join(COVARIANCE_TYPES)
        raise ParameterError(f"covariance_type: expected one of {expected}; got {covariance_type!r}") from None
