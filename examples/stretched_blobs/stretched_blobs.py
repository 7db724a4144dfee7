"""Fit stretched blobs: the state before and after, the likelihood on the way, and to whom a new point belongs.

Round blobs are sheared into ellipses. EM starts from three circles in poor places and turns them into the ellipses of
the data. Then a point that was not among the data asks which of the three it belongs to. The same again with five
blobs that are far apart.

    python examples/stretched_blobs/stretched_blobs.py
    python examples/stretched_blobs/stretched_blobs.py --rows 20000000 --store blobs.zarr
"""

from __future__ import annotations

import argparse
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy.special import logsumexp
from sklearn.datasets import make_blobs
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture as SklearnGaussianMixture

from daskgmm import GaussianMixture, open_zarr
from daskgmm.engine.generate import generate_rows
from daskgmm.view.canvas import new_figure, titled
from daskgmm.view.palette import NEUTRAL
from daskgmm.view.plots import ConvergenceDisplay, MixtureDisplay
from daskgmm.writing import write_rows

# The tutorial's seed of the blobs, and what it multiplies the points with.
BLOBS_SEED = 20
STRETCH = np.random.RandomState(0).randn(2, 2)
NEW_POINT = np.array([[0.5, 0.5]])
# The tutorial's start is another one in every run. With this seed EM needs many iterations and ends well.
START_SEED = 6
START_VARIANCE = 5.0
SETTINGS: dict[str, Any] = {"tol": 1e-6, "max_iter": 200}
# In the first few, the logarithm of the sum falls.
SHOWN_ITERATIONS = 8
# Both run the same iterations from the same start; only the order of their sums differs.
MEMBERSHIP_TOLERANCE = 1e-6
BLOCK_ROWS = 1_000_000  # 16 MiB


def main() -> int:
    """Fit three blobs and five, and compare the new point's membership with scikit-learn's."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, metavar="N", help="fit so many points like those of the three blobs, too")
    parser.add_argument("--store", type=Path, metavar="FILE", help="new Zarr array that these are written to")
    parser.add_argument("--picture", type=Path, default=Path("stretched_blobs.png"), metavar="FILE")
    arguments = parser.parse_args()
    if arguments.store is not None and arguments.store.exists():
        parser.error(f"--store: expected a path where nothing is yet; {arguments.store} exists")
    if (arguments.rows is None) != (arguments.store is None):
        parser.error("--rows and --store: expected both or neither")

    three, five = blobs(500, n_blobs=3, deviation=1.5), blobs(1000, n_blobs=5, deviation=0.5)
    start = random_start(three)
    fitted, off = fit_and_compare(three, start)
    fitted_five, off_five = fit_and_compare(five, kmeans_start(five))
    print_likelihoods(three, start)
    if arguments.store is not None:
        fit_from_disk(arguments.rows, arguments.store)

    draw(three, state(three, start, iterations=0), fitted, five=five, fitted_five=fitted_five).savefig(
        arguments.picture, dpi=80
    )
    if max(off, off_five) > MEMBERSHIP_TOLERANCE:
        print(f"expected scikit-learn's membership to {MEMBERSHIP_TOLERANCE:g}", file=sys.stderr)
        return 1
    return 0


def blobs(n_rows: int, *, n_blobs: int, deviation: float) -> NDArray[np.float64]:
    """Return the tutorial's points (n_rows, 2)."""
    rows: NDArray[np.float64] = make_blobs(n_rows, centers=n_blobs, cluster_std=deviation, random_state=BLOBS_SEED)[0]
    return rows @ STRETCH


def random_start(X: NDArray[np.float64]) -> dict[str, Any]:
    """Return the tutorial's start: whole numbers from the range of the first feature, circles, equal shares."""
    random = np.random.RandomState(START_SEED)
    means = random.randint(X[:, 0].min(), X[:, 0].max(), size=(3, 2)).astype(float)
    precisions = np.array([np.eye(2) / START_VARIANCE] * 3)
    return {"weights_init": np.full(3, 1 / 3), "means_init": means, "precisions_init": precisions}


def kmeans_start(X: NDArray[np.float64]) -> dict[str, Any]:
    """Return share, mean and precision of each of five k-means groups."""
    found = GaussianMixture(5, max_iter=0, random_state=0).fit(X)
    return {"weights_init": found.weights_, "means_init": found.means_, "precisions_init": found.precisions_}


