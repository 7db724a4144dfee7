"""Watch EM find three clusters on a line, pass by pass, from a poor start.

Sixty points lie around -15, 0 and 15. Three Gaussians begin between these places. Every pass over the points asks how
probable each Gaussian is for each point, and then moves the Gaussians to the points that are theirs. The likelihood
rises with every pass, though it hardly does for some of them; and where it stops depends on where it began.

    python examples/one_dimension/one_dimension.py
    python examples/one_dimension/one_dimension.py --animation passes.gif
    python examples/one_dimension/one_dimension.py --rows 20000000 --store line.zarr
"""

from __future__ import annotations

import argparse
import copy
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.animation import PillowWriter
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning

from daskgmm import GaussianMixture, open_zarr
from daskgmm.engine.generate import generate_rows
from daskgmm.view.canvas import legend, new_figure, styled, titled
from daskgmm.view.palette import COLOURS
from daskgmm.writing import write_rows

CENTRES = np.array([15.0, -15.0, 0.0])
# The start: three means, equal shares, and three numbers called variances.
START_MEANS = np.array([-8.0, 8.0, 5.0])
START_VARIANCES = np.array([5.0, 3.0, 1.0])
# Passes stop when one of them raises the mean log-likelihood by less than this, in nats a point.
TOL = 1e-6
MAX_PASSES = 60
N_COLUMNS = 4
# Sums of logarithms are rounded; more than that the likelihood may never fall.
ROUNDING = 1e-10
BLOCK_ROWS = 2_000_000  # 16 MiB


def main() -> int:
    """Run EM one pass at a time from two starts, check that no pass lowers the likelihood, and draw all of them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, metavar="N", help="draw so many points instead of the tutorial's sixty")
    parser.add_argument("--store", type=Path, metavar="FILE", help="new Zarr array to write the points to first")
    parser.add_argument("--animation", type=Path, metavar="GIF", help="write the passes as an animation, too")
    parser.add_argument("--picture", type=Path, default=Path("one_dimension.png"), metavar="FILE")
    arguments = parser.parse_args()
    if arguments.store is not None and arguments.store.exists():
        parser.error(f"--store: expected a path where nothing is yet; {arguments.store} exists")

    X = points(arguments.rows, arguments.store)
    passes = em_passes(X, START_VARIANCES)
    scores = [mixture.score(X) for mixture in passes]
    print("pass  log-likelihood  means                    standard deviations")
    for number, (mixture, score) in enumerate(zip(passes, scores, strict=True)):
        means, deviations = mixture.means_.ravel(), np.sqrt(mixture.covariances_.ravel())
        print(f"{number:4d}{score:16.6f}  " + "".join(f"{value:8.2f}" for value in (*means, *deviations)))

    # The same three numbers taken for standard deviations are another start, and lead to another end.
    other = em_passes(X, START_VARIANCES**2)
    other_scores = [mixture.score(X) for mixture in other]
    print(f"started with these numbers as standard deviations, EM ends at {other_scores[-1]:.6f}")
    # A fit that is given no start looks for one, and should do no worse than either.
    own = GaussianMixture(3, random_state=0).fit(X).score(X)
    print(f"from a start that the fit looks for itself, it ends at {own:.6f}")

    sample = np.asarray(X[: min(60, X.shape[0])])
    draw(passes, sample, other=other, curves=[scores, other_scores]).savefig(arguments.picture, dpi=80)
    if arguments.animation:
        animate(passes, sample, arguments.animation)
    if min(np.diff(scores).min(), np.diff(other_scores).min()) < -ROUNDING:
        print("expected a likelihood that never falls; a pass lowered it", file=sys.stderr)
        return 1
    if own < max(scores[-1], other_scores[-1]) - 1e-4:
        print("expected the fit's own start to do no worse than the given ones", file=sys.stderr)
        return 1
    return 0


def points(n_rows: int | None, store: Path | None) -> Any:
    """Return the tutorial's sixty points, or n_rows points like them: in memory, or in a Zarr array."""
    if store is None:
        return tutorial_points() if n_rows is None else draw_points(np.random.default_rng(0), n_rows)
    n_samples = 60 if n_rows is None else n_rows
    lazy = generate_rows(draw_points, None, n_samples=n_samples, n_features=1, block_rows=BLOCK_ROWS, entropy=0)
    write_rows(lazy, store, compressed=False)  # the digits of drawn rows do not compress
    return open_zarr(store)


def tutorial_points() -> NDArray[np.float64]:
    """Return twenty points around each centre, from the tutorial's own random numbers."""
    random = np.random.RandomState(0)
    spread = np.linspace(-5, 5, num=20)
    return np.concatenate([spread * random.rand(20) + centre for centre in CENTRES])[:, None]


