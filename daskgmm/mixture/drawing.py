"""Rows drawn from a mixture."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from daskgmm.mixture.covariance import Floats, Random, covariance_structure
from daskgmm.mixture.parameters import MixtureParameters

__all__ = ["draw", "draw_shuffled"]


def draw(parameters: MixtureParameters, n_samples: int, random_state: Random) -> tuple[Floats, NDArray[np.int64]]:
    """Draw rows from a mixture, ordered by component.

    Parameters
    ----------
    parameters : MixtureParameters
    n_samples : int
        How many rows, >= 0.
    random_state : numpy.random.RandomState or numpy.random.Generator
        A RandomState gives the rows that scikit-learn draws with it.

    Returns
    -------
    rows : array of shape (n_samples, n_features)
    labels : array of shape (n_samples,)
        The component that each row was drawn from.
    """
    counts = random_state.multinomial(n_samples, parameters.weights)
    draw_component = covariance_structure(parameters.covariance_type).draw
    rows = np.vstack(
        [
            draw_component(parameters.covariances, component, mean, int(count), random_state)
            for component, (mean, count) in enumerate(zip(parameters.means, counts, strict=True))
        ]
    )
    return rows, np.repeat(np.arange(parameters.n_components), counts)


def draw_shuffled(generator: np.random.Generator, n_samples: int, parameters: MixtureParameters) -> Floats:
    """Draw rows (n_samples, n_features) from a mixture in random order."""
    rows, _ = draw(parameters, n_samples, generator)
    return generator.permutation(rows)
