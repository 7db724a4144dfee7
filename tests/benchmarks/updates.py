"""How far thirty daily updates end from one fit of all thirty days, in nats a row, and how many rows each reads.

``python -m tests.benchmarks.updates`` prints a line for each case and ends with 1 when a gap is above the bar or a
night reads more than a thirtieth of what a fit of all days does; ``--markdown`` prints a table besides.

The first day is fitted, in one case the first five; each later one goes into the model with `update`, which reads the
rows of that day alone. With a decay below 1, rows of earlier days count less: the fit of all days gets the same
weights, and both are scored with them. A gap below 0 is a better optimum than the fit of all days found.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from daskgmm import GaussianMixture
from tests.benchmarks.mixtures import Case, gaussians

__all__ = ["BAR", "DAYS", "NIGHTS", "Gap", "Nights", "main", "measure"]

BAR = 0.02
"""Nats a row that thirty updates may end below one fit."""
DAYS = 30
# The fit of all days runs closer to its optimum than its default tol would.
BATCH_TOL, BATCH_ITERATIONS = 1e-5, 200


@dataclass(frozen=True, slots=True)
class Nights:
    """A mixture, how it changes, and what the updates forget."""

    case: Case
    decay: float = 1.0
    drift: float = 0.0
    """By how much all means move each day, in every feature; standard deviations are about 1."""
    first_days: int = 1
    """How many days the first fit has."""
    has_bar: bool = True
    """Whether the gap has to be below the bar."""


def _nights(
    name: str,
    n_features: int,
    n_components: int,
    spread: float,
    *,
    shape: str = "full",
    unbalanced: bool = False,
    day: int = 5_000,
    decay: float = 1.0,
    drift: float = 0.0,
    first_days: int = 1,
    has_bar: bool = True,
) -> Nights:
    rows = gaussians(n_features, n_components, spread, mixture_seed=6, shape=shape, unbalanced=unbalanced)
    seed = 100 * n_features + n_components
    return Nights(Case(name, rows, n_components, shape, DAYS * day, seed), decay, drift, first_days, has_bar)


NIGHTS = (
    _nights("separated", 4, 6, 4.0),
    _nights("overlapping", 4, 6, 1.0),
    _nights("overlapping, many components", 8, 16, 1.0),
    _nights("overlapping, diagonal", 8, 12, 0.8, shape="diag"),
    _nights("overlapping, tied", 8, 12, 0.8, shape="tied"),
    _nights("overlapping, spherical", 8, 12, 0.8, shape="spherical"),
    _nights("unbalanced", 4, 8, 1.8, unbalanced=True),
    _nights("drifting, decay 0.8", 4, 6, 2.0, decay=0.8, drift=0.02),
    _nights("drifting, overlapping, decay 0.8", 4, 6, 1.0, decay=0.8, drift=0.02),
    _nights("few rows a day after a fit of five", 4, 6, 1.0, day=1_000, first_days=5),
    _nights("few rows a day from the first", 4, 6, 1.0, day=1_000, has_bar=False),
)
"""The last one shows a limit: of 1,000 overlapping rows a mixture gets much wrong, and old rows keep their shares."""


@dataclass(frozen=True, slots=True)
class Gap:
    """How the updates of one case did."""

    nights: Nights
    gap: float
    """Mean log-likelihood of the fit of all days less that of the updated mixture, over all days."""
    gap_of_first: float
    """The same of the first fit, which is never updated."""
    read: tuple[int, ...]
    """Rows read in each night: those of the day in each of its passes."""
    read_by_fit: int
    """Rows that the fit of all days read."""

    @property
    def holds(self) -> bool:
        """Whether the bars are met, where there are any."""
        return (self.gap <= BAR or not self.nights.has_bar) and DAYS * np.mean(self.read) <= self.read_by_fit

    def __str__(self) -> str:
        verdict = "MISSED" if not self.holds else "holds " if self.nights.has_bar else "      "
        return (
            f"{verdict} {self.nights.case.name}: {self.gap:.5f} <= {BAR} nats a row "
            f"(first fit alone {self.gap_of_first:.5f}); a night reads {np.mean(self.read):,.0f} rows, at most "
            f"{max(self.read):,}, a fit of all {self.read_by_fit:,}"
        )


def measure(nights: Nights) -> Gap:
    """Fit the first days, update with all others, and compare with a fit of all."""
    case, begun = nights.case, nights.first_days
    days = np.stack(np.split(case.draw(), DAYS))
    days = days + nights.drift * np.arange(DAYS)[:, None, None]
    rows = days.reshape(case.n_rows, -1)
    weights = np.repeat(nights.decay ** np.arange(DAYS - 1, -1, -1.0), len(rows) // DAYS)
    settings = {"covariance_type": case.covariance_type, "random_state": 0}
    whole = GaussianMixture(case.n_components, tol=BATCH_TOL, max_iter=BATCH_ITERATIONS, **settings)
    usual = GaussianMixture(case.n_components, **settings)
    model = GaussianMixture(case.n_components, **settings)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        best = whole.fit(rows, sample_weight=weights).score(rows, sample_weight=weights)
        usual.fit(rows, sample_weight=weights)
    first = model.fit(rows[: begun * len(days[0])]).score(rows, sample_weight=weights)
    read = []
    for day in days[begun:]:
        model.update(day, nights.decay)
        read.append(_rows_read(model))
    gap = best - model.score(rows, sample_weight=weights)
    return Gap(nights, gap, best - first, tuple(read), _rows_read(usual))


def _rows_read(model: GaussianMixture) -> int:
    return sum(entry["rows"] for entry in model.history_ if entry["phase"] != "sample")


def markdown(gaps: Sequence[Gap]) -> str:
    """Return the gaps as a table."""
    lines = [
        "| data | covariances | features | components | rows a day | gap | first fit alone | passes a night |",
        "| --- | --- | --: | --: | --: | --: | --: | --: |",
    ]
    for one in gaps:
        case, day = one.nights.case, one.nights.case.n_rows // DAYS
        n_features = case.rows(1, np.random.default_rng(0)).shape[1]
        lines.append(
            f"| {case.name} | {case.covariance_type} | {n_features} | {case.n_components} | {day:,} | {one.gap:.4f} | "
            f"{one.gap_of_first:.4f} | {np.mean(one.read) / day:.1f} |"
        )
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure all cases; return 1 when a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, help="rows a day of each case instead of its own")
    parser.add_argument("--cases", type=int, nargs="+", help="numbers of cases, from 0; all without it")
    parser.add_argument("--markdown", action="store_true", help="print a table besides")
    options = parser.parse_args(arguments)
    chosen = NIGHTS if options.cases is None else [NIGHTS[index] for index in options.cases]
    gaps = []
    for nights in chosen:
        n_rows = DAYS * options.rows if options.rows else nights.case.n_rows
        gaps.append(measure(replace(nights, case=replace(nights.case, n_rows=n_rows))))
        _write(str(gaps[-1]))  # the whole takes minutes: what is known is shown
    worst = max(gaps, key=lambda one: one.gap * one.nights.has_bar)
    _write(f"largest: {worst.gap:.5f} ({worst.nights.case.name})")
    if options.markdown:
        _write(markdown(gaps))
    return 0 if all(one.holds for one in gaps) else 1


def _write(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