def draw_points(generator: np.random.Generator, n_rows: int, _: object = None) -> NDArray[np.float64]:
    """Draw points as the tutorial does: a number between -5 and 5 times one between 0 and 1, around a centre."""
    spread = generator.uniform(-5, 5, n_rows) * generator.random(n_rows)
    rows: NDArray[np.float64] = spread + generator.choice(CENTRES, n_rows)
    return rows[:, None]


def em_passes(X: Any, variances: NDArray[np.float64]) -> list[GaussianMixture]:
    """Return the mixture at the start and after each pass of EM, until a pass gains less than TOL."""
    # What the estimator takes is a precision: one over a variance.
    start: dict[str, Any] = {"weights_init": np.full(3, 1 / 3), "means_init": START_MEANS[:, None]}
    precisions = (1 / variances)[:, None, None]
    # No acceleration and no sample, so that a pass is one iteration of EM and nothing else.
    mixture = GaussianMixture(
        3, **start, precisions_init=precisions, tol=0, max_iter=0, acceleration=None, init_size=None
    ).fit(X)
    passes = [copy.copy(mixture)]
    # From here each call of fit goes on from the last one, for one pass.
    mixture.set_params(warm_start=True, max_iter=1)
    with warnings.catch_warnings():
        # One pass is never enough to converge.
        warnings.simplefilter("ignore", ConvergenceWarning)
        while len(passes) <= MAX_PASSES:
            passes.append(copy.copy(mixture.fit(X)))
            if len(passes) > 2 and passes[-1].lower_bound_ - passes[-2].lower_bound_ < TOL:
                break
    return passes


def draw(
    passes: list[GaussianMixture], X: NDArray[np.float64], *, other: list[GaussianMixture], curves: list[list[float]]
) -> Figure:
    """Draw every pass, where the other start ended, and the log-likelihood of the passes from both."""
    n_panels = len(passes) + 1
    n_rows = -(-(n_panels + 2) // N_COLUMNS)
    figure = new_figure(10, 2 * n_rows)
    grid = figure.add_gridspec(n_rows, N_COLUMNS)
    for number, mixture in enumerate([*passes, other[-1]]):
        title = "wider start, end" if number == len(passes) else f"pass {number}" if number else "start"
        draw_pass(figure.add_subplot(grid[divmod(number, N_COLUMNS)]), mixture, X, title=title)
    # What is left of the last row, two places at least.
    curve = styled(figure.add_subplot(grid[-1, max(0, n_panels - (n_rows - 1) * N_COLUMNS) :]))
    for scores, style, label in zip(curves, ("o-", "s--"), ("start", "wider start"), strict=True):
        curve.plot(scores, style, markersize=4, color=COLOURS[3 if label == "start" else 4], label=label)
    # The first values lie far below; what matters is where the lines end.
    curve.set_ylim(-4, -3)
    # On the right, where the numbers do not push the columns apart.
    curve.yaxis.tick_right()
    curve.spines.left.set_visible(False)
    curve.spines.right.set_visible(True)
    titled(curve, "mean log-likelihood, by pass")
    legend(curve, loc="lower right")
    return figure


def draw_pass(axes: Axes, mixture: GaussianMixture, X: NDArray[np.float64], *, title: str) -> None:
    """Draw the three densities, and the points in a blend of their colours by whose they are."""
    places = np.linspace(-22, 22, 800)[:, None]
    shares = mixture.predict_proba(places) * np.exp(mixture.score_samples(places))[:, None]
    for share, colour in zip(shares.T, COLOURS, strict=False):
        styled(axes).plot(places, share, color=colour)
    blend = mixture.predict_proba(X) @ [[int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)] for colour in COLOURS[:3]]
    axes.scatter(X, np.full(len(X), -0.01), c=blend.clip(0, 1), s=12)
    axes.set(xlim=(-22, 22), ylim=(-0.02, 0.18), xticks=[-15, 0, 15], yticks=[])
    titled(axes, title)


def animate(passes: list[GaussianMixture], X: NDArray[np.float64], path: Path) -> None:
    """Write the passes as an animated GIF, two a second."""
    figure = Figure(figsize=(6, 3.5), layout="constrained")
    axes = figure.subplots()
    writer = PillowWriter(fps=2)
    with writer.saving(figure, path, dpi=100):
        for number, mixture in enumerate(passes):
            axes.clear()
            draw_pass(axes, mixture, X, title=f"pass {number}" if number else "start")
            writer.grab_frame()


if __name__ == "__main__":
    sys.exit(main())
