"""Stepwise EM: one step for each block of rows, for data that can be read only once.

The state of stepwise EM is a running mean of sufficient statistics (Cappe and Moulines 2009, eq. 13)::

    s  <-  (1 - gamma) s + gamma s_block,        parameters  <-  M-step of s

The M-step can be undone: `implied_statistics` returns the s that a mixture is the M-step of. The mixture and the weight
of the rows seen are therefore all that has to be kept between blocks.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from daskgmm.mixture.covariance import covariance_structure
from daskgmm.mixture.m_step import Update, m_step
from daskgmm.mixture.parameters import MixtureParameters
from daskgmm.mixture.statistics import SufficientStatistics

__all__ = ["implied_statistics", "step_size", "stepwise_update"]

# Each row weighs as the (FORGETTING - 1)th power of its place in the stream. With 1 all rows count alike for good, but
# those that came first were assigned to components by a worse mixture. With 2 what they got wrong fades with the square
# of the rows seen, and the statistics are worth 3/4 of all rows. Gaps to the batch fit in nats a row after 300,000 rows
# from converged starts, with 1, 1.5, 2, 3, 4 and 8 for the overlapping mixture where EM is slowest (8 features, 16
# components): 0.008, 0.007, 0.006, 0.005, 0.005, 0.006; for a separated one (16 and 16), where the noise of the latest
# rows is all that is left: 0.0001, 0.0004, 0.0013, 0.003, 0.006, 0.016. Blocks of 1,000 and 20,000 rows differed by
# less than a tenth up to 2. Steps that fall with a power of 0.6 or 0.75 of the rows, as Cappe and Moulines (2009) have
# them, did not do better than 3; averaging over steps (Polyak and Juditsky 1992) gained less than 0.001 and would be
# one more record to keep.
FORGETTING = 2


def step_size(weight_seen: float, weight_block: float) -> float:
    """Return gamma, the share of a block in the running mean: 1 - (seen / (seen + block))^2.

    That is 2 / t for the t-th of equal blocks when t is large. The condition of convergence, sums of gamma infinite and
    of its square finite, holds. One block and the same rows in two blocks take equal parts of the mean.

    Parameters
    ----------
    weight_seen : float
        Sum of the sample weights of the rows before the block, >= 0.
    weight_block : float
        That of the block's rows, > 0.
    """
    return 1.0 - (weight_seen / (weight_seen + weight_block)) ** FORGETTING


def implied_statistics(parameters: MixtureParameters, *, reg_covar: float) -> SufficientStatistics:
    """Return the statistics, per unit of weight, that a mixture is the M-step of.

    Parameters
    ----------
    parameters : MixtureParameters
    reg_covar : float
        What the M-step adds to the diagonal of each covariance, >= 0.

    Returns
    -------
    SufficientStatistics
        About the means, of weight 1 and no rows; the log-likelihood is 0.
    """
    structure = covariance_structure(parameters.covariance_type)
    unit = np.eye(parameters.n_features) if structure.has_matrices else 1.0
    empirical = parameters.covariances - reg_covar * unit
    zero = SufficientStatistics.zero(parameters)
    second = structure.scatter(empirical, parameters.weights, parameters.n_features)
    return replace(zero, weight=1.0, counts=parameters.weights, second=second)


def stepwise_update(
    parameters: MixtureParameters, block: SufficientStatistics, *, weight_seen: float, reg_covar: float
) -> Update:
    """Return the mixture after one more block of rows.

    Parameters
    ----------
    parameters : MixtureParameters
        The mixture before.
    block : SufficientStatistics
        Of the block's rows under this mixture, of positive weight.
    weight_seen : float
        Sum of the sample weights of the rows before the block; 0 makes this a step of plain EM on the block.
    reg_covar : float
        Added to the diagonal of each covariance, >= 0.

    Raises
    ------
    DegenerateMixtureError
        If no component has a positive definite covariance.
    """
    gamma = step_size(weight_seen, block.weight)
    seen = implied_statistics(parameters, reg_covar=reg_covar)
    return m_step(
        seen.scaled(1.0 - gamma).merge(block.scaled(gamma / block.weight).about(parameters.means)),
        reg_covar=reg_covar,
    )
