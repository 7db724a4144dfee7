"""Show how expectation-maximisation fails on data that repeat one value, and two ways in which daskgmm does not.

A sensor sends two numbers, and the same error code whenever it fails. A component that starts at the code shrinks onto
it: its variance goes to zero, and the likelihood to infinity. EM as tutorials write it stops with a singular matrix.
Here that is seen first; then what `reg_covar` does, and what daskgmm's re-seeding does. Ends with exit code 1 if one of
these is not seen.

    python examples/singularities/singularities.py [--rows N] [--store DIR] [--picture FILE]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dask.array as da
import numpy as np
import zarr
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray
from scipy.stats import multivariate_normal

from daskgmm import GaussianMixture, open_zarr
from daskgmm.view.canvas import legend, name_axes, new_figure, styled, titled
from daskgmm.view.palette import COLOURS
from daskgmm.view.plots import MixtureDisplay

# Three states of what the sensor measures, each with a standard deviation of 1, and how often it is in each.
CENTRES = np.array([[-4.0, 0.0], [4.0, 0.0], [0.0, 5.0]])
SHARES = np.array([0.4, 0.35, 0.25])
# What the sensor sends when it fails, and how often that is.
ERROR_CODE = np.array([12.0, -10.0])
ROWS_AN_ERROR = 600
# A poor start, as drawing three rows gives one: the first is an error code, and a state goes without.
START: dict[str, NDArray[np.float64]] = {
    "weights_init": np.full(3, 1 / 3),
    "means_init": np.stack([ERROR_CODE, CENTRES[0], CENTRES[1]]),
    "precisions_init": np.stack([np.eye(2) / 9] * 3),
}
# EM as tutorials write it holds all rows in memory: it gets no more than these.
NAIVE_ROWS = 3_000
# 8 MiB of rows.
CHUNK_ROWS = 2**19
# The same EM for daskgmm: with `acceleration=None` each pass over the rows is one iteration. What is not compressed is
# read as fast from the store as from a cache.
PLAIN: dict[str, Any] = {**START, "acceleration": None, "tol": 1e-6, "cache": None}


def main() -> int:
    """Run the example in the folder asked for, or in one that is removed at the end."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=NAIVE_ROWS, metavar="N", help="rows in the store, 3000 at least")
    parser.add_argument("--store", type=Path, metavar="DIR", help="new folder that keeps the rows")
    parser.add_argument("--picture", type=Path, default=Path("singularities.png"), metavar="FILE")
    arguments = parser.parse_args()
    if arguments.rows < NAIVE_ROWS:
        parser.error(f"--rows: expected {NAIVE_ROWS} or more; got {arguments.rows}")
    if arguments.store is not None and arguments.store.exists():
        parser.error(f"--store: expected a new folder; {arguments.store} is there already")
    with ExitStack() as stack:
        folder = arguments.store or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        write_readings(folder / "readings.zarr", arguments.rows)
        return run(open_zarr(folder / "readings.zarr"), arguments.picture)


