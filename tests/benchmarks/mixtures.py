"""The mixtures and data that passes are counted on: drawn with fixed seeds, or shipped with scikit-learn."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_breast_cancer, load_digits, load_iris, load_sample_image, load_wine
from sklearn.decomposition import PCA

__all__ = ["CASES", "Case"]

Floats = NDArray[np.float64]
Rows = Callable[[int, np.random.Generator], Floats]


@dataclass(frozen=True, slots=True)
class Case:
    """Rows, and the mixture that is fitted to them."""

    name: str
    rows: Rows
    """(n_rows, generator) -> rows (n_rows, n_features)."""
    n_components: int
    covariance_type: str = "full"
    n_rows: int = 200_000
    seed: int = 0

    def draw(self) -> Floats:
        """Return the rows, the same ones every time."""
        return self.rows(self.n_rows, np.random.default_rng([self.seed, 20_26]))


def gaussians(
    n_features: int,
    n_components: int,
    spread: float,
    *,
    mixture_seed: int,
    shape: str = "full",
    unbalanced: bool = False,
) -> Rows:
    """Return a function that draws from a mixture of Gaussians whose means are normal with scale `spread`."""

    def rows(n_rows: int, generator: np.random.Generator) -> Floats:
        drawn = np.random.default_rng([mixture_seed, n_features, n_components])
        means = drawn.normal(scale=spread, size=(n_components, n_features))
        weights = drawn.dirichlet(np.full(n_components, 0.7 if unbalanced else 8.0))
        weights = (weights + 0.003) / (weights + 0.003).sum()
        factors = _factors(drawn, n_components, n_features, shape)
        counts = generator.multinomial(n_rows, weights)
        parts = [
            mean + generator.standard_normal((count, n_features)) @ factor.T
            for mean, factor, count in zip(means, factors, counts, strict=True)
        ]
        return generator.permutation(np.concatenate(parts))

    return rows


def _factors(drawn: np.random.Generator, n_components: int, n_features: int, shape: str) -> Floats:
    """Return Cholesky factors (n_components, n_features, n_features) of covariances about 1."""
    scales = drawn.uniform(0.6, 1.4, size=(n_components, 1, n_features)) * np.eye(n_features)
    if shape == "diag":
        return scales
    if shape == "spherical":
        return scales[:, :1, :1] * np.eye(n_features)
    lower = np.tril(drawn.normal(scale=0.6 / np.sqrt(n_features), size=scales.shape), -1)
    factors = scales + lower
    return np.broadcast_to(factors[0], factors.shape) if shape == "tied" else factors


def skewed(n_features: int, *, mixture_seed: int) -> Rows:
    """Return a function that draws rows which no mixture of few Gaussians describes: exponentials of a mixture."""
    inner = gaussians(n_features, 3, 1.0, mixture_seed=mixture_seed)
    return lambda n_rows, generator: np.exp(0.6 * inner(n_rows, generator))


def resampled(load: Callable[[], Floats], jitter: float) -> Rows:
    """Return a function that draws rows with replacement and adds noise of `jitter` standard deviations."""

    def rows(n_rows: int, generator: np.random.Generator) -> Floats:
        data = load()
        drawn = data[generator.integers(len(data), size=n_rows)]
        return drawn + jitter * data.std(axis=0) * generator.standard_normal(drawn.shape)

    return rows


def _scaled(data: Any) -> Floats:
    data = np.asarray(data, dtype=np.float64)
    return (data - data.mean(axis=0)) / data.std(axis=0)


def _pixels(n_rows: int, generator: np.random.Generator) -> Floats:
    """Return pixels (red, green, blue) of a photograph, jittered by the width of a grey level."""
    pixels = load_sample_image("china.jpg").reshape(-1, 3)
    drawn = generator.permutation(len(pixels))[:n_rows]
    return _scaled(pixels[drawn] + generator.uniform(-0.5, 0.5, size=(len(drawn), 3)))


def _digits() -> Floats:
    return PCA(8, whiten=True, random_state=0).fit_transform(load_digits().data)


CASES = (
    Case("one feature, overlapping", gaussians(1, 2, 1.0, mixture_seed=1), 2),
    Case("one feature, too many components", gaussians(1, 3, 2.5, mixture_seed=2), 5, "spherical"),
    Case("separated", gaussians(2, 4, 5.0, mixture_seed=3), 4),
    Case("heavily overlapping", gaussians(2, 6, 1.2, mixture_seed=4), 6),
    Case("too few components", gaussians(3, 9, 2.0, mixture_seed=5), 5),
    Case("unbalanced", gaussians(4, 8, 1.8, mixture_seed=6, unbalanced=True), 8),
    Case("diagonal, overlapping", gaussians(4, 6, 1.0, mixture_seed=7, shape="diag"), 6, "diag"),
    Case("tied, overlapping", gaussians(6, 8, 1.0, mixture_seed=8, shape="tied"), 8, "tied"),
    Case("many components", gaussians(8, 16, 1.5, mixture_seed=9), 16),
    Case("spherical", gaussians(12, 20, 0.8, mixture_seed=10, shape="spherical"), 20, "spherical"),
    Case("diagonal, many components", gaussians(16, 32, 1.0, mixture_seed=11, shape="diag"), 32, "diag"),
    Case("many features", gaussians(32, 3, 0.4, mixture_seed=12), 3),
    Case("skewed", skewed(3, mixture_seed=13), 6),
    Case("photograph", _pixels, 8),
    Case("digits", resampled(_digits, 0.3), 10),
    Case("iris", resampled(lambda: _scaled(load_iris().data), 0.2), 4),
    Case("wine", resampled(lambda: _scaled(load_wine().data), 0.3), 3, "diag"),
    Case("breast cancer", resampled(lambda: _scaled(load_breast_cancer().data[:, :10]), 0.2), 4),
)
