"""Group the pixels of two photographs by colour, from a Zarr array on disk, and compare with scikit-learn.

The photographs are those that ship with scikit-learn. Their pixels go to a Zarr array, a mixture is fitted to it block
by block, and scikit-learn fits the same pixels in memory from the same start. The labels go to Zarr and come back as a
picture in which each pixel has the mean colour of its component, beside the original. Ends with exit code 1 if the two
fits differ.

    python examples/quickstart.py [--output DIR]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import zarr
from numpy.typing import NDArray
from PIL import Image
from sklearn.datasets import load_sample_images
from sklearn.mixture import GaussianMixture as SklearnGaussianMixture

from daskgmm import GaussianMixture, load, open_zarr

N_COMPONENTS = 8
# In nats a pixel. More iterations than this asks for do not change what the eye sees.
TOL = 0.01
CHUNK_ROWS = 50_000
# Both fits do the same arithmetic in another order, so no more than rounding may lie between them.
LOG_LIKELIHOOD_TOLERANCE = 1e-8
LABEL_TOLERANCE = 1e-4


def main() -> int:
    """Run the example in the folder asked for, or in one that is removed at the end."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, metavar="DIR", help="new or empty folder for what is written")
    folder: Path | None = parser.parse_args().output
    if folder is None:
        with tempfile.TemporaryDirectory() as temporary:
            return run(Path(temporary))
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        parser.error(f"--output: expected a new or empty folder; {folder} holds files")
    status = run(folder)
    print(f"pixels, labels, model and picture are in {folder}")
    return status


def run(folder: Path) -> int:
    """Write, fit, compare, label and paint; return the exit code."""
    photographs: list[NDArray[np.uint8]] = load_sample_images().images
    pixels = np.concatenate([photograph.reshape(-1, 3) for photograph in photographs]) / 255.0
    zarr.create_array(folder / "pixels.zarr", data=pixels, chunks=(CHUNK_ROWS, 3))

    X = open_zarr(folder / "pixels.zarr")
    print(f"{X.shape[0]:,} pixels in {X.numblocks[0]} blocks")
    start = find_start(X)
    model = GaussianMixture(N_COMPONENTS, tol=TOL, acceleration=None, **start).fit(X)
    in_memory = SklearnGaussianMixture(N_COMPONENTS, tol=TOL, **start).fit(pixels)

    model.predict(X).to_zarr(folder / "labels.zarr")
    model.save(folder / "colours.gmm")
    labels = da.from_zarr(folder / "labels.zarr").compute()
    same = agree(model, in_memory, X=X, pixels=pixels, labels=labels)

    colours = load(folder / "colours.gmm").means_
    paint(photographs, labels=labels, colours=colours).save(folder / "colours.png")
    return 0 if same else 1


def find_start(X: da.Array) -> dict[str, Any]:
    """Return a start that both fits can be given: k-means on a sample of the rows, and no iteration from there."""
    found = GaussianMixture(N_COMPONENTS, init_size=20_000, max_iter=0, random_state=0).fit(X)
    return {"weights_init": found.weights_, "means_init": found.means_, "precisions_init": found.precisions_}


def agree(
    model: GaussianMixture,
    in_memory: SklearnGaussianMixture,
    *,
    X: da.Array,
    pixels: NDArray[np.float64],
    labels: NDArray[np.int64],
) -> bool:
    """Print how both fits went, and return whether they are the same."""
    from_disk, expected = model.score(X), in_memory.score(pixels)
    differing = float(np.mean(labels != in_memory.predict(pixels)))
    print(f"from disk    {model.n_iter_:3d} iterations, mean log-likelihood {from_disk:.9f}")
    print(f"in memory    {in_memory.n_iter_:3d} iterations, mean log-likelihood {expected:.9f} (scikit-learn)")
    print(f"difference   {abs(from_disk - expected):.1e}; {differing:.4%} of the labels differ")
    same = abs(from_disk - expected) <= LOG_LIKELIHOOD_TOLERANCE and differing <= LABEL_TOLERANCE
    if not same:
        print(
            f"expected a difference of at most {LOG_LIKELIHOOD_TOLERANCE:g}, and {LABEL_TOLERANCE:.2%} of the labels",
            file=sys.stderr,
        )
    return same


def paint(
    photographs: list[NDArray[np.uint8]], *, labels: NDArray[np.int64], colours: NDArray[np.float64]
) -> Image.Image:
    """Return the photographs one below the other, each beside itself in the colours of its pixels' components."""
    palette = np.round(255 * colours.clip(0, 1)).astype(np.uint8)
    ends = np.cumsum([photograph.shape[0] * photograph.shape[1] for photograph in photographs])
    pairs = [
        np.hstack([photograph, palette[own].reshape(photograph.shape)])
        for photograph, own in zip(photographs, np.split(labels, ends[:-1]), strict=True)
    ]
    return Image.fromarray(np.vstack(pairs))


if __name__ == "__main__":
    sys.exit(main())
