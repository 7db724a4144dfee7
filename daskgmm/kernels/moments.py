"""What a kernel sums over the rows of a block."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

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

    @property
    def is_finite(self) -> bool:
        """Whether no row's numbers, or their squares, were beyond what arithmetic has."""
        finite = math.isfinite(self.log_likelihood) and np.isfinite(self.first).all() and np.isfinite(self.second).all()
        return bool(finite)
