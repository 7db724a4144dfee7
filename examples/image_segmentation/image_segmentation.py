"""Segment an image that stays in a Zarr array, by the colour and the place of its pixels.

The image is read in bands, and the rows that the mixture is fitted to are made of each band when it is needed: red,
green and blue, and how far right and down the pixel is. Colour alone tears things into specks; with the place, pixels
near to each other go together. Both are fitted and labelled, the pieces are counted, and the segments painted. Ends
with exit code 1 if the place does not help.

`quickstart.py` has pixels too. There they are rows already, and it shows that a fit from disk is that in memory.

    python examples/image_segmentation/image_segmentation.py [--pixels N] [--store DIR] [--picture FILE]
"""

from __future__ import annotations

import argparse
import resource
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from time import perf_counter
from typing import Any

import dask.array as da
import numpy as np
import zarr
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage
from sklearn.datasets import load_sample_image

from daskgmm import GaussianMixture
from daskgmm.view.canvas import name_axes, new_figure, titled
from daskgmm.view.plots import MixtureDisplay
from daskgmm.writing import write_results

N_COMPONENTS = 8
# The columns that each of the two mixtures is fitted to.
COLUMNS = {"colour": slice(0, 3), "colour and place": slice(0, 5)}
# A few thousand pixels are enough to find a start.
SETTINGS: dict[str, Any] = {"init_size": 3_000, "random_state": 0}
# Pixels of a band: 4 MB of bytes in the store, 28 MB as rows of five numbers.
BAND_PIXELS = 1_400_000
# Noise of an enlarged image, a standard deviation in each colour, of 255.
NOISE = 4


