"""Stores that passes are timed on: rows of a mixture, written to Zarr in several layouts."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import zarr

from daskgmm.mixture.parameters import MixtureParameters
from tests.benchmarks.iterations import draw_mixture

__all__ = ["LARGE", "N_COMPONENTS", "N_FEATURES", "SMALL", "Layout", "drawn_parameters", "repeat_store", "write_store"]

N_FEATURES, N_COMPONENTS = 8, 16
CHUNK_ROWS = 2**18
"""16 MiB of float64 rows."""
LARGE, SMALL = 2**21, 2**10
"""Rows of 128 MiB and of 64 KiB."""


@dataclass(frozen=True, slots=True)
class Layout:
    """How rows are stored."""

    name: str
    compressed: bool
    chunk_rows: int = CHUNK_ROWS


def drawn_parameters() -> MixtureParameters:
    """Return the mixture that rows are drawn from, and that passes are timed with."""
    return draw_mixture("full", n_rows=2, n_features=N_FEATURES, n_components=N_COMPONENTS, spread=1.0)[1]


def write_store(path: Path, layout: Layout, n_rows: int) -> Path:
    """Write rows of the mixture, rounded to thousandths as measurements are, and return the path."""
    rows, _ = draw_mixture("full", n_rows=CHUNK_ROWS, n_features=N_FEATURES, n_components=N_COMPONENTS, spread=1.0)
    generator = np.random.default_rng(0)
    array = zarr.create_array(
        path,
        shape=(n_rows, N_FEATURES),
        chunks=(min(layout.chunk_rows, n_rows), N_FEATURES),
        dtype="f8",
        compressors="auto" if layout.compressed else None,
    )
    for start in range(0, n_rows, LARGE):
        n = min(LARGE, n_rows - start)
        drawn = rows[generator.integers(len(rows), size=n)] + generator.normal(0, 0.01, (n, N_FEATURES))
        array[start : start + n] = drawn.round(3)
    return path


def repeat_store(path: Path, store: Path, times: int) -> Path:
    """Write a store whose chunks are, over and over, those of another one, in the space of that one."""
    array = zarr.open_array(store, mode="r")
    n_rows, chunk_rows = array.shape[0], array.chunks[0]
    repeated = zarr.create_array(
        path, shape=(times * n_rows, N_FEATURES), chunks=array.chunks, dtype=array.dtype, compressors=array.compressors
    )
    whole = max(n_rows // chunk_rows, 1)  # the last chunk is filled up
    for index in range(-(-repeated.shape[0] // chunk_rows)):
        chunk = path / "c" / str(index) / "0"
        chunk.parent.mkdir(parents=True)
        os.link(store / "c" / str(index % whole) / "0", chunk)
    return path
