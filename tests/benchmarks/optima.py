"""The best optimum known of each case, and where scikit-learn's starts lead: long runs, stored beside this file.

`python -m tests.benchmarks.convergence --optima` runs them anew, for about ten minutes, and writes optima.json. A case
that is changed needs that; a bound that a later run finds above the stored optimum is reported, not hidden.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.benchmarks import fits
from tests.benchmarks.fits import accelerated_path, plain_path, prepare, sklearn_starts
from tests.benchmarks.mixtures import Case

__all__ = ["FILE", "Optimum", "find_optimum", "load_optima", "save_optima"]

FILE = Path(__file__).with_suffix(".json")
# scikit-learn with tol=1e-7, by iterates that are its own to rounding; and this package's fits until nothing is gained.
TIGHT_TOL = 1e-7
LONGEST = 500
SEEDS = (0, 1, 2, 3)
LONG_PASSES = 60


@dataclass(frozen=True, slots=True)
class Optimum:
    """What long runs found for one case."""

    bound: float
    """The highest mean log-likelihood that any of them reached."""
    tight: dict[str, float]
    """What scikit-learn with tol=1e-7 reaches, by n_init."""
    tight_passes: dict[str, list[float | None]]
    """The passes in which the best of its runs comes within 1e-4, 1e-5 and 1e-6 of the optimum, by n_init."""


def find_optimum(case: Case, *, n_init: int = 5) -> Optimum:
    """Run every method for long."""
    prepared = prepare(case)
    runs = [
        plain_path(prepared.rows, start, tol=TIGHT_TOL, max_passes=LONGEST)
        for start in sklearn_starts(case, prepared.rows, n_init)
    ]
    ends = [accelerated_path(prepare(case, seed=seed), tol=0.0, max_passes=LONG_PASSES).bounds[-1] for seed in SEEDS]
    polished = accelerated_path(prepared.at(max(runs, key=_end).parameters), tol=0.0, max_passes=LONG_PASSES)
    bound = max(*ends, polished.bounds[-1], *map(_end, runs))
    best = {"1": runs[0], str(n_init): max(runs, key=_end)}
    return Optimum(
        bound=bound,
        tight={name: _end(run) for name, run in best.items()},
        tight_passes={
            name: [run.passes_to(bound - gap) if run.bounds[-1] >= bound - gap else None for gap in (1e-4, 1e-5, 1e-6)]
            for name, run in best.items()
        },
    )


def load_optima() -> dict[str, Optimum]:
    """Return the stored optima by the names of their cases."""
    return {name: Optimum(**entry) for name, entry in json.loads(FILE.read_text()).items()}


def save_optima(cases: Iterable[Case]) -> None:
    """Find the optima of all cases and store them, each as soon as it is known."""
    found: dict[str, Optimum] = {}
    for case in cases:
        found[case.name] = find_optimum(case)
        FILE.write_text(json.dumps({name: asdict(optimum) for name, optimum in found.items()}, indent=1) + "\n")


def _end(run: fits.Path) -> float:
    return run.bounds[-1]
