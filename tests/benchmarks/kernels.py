"""One iteration of EM on rows in memory: this package's kernel and M-step, and scikit-learn's `_e_step` and `_m_step`.

`python -m tests.benchmarks.kernels` prints the table that README.md shows. Both sides run in this process, in turns, on
one BLAS thread, from the same parameters on the same rows.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from time import perf_counter_ns

from sklearn.mixture import GaussianMixture as SklearnGaussianMixture
from threadpoolctl import threadpool_limits

from daskgmm.kernels import choose_kernel
from daskgmm.mixture.m_step import m_step
from daskgmm.mixture.parameters import MixtureParameters
from tests.drawn import Drawn, draw

__all__ = ["SHAPES", "Timing", "markdown", "measure"]

SHAPES = ((2, 3), (4, 8), (8, 16), (16, 32), (32, 32), (64, 16))
"""(n_features, n_components) of each row of the table."""
REG_COVAR = 1e-6


@dataclass(frozen=True, slots=True)
class Timing:
    """Medians over the repeats, in nanoseconds per row."""

    n_features: int
    n_components: int
    daskgmm: float
    sklearn: float
    ratio: float
    """Median of scikit-learn's time over this package's, pair by pair."""


def measure(
    shapes: Sequence[tuple[int, int]] = SHAPES, *, n_rows: int = 50_000, n_repeats: int = 7, kernel: str = "auto"
) -> list[Timing]:
    """Time one iteration for each shape."""
    with threadpool_limits(limits=1):
        return [_measure_shape(*shape, n_rows=n_rows, n_repeats=n_repeats, kernel=kernel) for shape in shapes]


def markdown(timings: Sequence[Timing]) -> str:
    """Return the timings as a Markdown table."""
    lines = [
        "| features | components | daskgmm, ns a row | scikit-learn, ns a row | ratio |",
        "|---------:|-----------:|------------------:|-----------------------:|------:|",
    ]
    lines += [
        f"| {timing.n_features} | {timing.n_components} | {timing.daskgmm:,.0f} | {timing.sklearn:,.0f} "
        f"| {timing.ratio:.1f} |"
        for timing in timings
    ]
    return "\n".join(lines)


def _measure_shape(n_features: int, n_components: int, *, n_rows: int, n_repeats: int, kernel: str) -> Timing:
    # Means some 1.5 standard deviations apart in each feature: neighbours overlap, as they do while a fit is under way.
    drawn = draw("full", n_rows=n_rows, n_components=n_components, n_features=n_features, spread=1.5)
    ours, theirs = daskgmm_iteration(drawn, kernel=kernel), sklearn_iteration(drawn)
    ours(), theirs()  # the first call pays for pages and threads
    pairs = [(_nanoseconds(ours), _nanoseconds(theirs)) for _ in range(n_repeats)]
    return Timing(
        n_features=n_features,
        n_components=n_components,
        daskgmm=median(pair[0] for pair in pairs) / n_rows,
        sklearn=median(pair[1] for pair in pairs) / n_rows,
        ratio=median(pair[1] / pair[0] for pair in pairs),
    )


def daskgmm_iteration(drawn: Drawn, *, kernel: str = "auto") -> Callable[[], MixtureParameters]:
    """Return a function that does one iteration from the drawn mixture's own parameters."""
    e_step = choose_kernel(kernel)
    parameters = MixtureParameters.from_covariances(
        weights=drawn.weights, means=drawn.means, covariances=drawn.covariances, covariance_type=drawn.covariance_type
    )
    return lambda: m_step(e_step(drawn.rows, None, parameters), reg_covar=REG_COVAR).parameters


def sklearn_iteration(drawn: Drawn) -> Callable[[], SklearnGaussianMixture]:
    """Return a function that does the same iteration with scikit-learn."""

    def iterate() -> SklearnGaussianMixture:
        # It updates itself: each call starts again from the parameters given.
        model = SklearnGaussianMixture(len(drawn.weights), covariance_type=drawn.covariance_type, reg_covar=REG_COVAR)
        model.weights_, model.means_, model.covariances_ = drawn.weights, drawn.means, drawn.covariances
        model.precisions_cholesky_ = precisions_cholesky
        _, log_resp = model._e_step(drawn.rows)
        model._m_step(drawn.rows, log_resp)
        return model

    precisions_cholesky = MixtureParameters.from_covariances(
        weights=drawn.weights, means=drawn.means, covariances=drawn.covariances, covariance_type=drawn.covariance_type
    ).precisions_cholesky
    return iterate


def _nanoseconds(function: Callable[[], object]) -> int:
    began = perf_counter_ns()
    function()
    return perf_counter_ns() - began


if __name__ == "__main__":
    sys.stdout.write(f"{markdown(measure())}\n")