def main() -> int:
    """Run the example in the folder asked for, or in one that is removed at the end."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pixels", type=int, default=0, metavar="N", help="enlarge the photograph to N pixels or more")
    parser.add_argument("--store", type=Path, metavar="DIR", help="new folder that keeps the image and the labels")
    parser.add_argument("--picture", type=Path, default=Path("image_segmentation.png"), metavar="FILE")
    arguments = parser.parse_args()
    if arguments.store is not None and arguments.store.exists():
        parser.error(f"--store: expected a new folder; {arguments.store} is there already")
    with ExitStack() as stack:
        folder = arguments.store or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        return run(folder, n_pixels=arguments.pixels, picture=arguments.picture)


def run(folder: Path, *, n_pixels: int, picture: Path) -> int:
    """Write the image, segment it twice, count, paint, and return the exit code."""
    photograph: NDArray[np.uint8] = load_sample_image("china.jpg")[::2, ::2]
    factor = max(1, int(np.ceil(np.sqrt(n_pixels / (photograph.shape[0] * photograph.shape[1])))))
    write_image(folder / "image.zarr", photograph, factor=factor)
    image = da.from_zarr(folder / "image.zarr")
    print(f"{image.shape[0] * image.shape[1]:,} pixels in {image.numblocks[0]} bands")

    X = pixel_rows(image)
    segments, mixtures = {}, {}
    for name, columns in COLUMNS.items():
        began = perf_counter()
        # Making rows of a band again costs less than keeping those of all bands between the passes.
        mixture = GaussianMixture(N_COMPONENTS, cache=None, **SETTINGS).fit(X[:, columns])
        fitted = perf_counter()
        labels = folder / f"{name.replace(' ', '-')}.zarr"
        # One small number a pixel, written band by band.
        write_results(mixture, X[:, columns], labels, dtype="int16")
        written = perf_counter() - fitted
        segments[name], mixtures[name] = thumbnail(labels, image, step=factor), mixture
        print(f"by {name}: {mixture.n_passes_} passes in {fitted - began:.1f} s, labels in {written:.1f} s, ", end="")
        print(f"{n_pieces(segments[name]):,} pieces")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"peak memory {peak:,.0f} MiB")

    paint(image[::factor, ::factor].compute(), segments, mixtures["colour and place"], picture)
    together = segments["colour and place"]
    claims = {
        "fewer pieces with the place": n_pieces(together) < n_pieces(segments["colour"]),
        "every segment has a hundredth of the pixels": np.bincount(together.ravel()).min() > 0.01 * together.size
        and together.max() == N_COMPONENTS - 1,
    }
    failed = [claim for claim, holds in claims.items() if not holds]
    if failed:
        print(f"expected, and not seen: {'; '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


def write_image(path: Path, photograph: NDArray[np.uint8], *, factor: int) -> None:
    """Write the photograph band by band, each pixel `factor` times across and down, and noise on top if that is > 1."""
    height, width, _ = photograph.shape
    # A band is some rows of the photograph.
    band = max(1, min(height, BAND_PIXELS // (width * factor**2)))
    shape, chunks = (height * factor, width * factor, 3), (band * factor, width * factor, 3)
    array = zarr.create_array(path, shape=shape, chunks=chunks, dtype="u1")
    for top in range(0, height, band):
        rows = photograph[top : top + band].repeat(factor, axis=0).repeat(factor, axis=1)
        if factor > 1:
            # No two pixels of a large photograph are the same.
            noise = np.random.default_rng([7, top]).normal(0, NOISE, rows.shape)
            rows = np.clip(np.rint(rows + noise), 0, 255).astype(np.uint8)
        array[top * factor : top * factor + len(rows)] = rows


def pixel_rows(image: da.Array) -> da.Array:
    """Return one row for each pixel, lazily: red, green, blue, how far right, how far down, all between 0 and 1."""
    height, width, _ = image.shape
    band_rows = image.chunks[0][0]

    def of_band(band: NDArray[np.uint8], block_id: tuple[int, ...]) -> NDArray[np.float32]:
        rows = np.empty((*band.shape[:2], 5), dtype=np.float32)
        rows[..., :3] = band / np.float32(255)
        rows[..., 3] = (np.arange(width) + 0.5) / width
        rows[..., 4] = ((np.arange(len(band)) + block_id[0] * band_rows + 0.5) / height)[:, None]
        return rows.reshape(-1, 5)

    # The third axis goes; the second becomes the five numbers of a pixel.
    chunks = (tuple(rows * width for rows in image.chunks[0]), (5,))
    lazy: da.Array = da.map_blocks(of_band, image, drop_axis=2, chunks=chunks, dtype=np.float32, meta=np.empty((0, 0)))
    return lazy


def thumbnail(labels: Path, image: da.Array, *, step: int) -> NDArray[np.int16]:
    """Return the label of every `step`-th pixel across and down."""
    height, width, _ = image.shape
    bands = da.from_zarr(labels, chunks=image.chunks[0][0] * width).reshape(height, width)
    picked: NDArray[np.int16] = bands[::step, ::step].compute()
    return picked


def n_pieces(labels: NDArray[np.int16]) -> int:
    """Return into how many connected pieces the segments fall."""
    return sum(ndimage.label(labels == label)[1] for label in np.unique(labels))


def paint(
    photograph: NDArray[np.uint8], segments: dict[str, NDArray[np.int16]], mixture: GaussianMixture, picture: Path
) -> None:
    """Write a picture of the photograph, and of its segments in the mean colour of their pixels."""
    figure = new_figure(8.4, 6.2)
    *pictures, places = figure.subplots(2, 2).flat
    pictures[0].imshow(photograph)
    titled(pictures[0], "photograph")
    for ax, (name, labels) in zip(pictures[1:], segments.items(), strict=True):
        means = [photograph[labels == label].mean(axis=0) for label in range(N_COMPONENTS)]
        ax.imshow(np.rint(means).astype(np.uint8)[labels])
        titled(ax, f"by {name}: {n_pieces(labels):,} pieces")
    for ax in pictures:
        ax.set_axis_off()
    # All places have one pixel each: only the components are drawn.
    MixtureDisplay.from_estimator(mixture, features=[3, 4], ax=places)
    places.set(xlim=(0, 1), ylim=(1, 0))
    name_axes(places, x="how far right", y="how far down")
    titled(places, "where the components lie")
    figure.savefig(picture, dpi=80)
    # As many colours as one byte a pixel can tell make the file a fifth as large.
    with Image.open(picture) as painted:
        painted.quantize(256, method=Image.Quantize.FASTOCTREE).save(picture, optimize=True)


if __name__ == "__main__":
    sys.exit(main())
