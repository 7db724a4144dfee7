"""Group the points of three blobs, and draw each one as large as its group is certain.

K-means puts every point into one group and says nothing of doubt. A mixture started from its groups gives each point
the probability of each group; where blobs touch, these are far from one.

    python examples/three_blobs/three_blobs.py
    python examples/three_blobs/three_blobs.py --rows 20000000 --store blobs.zarr
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from sklearn.mixture import GaussianMixture as SklearnGaussianMixture

from daskgmm import GaussianMixture, open_zarr
from daskgmm.engine.generate import generate_rows
from daskgmm.view.canvas import new_figure, titled
from daskgmm.view.plots import MixtureDisplay, ResponsibilityDisplay
from daskgmm.writing import write_rows

SHARES = np.array([0.25, 0.5, 0.25])
MEANS = np.array([[-3.0, 3.0], [0.0, 0.0], [3.0, 3.0]])
COVARIANCES = np.array([np.eye(2)] * 3)
BLOCK_ROWS = 1_000_000  # 16 MiB
SURE = 0.9
# Above this many points scikit-learn, which holds all of them at once, is not asked to do the same.
IN_MEMORY_ROWS = 100_000
# Both run the same iterations from the same start; only the order of their sums differs.
MEMBERSHIP_TOLERANCE = 1e-6
# How much less likely than the true mixture the fitted one may make the points, in nats a row.
LIKELIHOOD_TOLERANCE = 1e-3


def main() -> int:
    """Draw the blobs, fit them from k-means, and compare with the blobs themselves and with scikit-learn."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000, metavar="N", help="points to draw")
    parser.add_argument("--store", type=Path, metavar="FILE", help="new Zarr array to write the points to first")
    parser.add_argument("--picture", type=Path, default=Path("three_blobs.png"), metavar="FILE")
    arguments = parser.parse_args()
    if arguments.store is not None and arguments.store.exists():
        parser.error(f"--store: expected a path where nothing is yet; {arguments.store} exists")

    X = points(arguments.rows, arguments.store)
    start = kmeans_start(X)
    # Without acceleration each iteration is plain EM's, and so scikit-learn's own.
    mixture = GaussianMixture(3, acceleration=None, **start).fit(X)
    print(f"{arguments.rows:,} points, {mixture.n_iter_} iterations from k-means")
    for weight, (across, up) in zip(mixture.weights_, mixture.means_, strict=True):
        print(f"a blob of {weight:.1%} of the points around ({across:+.2f}, {up:+.2f})")
    print(f"{sure_share(mixture, X):.1%} of the points belong to their blob with a probability of {SURE:g} or more")
    draw(mixture, X).savefig(arguments.picture, dpi=80)

    missing = true_mixture().score(X) - mixture.score(X)
    if missing > LIKELIHOOD_TOLERANCE:
        print(f"expected a fit as likely as the blobs; it is {missing:.2g} nats a row below", file=sys.stderr)
        return 1
    if arguments.rows <= IN_MEMORY_ROWS:
        differing = difference_from_sklearn(mixture, np.asarray(X), start)
        print(f"probabilities differ from scikit-learn's by {differing:.1e} at most")
        if differing > MEMBERSHIP_TOLERANCE:
            print(f"expected them to differ by at most {MEMBERSHIP_TOLERANCE:g}", file=sys.stderr)
            return 1
    return 0


def points(n_rows: int, store: Path | None) -> Any:
    """Draw points (n_rows, 2): in memory, or block by block into a Zarr array that is opened again."""
    if store is None:
        return draw_points(np.random.default_rng(0), n_rows)
    lazy = generate_rows(draw_points, None, n_samples=n_rows, n_features=2, block_rows=BLOCK_ROWS, entropy=0)
    write_rows(lazy, store, compressed=False)  # the digits of drawn rows do not compress
    return open_zarr(store)


def draw_points(generator: np.random.Generator, n_rows: int, _: object = None) -> NDArray[np.float64]:
    """Draw a blob for each point, and then the point from that blob."""
    blob = generator.choice(len(SHARES), size=n_rows, p=SHARES)
    # Normal numbers of variance 1 times a factor of the covariance have that covariance.
    factors = np.linalg.cholesky(COVARIANCES)
    offsets: NDArray[np.float64] = np.einsum("nij,nj->ni", factors[blob], generator.normal(size=(n_rows, 2)))
    return MEANS[blob] + offsets


def kmeans_start(X: Any) -> dict[str, Any]:
    """Return share, mean and precision of each k-means group of a sample of the points: where EM begins."""
    # No iteration is asked for. All points are in the sample unless there are very many.
    found = GaussianMixture(3, init_params="kmeans", max_iter=0, random_state=0).fit(X)
    return {"weights_init": found.weights_, "means_init": found.means_, "precisions_init": found.precisions_}


def true_mixture() -> GaussianMixture:
    """Return the mixture that the points are drawn from."""
    start: dict[str, Any] = {"weights_init": SHARES, "means_init": MEANS, "precisions_init": np.linalg.inv(COVARIANCES)}
    return GaussianMixture(3, max_iter=0, **start).fit(MEANS)


def sure_share(mixture: GaussianMixture, X: Any) -> float:
    """Return the share of points whose most probable blob has a probability of SURE or more, in one pass."""
    largest = da.asarray(mixture.predict_proba(X)).max(axis=1)
    return float((largest >= SURE).mean().compute())


def difference_from_sklearn(mixture: GaussianMixture, X: NDArray[np.float64], start: dict[str, Any]) -> float:
    """Return the largest difference between the probabilities and those that scikit-learn finds from the same start."""
    in_memory = SklearnGaussianMixture(3, **start).fit(X)
    return float(np.abs(mixture.predict_proba(X) - in_memory.predict_proba(X)).max())


def draw(mixture: GaussianMixture, X: Any) -> Figure:
    """Draw the mixture over the points, and beside it points sized and coloured by the probability of their blob."""
    figure = new_figure(10, 4.5)
    left, right = figure.subplots(1, 2, sharex=True, sharey=True)
    MixtureDisplay.from_estimator(mixture, X, ax=left)
    ResponsibilityDisplay.from_estimator(mixture, X, ax=right)
    titled(left, "the mixture, at one, two and three standard deviations")
    titled(right, "points as large as their blob is certain")
    return figure


if __name__ == "__main__":
    sys.exit(main())
