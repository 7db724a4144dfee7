"""Label many points from a few labelled ones, and know which of the labels to trust.

Somebody has labelled 15 of 2,000 points that lie in five overlapping clusters. A mixture finds the clusters from all
points, without labels; the few labelled ones then say what each cluster is called. Every other point gets the label
of the clusters that it may belong to, and a certainty with it: where it is high, labels are right more often.

    python examples/few_labels/few_labels.py
    python examples/few_labels/few_labels.py --rows 20000000 --store points.zarr
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from sklearn.datasets import make_blobs
from sklearn.neighbors import KNeighborsClassifier

from daskgmm import GaussianMixture, open_zarr
from daskgmm.engine.generate import generate_rows
from daskgmm.view.canvas import legend, lettered, name_axes, new_figure, styled, titled
from daskgmm.view.palette import COLOURS
from daskgmm.view.plots import ResponsibilityDisplay
from daskgmm.writing import write_rows

N_LABELS = 5
LABELLED_EACH = 3
# The centres and the stretching of the tutorial's five clusters; four times its deviation, so that they overlap.
CENTRES = make_blobs(centers=N_LABELS, random_state=20, return_centers=True)[2]
STRETCH = np.random.RandomState(0).randn(2, 2)
DEVIATION = 2.0
ROUNDS = 100
# A cluster without any labelled point may have every name.
NO_VOTE = 1e-9
BLOCK_ROWS = 500_000  # 12 MiB
THRESHOLDS = np.array([0.0, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99])


@dataclass(frozen=True, slots=True)
class Reliability:
    """How often labels are right, by certainty."""

    counts: NDArray[np.float64]
    """Points whose certainty lies between a threshold and the next."""
    right: NDArray[np.float64]
    """How many of these have the right label."""

    @property
    def shares(self) -> NDArray[np.float64]:
        """Of all points, those of at least each threshold's certainty."""
        shares: NDArray[np.float64] = np.cumsum(self.counts[::-1])[::-1] / self.counts.sum()
        return shares

    @property
    def accuracies(self) -> NDArray[np.float64]:
        """Of the points of at least each threshold's certainty, those with the right label."""
        return np.cumsum(self.right[::-1])[::-1] / np.cumsum(self.counts[::-1])[::-1]