def fit_and_compare(X: NDArray[np.float64], start: dict[str, Any]) -> tuple[GaussianMixture, float]:
    """Fit with and without scikit-learn; return the mixture, and how far the new point's memberships lie apart."""
    n_components = len(start["weights_init"])
    # Without acceleration each iteration is plain EM's, and so scikit-learn's own.
    mixture = GaussianMixture(n_components, acceleration=None, **SETTINGS, **start).fit(X)
    in_memory = SklearnGaussianMixture(n_components, **SETTINGS, **start).fit(X)
    found, expected = mixture.predict_proba(NEW_POINT)[0], in_memory.predict_proba(NEW_POINT)[0]
    off = float(np.abs(found - expected).max())
    print(f"{len(X)} points, {n_components} blobs: {mixture.n_iter_} iterations, {in_memory.n_iter_} of scikit-learn")
    print(f"  membership of (0.5, 0.5)  {as_text(found)}, {off:.1e} from scikit-learn's")
    return mixture, off


def print_likelihoods(X: NDArray[np.float64], start: dict[str, Any]) -> None:
    """Print the log-likelihood of the first iterations, and the logarithm of a sum that is easily taken for it."""
    print("  iteration  sum of logarithms  logarithm of the sum")
    for iterations in range(SHOWN_ITERATIONS):
        log_densities = state(X, start, iterations=iterations).score_samples(X)
        # Points are independent: their densities are multiplied, so the logarithms are added. A sum of the densities
        # themselves is a number that means nothing; it may fall while EM does what it should.
        print(f"  {iterations:9d}{log_densities.sum():19.3f}{logsumexp(log_densities):22.6f}")


def state(X: NDArray[np.float64], start: dict[str, Any], *, iterations: int) -> GaussianMixture:
    """Return the mixture after so many iterations."""
    settings: dict[str, Any] = {"tol": 0, "max_iter": iterations}
    with warnings.catch_warnings():
        # It is stopped before it converges, as it should be.
        warnings.simplefilter("ignore", ConvergenceWarning)
        return GaussianMixture(len(start["weights_init"]), acceleration=None, **settings, **start).fit(X)


def fit_from_disk(n_rows: int, store: Path) -> None:
    """Write points like those of the three blobs, block by block, and fit them from there."""
    centres = make_blobs(centers=3, random_state=BLOBS_SEED, return_centers=True)[2]
    lazy = generate_rows(draw_blobs, centres, n_samples=n_rows, n_features=2, block_rows=BLOCK_ROWS, entropy=0)
    write_rows(lazy, store, compressed=False)  # the digits of drawn rows do not compress
    # No start is given and acceleration is on: many starts are tried on a sample of the points.
    mixture = GaussianMixture(3, random_state=0).fit(open_zarr(store))
    print(f"{n_rows:,} points from {store}, 3 blobs: {mixture.n_passes_} passes over them")
    print(f"  membership of (0.5, 0.5)  {as_text(mixture.predict_proba(NEW_POINT)[0])}")


def draw_blobs(generator: np.random.Generator, n_rows: int, centres: NDArray[np.float64]) -> NDArray[np.float64]:
    """Draw points around the centres and stretch them."""
    rounds = centres[generator.integers(len(centres), size=n_rows)] + generator.normal(0, 1.5, (n_rows, 2))
    return rounds @ STRETCH


def as_text(probabilities: NDArray[np.float64]) -> str:
    """Return probabilities in a line, small ones as powers of ten."""
    return " ".join(f"{probability:.4g}" for probability in probabilities)


def draw(
    three: NDArray[np.float64], begun: GaussianMixture, fitted: GaussianMixture, *, five: Any, fitted_five: Any
) -> Figure:
    """Draw the start, the end, the log-likelihood between them, and the five blobs."""
    figure = new_figure(10, 9)
    (first, last), (curve, other) = figure.subplots(2, 2)
    panels = ((first, "start", begun, three), (last, "end", fitted, three), (other, "five blobs", fitted_five, five))
    for axes, title, mixture, X in panels:
        MixtureDisplay.from_estimator(mixture, X, ax=axes)
        axes.plot(*NEW_POINT.T, marker="*", markersize=14, color=NEUTRAL)
        titled(axes, title)
    ConvergenceDisplay.from_estimator(fitted, ax=curve)
    titled(curve, "log-likelihood, from start to end")
    return figure


if __name__ == "__main__":
    sys.exit(main())
