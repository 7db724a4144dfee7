"""Find the rows of a store that a mixture did not expect, and write them to a store of their own.

Three kinds of usual rows, and one row in two hundred that is spread over the whole box: the outliers. A mixture is
fitted to all of them, for nobody knows which are which. Then each row's log density goes to a Zarr array, the threshold
is the quantile below which as many lie as are believed to be outliers, and the rows below it are written out with their
numbers. As they were planted, precision and recall can be counted. Ends with exit code 1 if they are poor.

    python examples/outliers/outliers.py [--rows N] [--share S] [--store DIR] [--picture FILE]
"""

from __future__ import annotations

import argparse
import resource
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from time import perf_counter

import dask.array as da
import numpy as np
import zarr

from daskgmm import GaussianMixture, open_zarr
from daskgmm.view.canvas import legend, name_axes, new_figure, styled, titled
from daskgmm.view.palette import COLOURS, NEUTRAL
from daskgmm.view.plots import MixtureDisplay
from daskgmm.writing import write_results, write_rows

N_COMPONENTS, N_FEATURES = 3, 4
MEANS = np.array([[2.0, 2.0, 0.0, 1.0], [-3.0, 0.0, 2.0, -1.0], [1.0, -3.0, -2.0, 0.0]])
SCALES = np.array([[1.0, 0.5, 0.7, 1.0], [0.6, 1.0, 0.5, 0.8], [0.9, 0.7, 1.0, 0.5]])
SHARES = np.array([0.5, 0.3, 0.2])
PLANTED = 0.005
# Outliers lie anywhere between minus and plus this in each feature, some of them among the usual rows.
BOX = 8.0
# 16 MiB of rows.
CHUNK_ROWS = 2**19
# Log densities that the quantile is found from, 8 MB: the share below it is known to 0.0001.
QUANTILE_ROWS = 1_000_000
DRAWN_ROWS = 100_000
# Marks of rows that were planted and written, planted and missed, and written for nothing; blue, orange and green are
# the components'.
LOOKS = {
    "planted, written": (COLOURS[3], "x"),
    "planted, missed": (COLOURS[4], "s"),
    "usual, written": (COLOURS[5], "^"),
}


