"""How the E-step of separated clusters grows with the number of components; it should grow by less than they do."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import median

from daskgmm.kernels import choose_kernel
from tests.benchmarks.iterations import draw_mixture
from tests.benchmarks.machine import cpu_time

__all__ = ["FEW", "MANY", "N_FEATURES", "Growth", "growth_text", "measure_growth"]

FEW, MANY = 256, 1024
N_FEATURES = (16, 32, 64)
N_ROWS = 100_000
SEPARATED = 3.0
"""Standard deviation of the means, in about those of the clusters."""


@dataclass(frozen=True, slots=True)
class Growth:
    """Nanoseconds a row of the E-step with few and with many components."""

    n_features: int
    few: int
    many: int
    nanoseconds: tuple[float, float]

    @property
    def exponent(self) -> float:
        """The power of the number of components that the time grows with; 1 is linear."""
        few, many = self.nanoseconds
        return math.log(many / few) / math.log(self.many / self.few)

    @property
    def share_of_linear(self) -> float:
        """How many times the time has grown, divided by how many times the components have."""
        few, many = self.nanoseconds
        return many / few * self.few / self.many


def measure_growth(
    features: Sequence[int] = N_FEATURES,
    *,
    few: int = FEW,
    many: int = MANY,
    n_rows: int = N_ROWS,
    n_repeats: int = 3,
    kernel: str = "auto",
) -> Iterator[Growth]:
    """Time the E-step on separated clusters of full covariances, medians of calls after one that warms up."""
    e_step = choose_kernel(kernel)
    for n_features in features:
        times = []
        for n_components in (few, many):
            rows, parameters = draw_mixture(
                "full", n_rows=n_rows, n_features=n_features, n_components=n_components, spread=SEPARATED
            )
            call = partial(e_step, rows, None, parameters)
            call()
            times.append(median(cpu_time(call) for _ in range(n_repeats)) / n_rows)
        yield Growth(n_features, few, many, (times[0], times[1]))


def growth_text(growths: Sequence[Growth]) -> str:
    """Return the timings as text, and whether the time grows by less than the components."""
    lines = ["many components, full, separated; nanoseconds a row of the E-step"]
    for growth in growths:
        few, many = growth.nanoseconds
        verdict = "holds" if growth.share_of_linear < 1 else "missed"
        lines.append(
            f"    {growth.n_features} features: {few:,.0f} with {growth.few:,}, {many:,.0f} with {growth.many:,}; "
            f"{growth.share_of_linear:.2f} of linear growth, power {growth.exponent:.2f}: below linear {verdict}"
        )
    return "\n".join(lines)
