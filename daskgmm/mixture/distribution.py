"""How rows are distributed under a mixture: what a fit keeps of that, and what is counted of other rows to compare.

Two things are told of each row: its log density, which says how usual it is, and its most probable component.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from daskgmm.errors import ParameterError
from daskgmm.mixture.covariance import Floats
from daskgmm.mixture.parameters import WEIGHT_SUM_TOLERANCE, read_only
from daskgmm.mixture.score import LogLikelihood

__all__ = ["DISTRIBUTION_ROWS", "RowDistribution", "RowTally", "combined", "row_distribution", "row_tally"]

# The share of rows below a log density is known to 0.0025 from so many rows, one standard error where it is worst. Of a
# population stability index of ten bins they add 9 / 40,000 = 0.0002, where 0.1 is the least that is called a shift.
DISTRIBUTION_ROWS = 40_000
# A step of 0.005 between two quantiles is two of these standard errors: more of them would keep noise.
N_QUANTILES = 200
# Equal rows have log densities that differ by rounding, as they are computed in other places of other blocks. A number
# that tells rows apart must not lie within that: relative, and absolute below 1.
ROUNDING = 1e-8


@dataclass(frozen=True, slots=True, eq=False)
class RowDistribution:
    """Quantiles of the rows' log densities under a mixture, and the shares of its components.

    Raises
    ------
    ParameterError
        If a shape is wrong, log densities do not rise, or shares are none.
    """

    log_densities: Floats
    """Rising, in nats, between values that rows have, shape (n_quantiles,); at most 199, as many as rows tell apart."""
    shares_below: Floats
    """Shares of the rows, by weight, whose log density is lower than each of these, shape (n_quantiles,)."""
    component_shares: Floats
    """Shares of the rows, by weight, whose most probable component is each, shape (n_components,)."""
    n_rows: int
    """Rows that this was found from: all of positive weight, or a uniform sample of them."""

    def __post_init__(self) -> None:
        for name in ("log_densities", "shares_below", "component_shares"):
            array = getattr(self, name)
            if not isinstance(array, np.ndarray) or array.dtype != np.float64 or array.ndim != 1:
                raise ParameterError(f"{name}: expected an array of float64 along one axis; got another {type(array)}")
            if not np.isfinite(array).all():
                raise ParameterError(f"{name}: expected finite numbers; got others")
            object.__setattr__(self, name, read_only(array))
        below, shares = self.shares_below, self.component_shares
        if below.shape != self.log_densities.shape or len(below) >= N_QUANTILES:
            raise ParameterError(
                f"shares_below: expected as many as there are log_densities, {len(self.log_densities)}, and fewer "
                f"than {N_QUANTILES}; got {len(below)}"
            )
        for name in ("log_densities", "shares_below"):
            if (np.diff(getattr(self, name)) <= 0).any():
                raise ParameterError(f"{name}: expected rising numbers; at least one is not above the one before")
        if len(below) and not (below[0] > 0 and below[-1] < 1):
            raise ParameterError(f"shares_below: expected shares in (0, 1); got {below[0]:g} to {below[-1]:g}")
        if not (shares >= 0).all() or abs(shares.sum() - 1) > WEIGHT_SUM_TOLERANCE:
            raise ParameterError(f"component_shares: expected shares >= 0 that sum to 1; got the sum {shares.sum():g}")
        if type(self.n_rows) is not int or self.n_rows < 1:
            raise ParameterError(f"n_rows: expected an integer >= 1; got {self.n_rows!r}")


def row_distribution(
    log_density: Floats, labels: NDArray[np.integer[Any]], weights: Floats | None, *, n_components: int
) -> RowDistribution:
    """Return the distribution of rows of positive weight, at least one.

    Each quantile kept lies in the gap between two rows' log densities that is nearest to a multiple of 1/200: the share
    of rows below it is exact, for repeated rows as well.

    Parameters
    ----------
    log_density : array of shape (n_rows,)
    labels : array of shape (n_rows,)
        The most probable component of each row.
    weights : array of shape (n_rows,) or None
        Positive; None means 1 each.
    n_components : int
    """
    order = np.argsort(log_density, kind="stable")
    rising = log_density[order]
    # Whole numbers are summed exactly.
    mass = np.cumsum(np.ones(len(order)) if weights is None else weights[order])
    width = ROUNDING * np.maximum(1.0, np.abs(rising[:-1]))
    gaps = np.flatnonzero(np.diff(rising) > width)
    shares = mass[gaps] / mass[-1]
    # Weights that are nothing beside the others leave a share where it was.
    gaps = gaps[(shares > 0) & (shares < 1) & (np.diff(shares, prepend=0.0) > 0)]
    shares = mass[gaps] / mass[-1]
    kept = gaps[_nearest(shares, np.arange(1, N_QUANTILES) / N_QUANTILES)]
    counts = np.bincount(labels, weights, minlength=n_components)
    return RowDistribution(
        # Half of each before they are added: the sum of the lowest ones would overflow.
        log_densities=rising[kept] / 2 + rising[kept + 1] / 2,
        shares_below=mass[kept] / mass[-1],
        component_shares=counts / counts.sum(),
        n_rows=len(order),
    )


def combined(before: RowDistribution, now: RowDistribution, *, share_now: float) -> RowDistribution:
    """Return the distribution of two sets of rows together, whose components are the same.

    Between its quantiles the share of the rows below a log density is interpolated: off by 0.005 at most, unless many
    rows are equal.

    Parameters
    ----------
    before, now : RowDistribution
    share_now : float
        Share of the latter's rows, by weight, in (0, 1).
    """
    parts = ((before, 1 - share_now), (now, share_now))
    values = np.union1d(before.log_densities, now.log_densities)
    # Rows that are all alike have no quantiles, and what lies between two of the others tells nothing of them.
    known = [(part, share) for part, share in parts if len(part.log_densities)]
    whole = sum(share for _, share in known)
    below = np.zeros(len(values))
    for part, share in known:
        below += share / whole * np.interp(values, part.log_densities, part.shares_below)
    rises = (np.diff(below, prepend=0.0) > 0) & (below < 1)
    values, below = values[rises], below[rises]
    kept = _nearest(below, np.arange(1, N_QUANTILES) / N_QUANTILES)
    shares = sum(share * part.component_shares for part, share in parts)
    return RowDistribution(
        log_densities=values[kept],
        shares_below=below[kept],
        component_shares=np.asarray(shares),
        # As many rows as would know shares as exactly.
        n_rows=max(1, round(1 / sum(share**2 / part.n_rows for part, share in parts))),
    )


def _nearest(rising: Floats, wanted: Floats) -> NDArray[np.intp]:
    """Return the indices of the numbers nearest to those wanted, each once."""
    if not len(rising):
        return np.empty(0, dtype=np.intp)
    after = np.searchsorted(rising, wanted).clip(0, len(rising) - 1)
    before = (after - 1).clip(0)
    nearest: NDArray[np.intp] = np.unique(np.where(wanted - rising[before] <= rising[after] - wanted, before, after))
    return nearest


@dataclass(frozen=True, slots=True, eq=False)
class RowTally:
    """Rows counted by their weights: where their log densities lie between given ones, and their components."""

    score: LogLikelihood
    """Their likelihood."""
    between: NDArray[Any]
    """Sum of the weights of rows below the first of n log densities, between two of them, and above the last, shape
    (n + 1,); whole numbers without weights."""
    components: NDArray[Any]
    """Sum of the weights of rows whose most probable component is each, shape (n_components,)."""

    def merge(self, other: RowTally) -> RowTally:
        """Return the sums over both sets of rows."""
        return RowTally(self.score.merge(other.score), self.between + other.between, self.components + other.components)

    @property
    def shares_below(self) -> Floats:
        """Shares of the rows below each of the n log densities, shape (n,)."""
        shares: Floats = np.cumsum(self.between)[:-1] / self.between.sum()
        return shares

    @property
    def component_shares(self) -> Floats:
        """Shares of the rows whose most probable component is each, shape (n_components,)."""
        shares: Floats = self.components / self.components.sum()
        return shares


def row_tally(
    score: LogLikelihood,
    log_density: Floats,
    labels: NDArray[np.integer[Any]],
    weights: Floats | None,
    *,
    log_densities: Floats,
    n_components: int,
) -> RowTally:
    """Return the tally of rows; the first arguments as `row_distribution` has them, and `log_densities` rising."""
    return RowTally(
        score,
        np.bincount(np.searchsorted(log_densities, log_density), weights, minlength=len(log_densities) + 1),
        np.bincount(labels, weights, minlength=n_components),
    )
