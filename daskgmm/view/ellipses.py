"""Ellipses of two-dimensional normal distributions."""

from __future__ import annotations

import math
from dataclasses import dataclass

from daskgmm.mixture.covariance import Floats

__all__ = ["EllipseShape", "ellipse_of"]


@dataclass(frozen=True, slots=True)
class EllipseShape:
    """An ellipse: points that lie equally many standard deviations from a mean."""

    centre: tuple[float, float]
    width: float
    """Of the whole major axis."""
    height: float
    """Of the whole minor axis."""
    angle: float
    """Of the major axis from the x axis, in degrees, counter-clockwise, in (-90, 90]."""


def ellipse_of(mean: Floats, covariance: Floats, n_sigmas: float) -> EllipseShape:
    """Return the ellipse n_sigmas standard deviations from the mean (2,) of a covariance (2, 2).

    Points on it have a Mahalanobis distance of n_sigmas. One, two and three hold 39, 86 and 99 % of the distribution.
    """
    (x, both), (_, y) = covariance.tolist()
    major = math.sqrt((x + y) / 2 + math.hypot((x - y) / 2, both))
    # The determinant from the Cholesky factor: eigenvalues of features in very different units would lose the minor
    # axis. Rounding may leave it just below zero where one feature is a multiple of the other.
    minor = math.sqrt(x) * math.sqrt(max(y - both * (both / x), 0.0)) / major
    angle = math.degrees(math.atan2(2 * both, x - y) / 2)
    centre = (float(mean[0]), float(mean[1]))
    return EllipseShape(centre, 2 * n_sigmas * major, 2 * n_sigmas * minor, angle)