def main() -> int:
    """Fit without labels, name the clusters, and count how often the names are right."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=2_000, metavar="N", help="points to draw")
    parser.add_argument("--store", type=Path, metavar="FILE", help="new Zarr array to write the points to first")
    parser.add_argument("--picture", type=Path, default=Path("few_labels.png"), metavar="FILE")
    arguments = parser.parse_args()
    if arguments.store is not None and arguments.store.exists():
        parser.error(f"--store: expected a path where nothing is yet; {arguments.store} exists")

    table = points(arguments.rows, arguments.store)
    X, truth = table[:, :2], table[:, 2].astype(int)
    mixture = GaussianMixture(N_LABELS, random_state=0).fit(X)

    few = few_labelled(table)
    labelled, labels = few[:, :2], few[:, 2].astype(int)
    names = cluster_names(mixture, labelled, labels)
    reliability = count(label_probabilities(mixture, X, names), truth)
    nearest = KNeighborsClassifier(n_neighbors=1).fit(labelled, labels)
    by_nearest = float((X.map_blocks(nearest.predict, drop_axis=1, dtype=int) == truth).mean().compute())

    print(f"{arguments.rows:,} points, {len(labels)} of them labelled")
    print("certainty at least  of the points  right")
    for threshold, share, accuracy in zip(THRESHOLDS, reliability.shares, reliability.accuracies, strict=True):
        print(f"{threshold:18.2f}{share:15.1%}{accuracy:7.1%}")
    print(f"label of the nearest labelled point: {by_nearest:.1%} right")
    draw(mixture, X, labelled, reliability=reliability, by_nearest=by_nearest).savefig(arguments.picture, dpi=80)

    if not reliability.accuracies[-1] > reliability.accuracies[0] > by_nearest:
        print("expected labels to be better where they are certain, and than the nearest point's", file=sys.stderr)
        return 1
    return 0


def points(n_rows: int, store: Path | None) -> Any:
    """Draw points with their true labels in a third column (n_rows, 3), into a Zarr array if one is named."""
    if store is None:
        return da.from_array(draw_points(np.random.default_rng(0), n_rows))
    lazy = generate_rows(draw_points, None, n_samples=n_rows, n_features=3, block_rows=BLOCK_ROWS, entropy=0)
    write_rows(lazy, store, compressed=False)  # the digits of drawn rows do not compress
    return open_zarr(store)


def draw_points(generator: np.random.Generator, n_rows: int, _: object = None) -> NDArray[np.float64]:
    """Draw a label for each point, the point around the centre of that label, and stretch all of them."""
    labels = generator.integers(N_LABELS, size=n_rows)
    rounds = CENTRES[labels] + generator.normal(0, DEVIATION, (n_rows, 2))
    return np.column_stack([rounds @ STRETCH, labels])


def few_labelled(table: da.Array) -> NDArray[np.float64]:
    """Return the first few rows of each label: all that anybody is told of the true labels."""
    head = table[:1000].compute()
    return np.concatenate([head[head[:, 2] == label][:LABELLED_EACH] for label in range(N_LABELS)])


def cluster_names(mixture: GaussianMixture, labelled: Any, labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the probability (clusters, labels) of each label in each cluster, from the labelled points."""
    memberships, given = mixture.predict_proba(labelled), np.eye(N_LABELS)[labels]
    shares = memberships
    for _ in range(ROUNDS):
        # Each labelled point votes for its label in every cluster, with its shares of one vote.
        votes = shares.T @ given + NO_VOTE
        names: NDArray[np.float64] = votes / votes.sum(axis=1, keepdims=True)
        # A point between two clusters more likely came from the one that is called as the point is: EM once more.
        explained = memberships * names[:, labels].T
        shares = explained / explained.sum(axis=1, keepdims=True)
    return names


def label_probabilities(mixture: GaussianMixture, X: Any, names: NDArray[np.float64]) -> Any:
    """Return the probability (points, labels) of each label: those of the clusters, times their names."""
    return mixture.predict_proba(X) @ names


def count(probabilities: da.Array, truth: da.Array) -> Reliability:
    """Count the points, and those with the right label, between the thresholds of certainty."""
    certainty, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == truth
    # Rounding may take a certainty a little above one.
    edges = np.append(THRESHOLDS, 1.01)
    counts, _ = da.histogram(certainty, bins=edges)
    right_counts, _ = da.histogram(certainty, bins=edges, weights=right.astype(float))
    # Both in one pass: nothing as long as the data is ever held.
    return Reliability(*da.compute(counts, right_counts))


def draw(
    mixture: GaussianMixture, X: da.Array, labelled: Any, *, reliability: Reliability, by_nearest: float
) -> Figure:
    """Draw the points by their cluster, the labelled ones among them, and how often labels are right."""
    figure = new_figure(10, 4.5)
    left, right = figure.subplots(1, 2)
    ResponsibilityDisplay.from_estimator(mixture, X, ax=left)
    left.plot(*labelled.T, "*", color="white", markersize=13, markeredgecolor="black")
    titled(left, "points by cluster; stars are labelled")
    styled(right).plot(reliability.shares, reliability.accuracies, "o-", color=COLOURS[0], label="by certainty")
    for threshold, *place in list(zip(THRESHOLDS, reliability.shares, reliability.accuracies, strict=True))[1:]:
        note = right.annotate("", place, (-4, -4), textcoords="offset points", ha="right", va="top")
        lettered(note, f"{threshold:g}")
    right.axhline(by_nearest, color=COLOURS[1], linestyle="--", label="the nearest labelled point's label")
    right.margins(x=0.12)
    titled(right, "labels of points that are at least so certain")
    name_axes(right, x="share of the points", y="share of right labels")
    legend(right, loc="center left")
    return figure


if __name__ == "__main__":
    sys.exit(main())
