"""Ask the data how many components there are and what shape they have, in passes that all candidates share.

The rows come from five components that share one tilted covariance, so the answer is known: five, tied. The search fits
one to eight components of each of the four covariance types, 32 mixtures, and the Bayesian information criterion
(Schwarz 1978) chooses. Ends with exit code 1 if it finds something else, or if sharing the passes saves none.

    python examples/model_search/model_search.py [--rows N] [--store DIR] [--picture FILE]
"""

from __future__ import annotations

import argparse
import resource
import sys
import tempfile
from contextlib import ExitStack
from itertools import permutations
from pathlib import Path
from time import perf_counter
from typing import Any

import dask.array as da
import numpy as np
import zarr

from daskgmm import SelectionResult, open_zarr, select_components
from daskgmm.view.canvas import new_figure, titled
from daskgmm.view.plots import MixtureDisplay, SelectionDisplay

SHARES = np.array([0.3, 0.25, 0.2, 0.15, 0.1])
MEANS = np.array([[0.0, 0.0], [5.0, 0.0], [-5.0, 1.0], [1.0, 4.5], [-1.5, -4.5]])
COVARIANCE = np.array([[1.5, 0.7], [0.7, 0.9]])
COVARIANCE_TYPES = ("full", "tied", "diag", "spherical")
MOST_COMPONENTS = 8
# A pass over few rows takes no time: plain EM will do, from three starts each. Over many it does: the default, which
# explores starts on a sample for some seconds, needs fewer passes. Rows that are not compressed are read as fast from
# the store as from a cache.
FEW_ROWS = 100_000
PLAIN: dict[str, Any] = {"acceleration": None, "n_init": 3, "tol": 1e-5, "max_iter": 1000}
# 8 MiB of rows.
CHUNK_ROWS = 2**19


def main() -> int:
    """Run the example in the folder asked for, or in one that is removed at the end."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=4_000, metavar="N", help="rows in the store, 1000 at least")
    parser.add_argument("--store", type=Path, metavar="DIR", help="new folder that keeps the rows")
    parser.add_argument("--picture", type=Path, default=Path("model_search.png"), metavar="FILE")
    arguments = parser.parse_args()
    if arguments.rows < 1000:
        parser.error(f"--rows: expected 1000 or more; got {arguments.rows}")
    if arguments.store is not None and arguments.store.exists():
        parser.error(f"--store: expected a new folder; {arguments.store} is there already")
    with ExitStack() as stack:
        folder = arguments.store or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        write_rows_of_known_mixture(folder / "rows.zarr", arguments.rows)
        return run(folder / "rows.zarr", arguments.picture)


def run(store: Path, picture: Path) -> int:
    """Search, tell what was found and what it cost, draw it, and return the exit code."""
    X = open_zarr(store)
    began = perf_counter()
    result = search(X)
    seconds = perf_counter() - began
    print(result)

    best, apart = result.best, passes_apart(result)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{X.shape[0]:,} rows in {seconds:.1f} s, peak memory {peak:,.0f} MiB")
    print(f"passes: {result.n_passes} for all {len(result.table)} mixtures together, {apart} one after the other")
    print(f"best: {best.n_components} components, {best.covariance_type}")
    errors = errors_of_best(result)
    print(f"farthest mean {errors['mean']:.3f} off, covariance {errors['covariance']:.3f}, share {errors['share']:.3f}")

    paint(result, store, picture)
    claims = {
        "five tied components": (best.n_components, best.covariance_type) == (5, "tied"),
        "parameters near those drawn from": max(errors.values()) < 0.3,
        "fewer passes together": result.n_passes < apart,
    }
    failed = [claim for claim, holds in claims.items() if not holds]
    if failed:
        print(f"expected, and not seen: {'; '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


def search(X: da.Array) -> SelectionResult:
    """Fit one to eight components of each covariance type in the same passes; the lowest BIC is the best."""
    settings = PLAIN if len(X) <= FEW_ROWS else {"cache": None}
    numbers = range(1, MOST_COMPONENTS + 1)
    return select_components(X, numbers, covariance_types=COVARIANCE_TYPES, criterion="bic", random_state=0, **settings)


def write_rows_of_known_mixture(path: Path, n_rows: int) -> None:
    """Write rows of five components that share a covariance, block by block."""
    # The digits of drawn numbers do not compress.
    array = zarr.create_array(
        path, shape=(n_rows, 2), chunks=(min(n_rows, CHUNK_ROWS), 2), dtype="f8", compressors=None
    )
    factor = np.linalg.cholesky(COVARIANCE)
    for start in range(0, n_rows, CHUNK_ROWS):
        size = min(CHUNK_ROWS, n_rows - start)
        generator = np.random.default_rng([8, start])
        component = generator.choice(len(SHARES), size, p=SHARES)
        array[start : start + size] = MEANS[component] + generator.normal(size=(size, 2)) @ factor.T


def passes_apart(result: SelectionResult) -> int:
    """Return how often single fits of the same candidates would read the data.

    Each fitted candidate is bit for bit what a fit of its own finds, so `n_passes_` counts the passes of that one, too.
    One that was stopped early counts as far as it came: alone it would have taken more.
    """
    return sum(model.n_passes_ for model in result.models if model is not None)


def errors_of_best(result: SelectionResult) -> dict[str, float]:
    """Return the largest errors of means, covariance and shares, in the order of components that fits best."""
    best = result.best
    if best.means_.shape != MEANS.shape or best.covariance_type != "tied":
        return dict.fromkeys(("mean", "covariance", "share"), np.inf)
    orders = [np.array(order) for order in permutations(range(len(MEANS)))]
    order = min(orders, key=lambda order: float(np.abs(best.means_[order] - MEANS).sum()))
    return {
        "mean": float(np.linalg.norm(best.means_[order] - MEANS, axis=1).max()),
        "covariance": float(np.abs(best.covariances_ - COVARIANCE).max()),
        "share": float(np.abs(best.weights_[order] - SHARES).max()),
    }


def paint(result: SelectionResult, store: Path, picture: Path) -> None:
    """Write a picture of the criterion by number of components, and of the best mixture over the rows."""
    figure = new_figure(11, 4.6)
    left, right = figure.subplots(1, 2)
    SelectionDisplay.from_result(result, ax=left)
    MixtureDisplay.from_estimator(result.best, store, ax=right)
    titled(right, "the best mixture")
    figure.savefig(picture, dpi=80)


if __name__ == "__main__":
    sys.exit(main())
