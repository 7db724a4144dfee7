"""How far one pass of `partial_fit` over a stream ends from the batch fit of the same rows, in nats a row.

``python -m tests.benchmarks.streaming`` prints a line for each mixture and size of blocks and ends with 1 when a gap is
above the bar; ``--markdown`` prints a table besides. ``--sorted`` adds the same rows in the order of their first
feature, a stream that `partial_fit` is not made for: no bar holds there.

A gap below 0 is a better optimum than the batch fit found from its own starts.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from time import process_time

import numpy as np
from numpy.typing import NDArray

from daskgmm import GaussianMixture
from tests.benchmarks.mixtures import Case, gaussians

__all__ = ["STREAMS", "Gap", "main", "measure"]

Floats = NDArray[np.float64]

BAR = 0.01
"""Nats a row that a stream may end below the batch fit."""
BLOCK_ROWS = (1_000, 20_000)
# The batch fit runs closer to its optimum than its default tol would.
BATCH_TOL, BATCH_ITERATIONS = 1e-5, 200


def _case(
    n_features: int, n_components: int, spread: float, covariance_type: str = "full", n_rows: int = 300_000
) -> Case:
    rows = gaussians(n_features, n_components, spread, mixture_seed=5, shape=covariance_type)
    name = f"{n_features} features, {n_components} components, spread {spread:g}, {covariance_type}"
    return Case(name, rows, n_components, covariance_type, n_rows, seed=n_features * 100 + n_components)


STREAMS = (
    _case(1, 2, 3.0),
    _case(1, 2, 1.0),
    _case(1, 4, 2.0),
    _case(2, 4, 3.0),
    _case(2, 4, 1.0),
    _case(4, 8, 3.0),
    _case(4, 8, 1.0),
    _case(4, 8, 1.0, n_rows=1_000_000),
    _case(8, 8, 2.0),
    _case(8, 16, 1.0),
    _case(8, 16, 0.5),
    _case(16, 16, 1.0),
    _case(16, 16, 0.3),
    _case(16, 4, 0.5),
    _case(8, 12, 0.8, "diag"),
    _case(8, 12, 0.8, "tied"),
    _case(8, 12, 0.8, "spherical"),
)
"""Spreads of 3 separate the components, spreads below 1 leave them overlapping in few features."""


@dataclass(frozen=True, slots=True)
class Gap:
    """How one stream did."""

    case: Case
    block_rows: int
    order: str
    """shuffled or sorted."""
    gap: float
    """Mean log-likelihood of the batch fit less that of the stream, over all rows."""
    seconds: float
    """CPU time of the stream, its start included."""

    @property
    def holds(self) -> bool:
        """Whether the bar is met, where there is one."""
        return self.order == "sorted" or self.gap <= BAR

    def __str__(self) -> str:
        verdict = "      " if self.order == "sorted" else "holds " if self.holds else "MISSED"
        return (
            f"{verdict} {self.case.name}, {self.case.n_rows:,} rows in blocks of {self.block_rows:,}, {self.order}: "
            f"{self.gap:.5f} <= {BAR} nats a row, {self.seconds:.1f} s"
        )


def measure(case: Case, block_rows: Sequence[int], *, is_sorted: bool = False) -> list[Gap]:
    """Fit a case in batch and as a stream, in blocks of each size."""
    rows = case.draw()
    settings = {"covariance_type": case.covariance_type, "random_state": 0}
    batch = GaussianMixture(case.n_components, tol=BATCH_TOL, max_iter=BATCH_ITERATIONS, **settings).fit(rows)
    best = batch.score(rows)
    gaps = []
    for order in ("shuffled", "sorted") if is_sorted else ("shuffled",):
        stream = rows if order == "shuffled" else rows[np.argsort(rows[:, 0])]
        for size in block_rows:
            model = GaussianMixture(case.n_components, **settings)
            began = process_time()
            for begin in range(0, len(rows), size):
                model.partial_fit(stream[begin : begin + size])
            gaps.append(Gap(case, size, order, best - model.score(rows), process_time() - began))
    return gaps


def markdown(gaps: Sequence[Gap]) -> str:
    """Return the gaps as a table."""
    lines = ["| stream | rows | blocks of | gap, nats a row | bar |", "| --- | --: | --: | --: | --: |"]
    lines += [f"| {one.case.name} | {one.case.n_rows:,} | {one.block_rows:,} | {one.gap:.4f} | {BAR} |" for one in gaps]
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure all cases; return 1 when a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, help="rows of each case instead of its own")
    parser.add_argument("--cases", type=int, nargs="+", help="numbers of cases, from 0; all without it")
    parser.add_argument("--sorted", action="store_true", help="add streams in the order of the first feature")
    parser.add_argument("--markdown", action="store_true", help="print a table besides")
    options = parser.parse_args(arguments)
    chosen = STREAMS if options.cases is None else [STREAMS[index] for index in options.cases]
    gaps = []
    for case in chosen:
        n_rows = options.rows or case.n_rows
        sized = Case(case.name, case.rows, case.n_components, case.covariance_type, n_rows, case.seed)
        for gap in measure(sized, BLOCK_ROWS, is_sorted=options.sorted):
            gaps.append(gap)
            _write(str(gap))  # the whole takes minutes: what is known is shown
    worst = max((one for one in gaps if one.order == "shuffled"), key=lambda one: one.gap)
    _write(f"largest: {worst.gap:.5f} ({worst.case.name}, blocks of {worst.block_rows:,})")
    if options.markdown:
        _write(markdown(gaps))
    return 0 if all(one.holds for one in gaps) else 1


def _write(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
