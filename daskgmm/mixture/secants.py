"""What earlier passes tell of curvature: a symmetric operator of low rank, fitted to changes of a gradient."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from daskgmm.mixture.covariance import Floats

__all__ = ["Curvature", "fit_secants"]

# A step that lies within this share of its length in the span of nearer ones says more of their errors than of itself.
DEPENDENT = 1e-3


@dataclass(frozen=True, slots=True, eq=False)
class Curvature:
    """The symmetric operator V diag(values) V^T with orthonormal columns V."""

    vectors: Floats
    """V, shape (n_coordinates, rank)."""
    values: Floats
    """Eigenvalues, shape (rank,)."""

    def times(self, step: Floats) -> Floats:
        """Return the operator applied to a step (n_coordinates,)."""
        product: Floats = self.vectors @ (self.values * (self.vectors.T @ step))
        return product


def fit_secants(steps: Sequence[Floats], changes: Sequence[Floats], *, n_coordinates: int) -> Curvature:
    """Return the symmetric operator of least norm that maps steps to the changes of the gradient seen along them.

    Parameters
    ----------
    steps : sequence of arrays of shape (n_coordinates,)
        The most trusted first. One that the ones before nearly span is left out.
    changes : sequence of arrays of shape (n_coordinates,)
        What the gradient changed by along each step.
    n_coordinates : int

    Returns
    -------
    Curvature
        Eigenvalues are clipped to [-1, 1]: a difference of two missing informations, each between 0 and the complete
        information 1, lies there (Schnabel 1983, quasi-Newton methods using multiple secant equations).
    """
    directions: list[Floats] = []
    images: list[Floats] = []
    for step, change in zip(steps, changes, strict=True):
        rest, image = step, change
        for direction, known in zip(directions, images, strict=True):
            share = float(direction @ rest)
            rest, image = rest - share * direction, image - share * known
        length = float(np.linalg.norm(rest))
        if length > DEPENDENT * float(np.linalg.norm(step)):
            directions.append(rest / length)
            images.append(image / length)
    if not directions:
        return Curvature(np.zeros((n_coordinates, 0)), np.zeros(0))
    return _symmetric(np.stack(directions, axis=1), np.stack(images, axis=1))


def _symmetric(directions: Floats, images: Floats) -> Curvature:
    """Return Y Q^T + Q Y^T - Q (Q^T Y + Y^T Q) Q^T / 2 for orthonormal Q, its eigenvalues clipped."""
    frame, _ = np.linalg.qr(np.concatenate([directions, images], axis=1))
    q, y = frame.T @ directions, frame.T @ images
    inner = q.T @ y
    matrix = y @ q.T + q @ y.T - q @ ((inner + inner.T) / 2) @ q.T
    values, vectors = np.linalg.eigh((matrix + matrix.T) / 2)
    return Curvature(frame @ vectors, np.clip(values, -1.0, 1.0))
