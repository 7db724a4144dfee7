"""Anderson's extrapolation of a fixed-point iteration."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from daskgmm.mixture.covariance import Floats

__all__ = ["mixed"]

# Points of the iteration that are mixed. More add little where each differs from its neighbours by rounding.
MEMORY = 5
# Directions whose residuals differ by less than this share of the largest are noise.
SMALLEST_SINGULAR = 1e-6


def mixed(points: Sequence[Floats], images: Sequence[Floats]) -> Floats:
    """Return the next point of a fixed-point iteration from earlier points and their images.

    It is the combination of the images, of weights that sum to 1, whose residuals image - point cancel best (Anderson
    1965; Walker and Ni 2011, eq. 2.1).

    Parameters
    ----------
    points, images : sequences of arrays of shape (n_coordinates,)
        In the order of the iteration; the last few are used.
    """
    recent = slice(-MEMORY - 1, None)
    residuals = [image - point for point, image in zip(points[recent], images[recent], strict=True)]
    if len(residuals) == 1:
        return images[-1]
    differences = np.diff(np.stack(residuals, axis=1), axis=1)
    lengths = np.linalg.norm(differences, axis=0)
    lengths[lengths == 0] = 1.0
    shares = np.linalg.lstsq(differences / lengths, residuals[-1], rcond=SMALLEST_SINGULAR)[0] / lengths
    combined: Floats = images[-1] - np.diff(np.stack(images[recent], axis=1), axis=1) @ shares
    return combined
