"""The likelihood of many rows: a sum that merges."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["LogLikelihood"]


@dataclass(frozen=True, slots=True)
class LogLikelihood:
    """Weighted log densities summed over rows."""

    n_samples: int
    """Rows seen, those of weight 0 included."""
    weight: float
    """Sum of their weights."""
    total: float
    """Sum of weight times log density."""

    def merge(self, other: LogLikelihood) -> LogLikelihood:
        """Return the sums over both sets of rows."""
        return LogLikelihood(self.n_samples + other.n_samples, self.weight + other.weight, self.total + other.total)

    @property
    def mean(self) -> float:
        """Mean log density per unit of weight."""
        return self.total / self.weight
