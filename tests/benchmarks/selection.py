"""Ten mixtures fitted in the same passes, beside fitting them one after the other; and how often BIC finds the truth.

Run ``python -m tests.benchmarks.selection`` (nine minutes of CPU time; ``--markdown`` for a table). Reading is
made slow: every block costs a fixed time of a thread's CPU each time it is read, as decompression does, and nothing is
kept between passes. The exit code is 1 when a bar is missed.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import time
import warnings
from collections.abc import Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import dask.array as da
import numpy as np
from sklearn.exceptions import ConvergenceWarning

from daskgmm import GaussianMixture, SelectionResult, select_components
from daskgmm.fitting import race
from tests.benchmarks.passes import Bar, markdown

SEPARATION = 7.0
"""Least distance of two means, in standard deviations."""
N_BLOCKS = 20


@dataclass(frozen=True, slots=True)
class Timed:
    """The same candidates fitted together and alone."""

    passes_together: int
    passes_alone: tuple[int, ...]
    wall_together: float
    wall_alone: float

    def bars(self) -> list[Bar]:
        """Return what is asked of them."""
        slowest = max(self.passes_alone)
        return [
            Bar("passes of the search, by those of the slowest fit", self.passes_together / slowest, 1.5),
            Bar("wall time of the search, by that of all fits in turn", self.wall_together / self.wall_alone, 0.25),
        ]


def clusters(seed: int, n_rows: int) -> tuple[np.ndarray, int]:
    """Return rows of separated components of random shapes, sizes and number, and that number."""
    generator = np.random.default_rng(seed)
    n_components, n_features = int(generator.integers(2, 9)), int(generator.integers(2, 7))
    means = np.zeros((0, n_features))
    while len(means) < n_components:
        mean = generator.uniform(-1.0, 1.0, n_features) * SEPARATION * n_components ** (1 / n_features)
        if len(means) == 0 or np.linalg.norm(means - mean, axis=1).min() >= SEPARATION:
            means = np.concatenate([means, mean[None]])
    turns = np.linalg.qr(generator.normal(size=(n_components, n_features, n_features)))[0]
    factors = turns * generator.uniform(0.4, 1.0, (n_components, 1, n_features))
    labels = generator.choice(n_components, size=n_rows, p=generator.dirichlet(np.full(n_components, 8.0)))
    noise = generator.normal(size=(n_rows, n_features))
    return means[labels] + np.einsum("nij,nj->ni", factors[labels], noise), n_components


def slow_rows(rows: np.ndarray, seconds: float) -> da.Array:
    """Return rows in blocks, each of which takes so much CPU time to read."""
    data = bytes(2**20)

    def decoded(block: np.ndarray) -> np.ndarray:
        end = time.thread_time() + seconds
        while time.thread_time() < end:
            hashlib.blake2b(data).digest()
        return block

    lazy = da.from_array(rows, chunks=(-(-len(rows) // N_BLOCKS), -1))
    return lazy.map_blocks(decoded, dtype=rows.dtype, meta=np.empty((0, 0)))


def timed(X: da.Array, counts: Sequence[int]) -> Timed:
    """Fit all candidates together, and each alone."""
    settings = {"random_state": 0, "cache": None, "init_size": 5_000}
    began = time.perf_counter()
    together = select_components(X, counts, **settings)
    between = time.perf_counter()
    alone = [GaussianMixture(count, **settings).fit(X).n_passes_ for count in counts]
    end = time.perf_counter()
    return Timed(together.n_passes, tuple(alone), between - began, end - between)


def searched(seed: int, n_rows: int, counts: Sequence[int]) -> tuple[SelectionResult, int]:
    """Return what a search finds on separated clusters, and how many there are."""
    rows, n_components = clusters(seed, n_rows)
    X = da.from_array(rows, chunks=(-(-n_rows // 2), -1))
    return select_components(X, counts, random_state=0, init_size=n_rows // 3), n_components


@contextmanager
def no_early_stops():
    """Let every candidate go on to its end."""
    fewest, race.FEWEST_PASSES = race.FEWEST_PASSES, sys.maxsize
    try:
        yield
    finally:
        race.FEWEST_PASSES = fewest


def found_bars(n_cases: int, n_rows: int, counts: Sequence[int]) -> list[Bar]:
    """Search on separated clusters, with and without early stops."""
    right = changed = stopped = 0
    for seed in range(n_cases):
        result, n_components = searched(seed, n_rows, counts)
        with no_early_stops():
            whole, _ = searched(seed, n_rows, counts)
        right += result.best.n_components == n_components
        changed += not np.array_equal(result.best.means_, whole.best.means_)
        stopped += sum(row["problem"].startswith("stopped") for row in result.table)
        _say(f"  case {seed}: {n_components} components, found {result.best.n_components}")
    _say(f"stopped early: {stopped} of {n_cases * len(counts)} candidates")
    return [
        Bar("share of cases where BIC does not find the number", 1 - right / n_cases, 0.1),
        Bar("winners changed by early stops", changed, 0),
    ]


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main(arguments: Sequence[str] | None = None) -> int:
    """Print what was measured; return whether a bar was missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rows", type=int, default=100_000, help="rows that are slow to read")
    parser.add_argument("--seconds", type=float, default=0.3, help="CPU time to read each of their blocks")
    parser.add_argument("--candidates", type=int, default=10)
    parser.add_argument("--cases", type=int, default=30)
    parser.add_argument("--case-rows", type=int, default=3_000)
    parser.add_argument("--markdown", action="store_true")
    options = parser.parse_args(arguments)
    counts = range(1, options.candidates + 1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        measured = timed(slow_rows(clusters(1, options.rows)[0], options.seconds), counts)
        _say(
            f"together: {measured.passes_together} passes, {measured.wall_together:.1f} s; alone: "
            f"{'+'.join(map(str, measured.passes_alone))} passes, {measured.wall_alone:.1f} s"
        )
        bars = measured.bars() + found_bars(options.cases, options.case_rows, counts)
    _say(markdown(bars) if options.markdown else "\n".join(map(str, bars)))
    return int(not all(bar.holds for bar in bars))


if __name__ == "__main__":
    sys.exit(main())
