"""Drawn mixtures with known parameters, from NumPy alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Drawn:
    """Rows drawn from a mixture, with the mixture's own parameters in scikit-learn's shapes."""

    covariance_type: str
    rows: np.ndarray
    weights: np.ndarray
    means: np.ndarray
    covariances: np.ndarray
    precisions: np.ndarray

    @property
    def start(self) -> dict[str, np.ndarray]:
        """Starting parameters some way off, as arguments of GaussianMixture (the package's and scikit-learn's)."""
        n_components = len(self.weights)
        return {
            "weights_init": np.full(n_components, 1.0 / n_components),
            "means_init": self.means + np.linspace(-0.4, 0.4, self.means.size).reshape(self.means.shape),
            "precisions_init": self.precisions * 0.6,
        }


def draw(
    covariance_type: str,
    *,
    n_rows: int = 300,
    n_components: int = 3,
    n_features: int = 3,
    spread: float = 1.2,
    seed: int = 1,
) -> Drawn:
    """Draw rows of a mixture whose means lie about `spread` standard deviations apart."""
    generator = np.random.default_rng(seed)
    weights = generator.dirichlet(np.full(n_components, 8.0))
    means = generator.normal(scale=spread, size=(n_components, n_features))
    factors = np.tril(generator.normal(scale=0.4, size=(n_components, n_features, n_features)))
    factors += np.eye(n_features) * generator.uniform(0.6, 1.4, size=(n_components, 1, n_features))
    matrices = factors @ factors.transpose(0, 2, 1)
    if covariance_type == "tied":
        matrices = np.broadcast_to(matrices[0], matrices.shape)
        covariances, precisions = matrices[0], np.linalg.inv(matrices[0])
    elif covariance_type == "diag":
        covariances = np.diagonal(matrices, axis1=1, axis2=2).copy()
        precisions = 1.0 / covariances
        matrices = covariances[:, :, None] * np.eye(n_features)
    elif covariance_type == "spherical":
        covariances = np.trace(matrices, axis1=1, axis2=2) / n_features
        precisions = 1.0 / covariances
        matrices = covariances[:, None, None] * np.eye(n_features)
    else:
        covariances, precisions = matrices, np.linalg.inv(matrices)
    labels = generator.choice(n_components, size=n_rows, p=weights)
    noise = generator.normal(size=(n_rows, n_features))
    rows = means[labels] + np.einsum("nij,nj->ni", np.linalg.cholesky(matrices)[labels], noise)
    return Drawn(covariance_type, rows, weights, means, covariances, precisions)
