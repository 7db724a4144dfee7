"""Hypothesis strategies: mixtures, rows, and ways to cut rows into blocks."""

from __future__ import annotations

import itertools

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from daskgmm.mixture.parameters import MixtureParameters

COVARIANCE_TYPES = ("full", "tied", "diag", "spherical")


def numbers(low: float, high: float) -> st.SearchStrategy[float]:
    """Floats of 32-bit precision, which shrink to numbers a person can read."""
    return st.floats(low, high, width=32, allow_subnormal=False)


@st.composite
def mixtures(draw, covariance_types=COVARIANCE_TYPES) -> MixtureParameters:
    """Well-conditioned mixtures of 1 to 4 components in 1 to 4 features, means within 5 of the origin."""
    covariance_type = draw(st.sampled_from(covariance_types))
    n_components, n_features = draw(st.integers(1, 4)), draw(st.integers(1, 4))
    shares = np.array(draw(st.lists(st.integers(1, 9), min_size=n_components, max_size=n_components)), dtype=float)
    shape = {
        "full": (n_components, n_features, n_features),
        "tied": (n_features, n_features),
        "diag": (n_components, n_features),
        "spherical": (n_components,),
    }[covariance_type]
    scales = draw(npst.arrays(float, shape, elements=numbers(0.5, 2.0)))
    if covariance_type in ("full", "tied"):
        below = np.tril(draw(npst.arrays(float, shape, elements=numbers(-1.0, 1.0))), -1)
        factors = below + scales * np.eye(n_features)
        covariances = factors @ np.swapaxes(factors, -1, -2)
    else:
        covariances = scales**2
    return MixtureParameters.from_covariances(
        weights=shares / shares.sum(),
        means=draw(npst.arrays(float, (n_components, n_features), elements=numbers(-5.0, 5.0))),
        covariances=covariances,
        covariance_type=covariance_type,
    )


def rows(n_features: int, *, max_rows: int = 30) -> st.SearchStrategy[np.ndarray]:
    """Up to `max_rows` rows within 8 of the origin, none included."""
    return st.integers(0, max_rows).flatmap(
        lambda n_rows: npst.arrays(float, (n_rows, n_features), elements=numbers(-8.0, 8.0))
    )


def partitions(n_rows: int) -> st.SearchStrategy[list[slice]]:
    """Ways to cut rows into consecutive blocks, empty blocks included."""
    cuts = st.lists(st.integers(0, n_rows), max_size=5).map(lambda cuts: [0, *sorted(cuts), n_rows])
    return cuts.map(lambda edges: [slice(start, stop) for start, stop in itertools.pairwise(edges)])


@st.composite
def mixtures_with_rows(draw, **settings) -> tuple[MixtureParameters, np.ndarray]:
    """A mixture and rows of as many features."""
    parameters = draw(mixtures(**settings))
    return parameters, draw(rows(parameters.n_features))
