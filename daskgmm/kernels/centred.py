"""Moments of a block from rows relative to each component's own mean.

Deviations from each mean are formed before anything is squared, so that no digits are lost however far clusters lie
from each other and from the origin.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from daskgmm.kernels.moments import Moments
from daskgmm.mixture.covariance import Floats
from daskgmm.mixture.density import TileDensity, normalize_and_sum
from daskgmm.mixture.parameters import MixtureParameters
from daskgmm.mixture.statistics import SufficientStatistics

__all__ = ["centred_moments"]


def centred_moments(rows: NDArray[Any], weights: Floats | None, parameters: MixtureParameters) -> Moments:
    """Return the moments of rows (n_rows, n_features) about the means; not finite if a row's are not.

    Parameters
    ----------
    rows : array of shape (n_rows, n_features)
        Any real dtype.
    weights : array of shape (n_rows,) or None
        Positive sample weights; None means 1 each.
    parameters : MixtureParameters
    """
    zero = SufficientStatistics.zero(parameters)
    log_likelihood, counts, first, second = 0.0, zero.counts, zero.first, zero.second
    density = TileDensity.of(parameters, len(rows))
    for start in range(0, len(rows), density.step):
        tile = slice(start, start + density.step)
        log_prob, centred, scratch = density.log_prob(rows[tile])
        log_likelihood += normalize_and_sum(log_prob, None if weights is None else weights[tile])
        counts += log_prob.sum(axis=1)
        weighted = np.multiply(centred, log_prob[:, None, :], out=scratch)
        first += weighted.sum(axis=2)
        second += density.structure.second_moment(centred, weighted)
    return Moments(log_likelihood, counts, first, second)