def main() -> int:
    """Run the example in the folder asked for, or in one that is removed at the end."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=100_000, metavar="N", help="rows in the store, 10000 at least")
    parser.add_argument("--share", type=float, default=PLANTED, metavar="S", help="share of rows to call outliers")
    parser.add_argument("--store", type=Path, metavar="DIR", help="new folder that keeps rows, densities and outliers")
    parser.add_argument("--picture", type=Path, default=Path("outliers.png"), metavar="FILE")
    arguments = parser.parse_args()
    if arguments.rows < 10_000 or not 0 < arguments.share < 1:
        parser.error("expected --rows of 10000 or more, and --share between 0 and 1")
    if arguments.store is not None and arguments.store.exists():
        parser.error(f"--store: expected a new folder; {arguments.store} is there already")
    with ExitStack() as stack:
        folder = arguments.store or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        plant(folder, arguments.rows)
        return run(folder, share=arguments.share, picture=arguments.picture)


def run(folder: Path, *, share: float, picture: Path) -> int:
    """Fit, find and write the outliers, count, draw, and return the exit code."""
    X = open_zarr(folder / "rows.zarr")
    began = perf_counter()
    # The start is found as well on ten thousand rows as on more. What is not compressed is read as fast from the store
    # as from a cache, and without one the memory is that of a few blocks.
    mixture = GaussianMixture(N_COMPONENTS, init_size=10_000, cache=None, random_state=0).fit(X)
    fitted = perf_counter()
    write_results(mixture, X, folder / "log-density.zarr", what="log-density")
    log_density = da.from_zarr(folder / "log-density.zarr", chunks=X.chunks[0])
    threshold = quantile(log_density, share)
    write_below(X, log_density, threshold, folder=folder)
    written = perf_counter()

    counts = count(folder)
    precision, recall = counts["caught"] / counts["flagged"], counts["caught"] / counts["planted"]
    print(f"{len(X):,} rows fitted in {mixture.n_passes_} passes, {fitted - began:.1f} s")
    print(f"threshold {threshold:.2f} nats, the quantile {share:g} of the log densities")
    print(f"{counts['flagged']:,} rows written to outliers.zarr in {written - fitted:.1f} s")
    print(f"precision {precision:.3f}, recall {recall:.3f} of {counts['planted']:,} planted")
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:,.0f} MiB")

    paint(folder, mixture, threshold=threshold, picture=picture)
    written_below = mixture.score_samples(open_zarr(folder / "outliers.zarr")).max().compute() < threshold
    claims = {
        "each row written lies below the threshold": bool(written_below),
        "as many rows written as asked for, to a tenth": abs(counts["flagged"] / (share * len(X)) - 1) < 0.1,
        "nine in ten of the rows written were planted": precision > 0.9 or share > PLANTED,
        "nine in ten of those planted were written": recall > 0.9 or share < PLANTED,
    }
    failed = [claim for claim, holds in claims.items() if not holds]
    if failed:
        print(f"expected, and not seen: {'; '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


def plant(folder: Path, n_rows: int) -> None:
    """Write rows of a mixture with outliers among them, and which these are, block by block."""
    chunk = min(n_rows, CHUNK_ROWS)
    rows = zarr.create_array(
        # The digits of drawn numbers do not compress.
        folder / "rows.zarr", shape=(n_rows, N_FEATURES), chunks=(chunk, N_FEATURES), dtype="f8", compressors=None
    )  # fmt: skip
    planted = zarr.create_array(folder / "planted.zarr", shape=(n_rows,), chunks=(chunk,), dtype="?")
    for start in range(0, n_rows, chunk):
        size = min(chunk, n_rows - start)
        generator = np.random.default_rng([9, start])
        component = generator.choice(N_COMPONENTS, size, p=SHARES)
        block = MEANS[component] + SCALES[component] * generator.normal(size=(size, N_FEATURES))
        here = generator.random(size) < PLANTED
        block[here] = generator.uniform(-BOX, BOX, (int(here.sum()), N_FEATURES))
        rows[start : start + size], planted[start : start + size] = block, here


def quantile(log_density: da.Array, share: float) -> float:
    """Return the log density that about this share of the rows lie below, from every n-th row.

    Rows that come in some order would need a random sample instead.
    """
    step = max(1, len(log_density) // QUANTILE_ROWS)
    return float(np.quantile(log_density[::step].compute(), share))


def write_below(X: da.Array, log_density: da.Array, threshold: float, *, folder: Path) -> None:
    """Write the rows whose log density is below the threshold, and their numbers, in the memory of a few blocks."""
    below = log_density < threshold
    # How many rows of a block stay is known when it has been looked at: one more pass, and all blocks are not held.
    write_rows(X[below].compute_chunk_sizes(), folder / "outliers.zarr")
    write_rows(da.flatnonzero(below).compute_chunk_sizes(), folder / "outlier-numbers.zarr")


def count(folder: Path) -> dict[str, int]:
    """Return how many rows were planted, how many were written, and how many were both."""
    planted = da.from_zarr(folder / "planted.zarr")
    numbers = da.from_zarr(folder / "outlier-numbers.zarr").compute()
    return {"planted": int(planted.sum()), "flagged": len(numbers), "caught": int(planted[numbers].sum())}


def paint(folder: Path, mixture: GaussianMixture, *, threshold: float, picture: Path) -> None:
    """Write a picture of the mixture with the outliers on it, and of the log densities with the threshold."""
    X, log_density, planted = (
        da.from_zarr(folder / name)[:DRAWN_ROWS].compute() for name in ("rows.zarr", "log-density.zarr", "planted.zarr")
    )
    written = log_density < threshold
    figure = new_figure(11, 4.8)
    left, right = figure.subplots(1, 2)
    MixtureDisplay.from_estimator(mixture, X, features=[0, 1], ax=left)
    kinds = (planted & written, planted & ~written, ~planted & written)
    for (label, (colour, mark)), rows in zip(LOOKS.items(), kinds, strict=True):
        left.plot(*X[rows, :2].T, mark, color=colour, markersize=4, label=label)
    titled(left, "two of four features")
    legend(left, loc="upper center", bbox_to_anchor=(0.5, -0.12), ncols=3)

    # On a scale of powers of ten the few are seen beside the many.
    edges = np.linspace(log_density.min(), log_density.max(), 80).tolist()
    styled(right).hist(log_density[~planted], edges, color=COLOURS[5], alpha=0.6, label="usual rows")
    right.hist(log_density[planted], edges, histtype="step", color=COLOURS[3], linewidth=1.5, label="planted rows")
    right.axvline(threshold, color=NEUTRAL, linestyle="--", label="threshold")
    right.set_yscale("log")
    name_axes(right, x="log density, in nats", y="rows")
    legend(right, loc="upper left")
    figure.savefig(picture, dpi=80)


if __name__ == "__main__":
    sys.exit(main())
