"""What a kernel sums over the rows of a block."""

from __future__ import annotations

from dataclasses import dataclass

from daskgmm.mixture.covariance import Floats

__all__ = ["Moments"]


@dataclass(frozen=True, slots=True, eq=False)
class Moments:
    """Sums over rows, weighted with responsibilities and sample weights, about the means."""

    log_likelihood: float
    """Sum of sample weight times log density."""
    counts: Floats
    """Shape (n_components,)."""
    first: Floats
    """Shape (n_components, n_features)."""
    second: Floats
    """Shaped as the covariances; see `SufficientStatistics`."""
