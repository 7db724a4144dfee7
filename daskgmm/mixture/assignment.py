"""Statistics of rows whose responsibilities are given instead of computed: where starts come from."""

from __future__ import annotations

import numpy as np

from daskgmm.mixture.covariance import Floats, covariance_structure
from daskgmm.mixture.rows import tile_rows
from daskgmm.mixture.statistics import SufficientStatistics

__all__ = ["assigned_statistics"]


def assigned_statistics(
    rows: Floats, weights: Floats | None, assigned: Floats, covariance_type: str
) -> SufficientStatistics:
    """Return the sufficient statistics of rows under given responsibilities.

    Moments are taken about the mean of all rows for the means, and then about these means, so that no digits are lost
    when the rows lie far from the origin.

    Parameters
    ----------
    rows : array of shape (n_rows, n_features)
    weights : array of shape (n_rows,) or None
        Sample weights; None means 1 each.
    assigned : array of shape (n_rows, n_components)
        Responsibilities. Rows of zeros belong to no component.
    covariance_type : str

    Returns
    -------
    SufficientStatistics
        About the means of the components; `log_likelihood` is NaN, since there are no parameters yet.
    """
    structure = covariance_structure(covariance_type)
    n_components, n_features = assigned.shape[1], rows.shape[1]
    if weights is not None:
        assigned = assigned * weights[:, None]
    centre = rows.mean(axis=0)
    counts = assigned.sum(axis=0)
    # A component without rows gets the centre as its mean and no moments.
    means = centre + assigned.T @ (rows - centre) / np.where(counts > 0, counts, 1.0)[:, None]
    first = np.zeros((n_components, n_features))
    second = np.zeros(structure.shape(n_components, n_features))
    step = tile_rows(n_components, n_features)
    for start in range(0, len(rows), step):
        tile = slice(start, start + step)
        centred = rows[tile].T - means[:, :, None]
        weighted = centred * assigned[tile].T[:, None, :]
        first += weighted.sum(axis=2)
        second += structure.second_moment(centred, weighted)
    return SufficientStatistics(
        covariance_type=covariance_type,
        reference=means,
        n_samples=len(rows),
        weight=float(counts.sum()),
        log_likelihood=float("nan"),
        counts=counts,
        first=first,
        second=second,
    )