def run(X: da.Array, picture: Path) -> int:
    """Fit the rows in four ways, tell how it went, draw it, and return the exit code."""
    naive = naive_em(X[:NAIVE_ROWS].compute(), max_iter=50)
    # A variance may not be less than `reg_covar`, which is added to it.
    held, narrower = (GaussianMixture(3, reg_covar=reg_covar, **PLAIN).fit(X) for reg_covar in (1e-6, 1e-8))
    # Without it a component that collapses is given half of the heaviest one, and EM goes on.
    placed = GaussianMixture(3, reg_covar=0.0, **PLAIN).fit(X)
    # Nobody need start there: by default the best of many starts on a sample is taken.
    default = GaussianMixture(3, cache=None, random_state=0).fit(X)

    tell(naive, held=held, narrower=narrower, placed=placed)
    print(f"default start and reg_covar: mean log-likelihood {default.lower_bound_:.4f}")
    paint(X, naive=naive, held=held, placed=placed).savefig(picture, dpi=80)
    rise = narrower.lower_bound_ - held.lower_bound_
    expected = rise_of_a_spike(1e-6, 1e-8, n_rows=len(X))
    found = distance_to_states(placed.means_) < 0.5 and placed.converged_
    claims = {
        "EM without regularisation fails": naive.failure != "" and naive.determinants[-1] < 1e-12,
        "reg_covar bounds the variance": bool(np.allclose(held.covariances_[0], 1e-6 * np.eye(2), rtol=1e-3)),
        "the likelihood of a spike tells reg_covar": abs(rise - expected) < 1e-5,
        "a component is placed anew and finds its state": any(step["reseeded"] for step in placed.history_) and found,
        "the default start finds all states": distance_to_states(default.means_) < 0.5,
    }
    failed = [claim for claim, holds in claims.items() if not holds]
    if failed:
        print(f"expected, and not seen: {'; '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


def tell(naive: SimpleNamespace, *, held: GaussianMixture, narrower: GaussianMixture, placed: GaussianMixture) -> None:
    """Print how the fits from the poor start went."""
    print(f"EM as tutorials write it, {NAIVE_ROWS:,} rows:")
    for n_iter, numbers in enumerate(zip(naive.lower_bounds, naive.determinants, strict=True), start=1):
        print("  iteration {}: mean log-likelihood {:.4f}, determinant {:.1e}".format(n_iter, *numbers))
    print(f"  then: {naive.failure}")
    rise, width = narrower.lower_bound_ - held.lower_bound_, np.sqrt(held.covariances_[0, 0, 0])
    expected = rise_of_a_spike(1e-6, 1e-8, n_rows=held.n_samples_seen_)
    print(f"reg_covar=1e-6, {held.n_samples_seen_:,} rows: mean log-likelihood {held.lower_bound_:.4f}")
    print(f"  component 0 stays on the code, {width:.4f} wide; one state is without a component")
    print(f"  reg_covar=1e-8 gains {rise:.5f} nats a row for nothing, {expected:.5f} by arithmetic")
    print(f"reg_covar=0, re-seeded: mean log-likelihood {placed.lower_bound_:.4f}")
    for step in placed.history_:
        for component in step["reseeded"]:
            print(f"  pass {step['pass']}: component {component} had collapsed and was placed anew")
    print(f"  farthest mean: {distance_to_states(placed.means_):.2f} from the state that it belongs to")


def write_readings(path: Path, n_rows: int) -> None:
    """Write what the sensor sends, block by block; every 600th row is the error code."""
    # The digits of drawn numbers do not compress.
    chunks = (min(n_rows, CHUNK_ROWS), 2)
    array = zarr.create_array(path, shape=(n_rows, 2), chunks=chunks, dtype="f8", compressors=None)
    for start in range(0, n_rows, CHUNK_ROWS):
        rows = np.arange(start, min(start + CHUNK_ROWS, n_rows))
        generator = np.random.default_rng([20, start])
        readings = CENTRES[generator.choice(3, len(rows), p=SHARES)] + generator.normal(size=(len(rows), 2))
        readings[rows % ROWS_AN_ERROR == 0] = ERROR_CODE
        array[start : start + len(rows)] = readings


def naive_em(X: NDArray[np.float64], *, max_iter: int) -> SimpleNamespace:
    """Run EM by the formulas of a textbook, all rows and responsibilities in memory, nothing done against collapse.

    Returns the mixture of one iteration before it broke, in scikit-learn's names, and for each iteration the mean
    log-likelihood before it and the determinant of component 0's covariance after it.
    """
    mixture: Any = START["weights_init"], START["means_init"], np.linalg.inv(START["precisions_init"])
    before, lower_bounds, determinants, failure = mixture, list[float](), list[float](), ""
    for _ in range(max_iter):
        weights, means, covariances = mixture
        try:
            densities = [multivariate_normal(*pair).pdf(X) for pair in zip(means, covariances, strict=True)]
        except np.linalg.LinAlgError:
            failure = "a covariance is singular"
            break
        joint = weights * np.stack(densities, axis=1)
        responsibilities = joint / joint.sum(axis=1, keepdims=True)
        counts = responsibilities.sum(axis=0)
        means = responsibilities.T @ X / counts[:, None]
        offsets = X[:, None, :] - means
        covariances = np.einsum("nk,nki,nkj->kij", responsibilities, offsets, offsets) / counts[:, None, None]
        before, mixture = mixture, (counts / len(X), means, covariances)
        # The sum of the rows' logs; the log of the rows' sum would be no likelihood.
        lower_bounds.append(float(np.log(joint.sum(axis=1)).mean()))
        determinants.append(float(np.linalg.det(covariances[0])))
    found = dict(zip(("weights_", "means_", "covariances_"), before, strict=True), covariance_type="full")
    return SimpleNamespace(**found, lower_bounds=lower_bounds, determinants=determinants, failure=failure)


def rise_of_a_spike(reg_covar: float, smaller: float, *, n_rows: int) -> float:
    """Return how much the mean log-likelihood gains: the density on the code is its share / (2 pi reg_covar)."""
    share = len(range(0, n_rows, ROWS_AN_ERROR)) / n_rows
    return float(np.log(reg_covar / smaller)) * share


def distance_to_states(means: NDArray[np.float64]) -> float:
    """Return how far the farthest state lies from the mean next to it."""
    return float(np.linalg.norm(CENTRES[:, None] - means, axis=2).min(axis=1).max())


def paint(X: da.Array, *, naive: SimpleNamespace, held: GaussianMixture, placed: GaussianMixture) -> Figure:
    """Return a figure of the three mixtures, and of their likelihoods iteration by iteration."""
    figure = new_figure(10, 7.4)
    *panels, curves = figure.subplots(2, 2).flat
    mixtures = {"naive EM, one iteration before it fails": naive, "reg_covar=1e-6": held, "re-seeded": placed}
    for ax, (title, mixture) in zip(panels, mixtures.items(), strict=True):
        MixtureDisplay.from_estimator(mixture, X, ax=ax)
        ax.set(xlim=(-10, 14), ylim=(-11, 10))
        titled(ax, title)
    styled(curves)
    lines = {"o-": placed.lower_bounds_, "s:": held.lower_bounds_, "x-": naive.lower_bounds}
    labels = ("re-seeded", "reg_covar=1e-6", "naive EM, then infinite")
    for (line, bounds), label, colour in zip(lines.items(), labels, COLOURS[:2:-1], strict=True):
        curves.plot(np.arange(1, len(bounds) + 1), bounds, line, color=colour, markersize=5, label=label)
    end, arrow = len(naive.lower_bounds), {"arrowstyle": "->", "color": COLOURS[3]}
    curves.set_ylim(top=-3.7)
    curves.annotate("", (end + 0.1, -3.7), (end, naive.lower_bounds[-1]), arrowprops=arrow)
    curves.xaxis.set_major_locator(MaxNLocator(integer=True))
    name_axes(curves, x="iteration", y="mean log-likelihood, in nats a row")
    legend(curves, loc="lower right")
    return figure


if __name__ == "__main__":
    sys.exit(main())
