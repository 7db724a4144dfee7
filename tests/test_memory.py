"""Memory as a contract: what worker processes really hold at most, against the plan, on data of two sizes."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import psutil
import pytest
import zarr
from distributed import Client, LocalCluster
from sklearn.exceptions import ConvergenceWarning

from daskgmm import GaussianMixture, open_zarr, plan
from daskgmm.engine.cluster import peak_worker_memory

MIB = 2**20
N_FEATURES, N_COMPONENTS = 8, 4
# 8 MiB: the data of both sizes are streamed in blocks of one chunk.
CHUNK_ROWS = 2**17
FEW_CHUNKS, MANY_CHUNKS = 8, 32
DASK_BLOCK = 128 * MIB


@contextmanager
def stored(n_chunks: int, *, compressed: bool) -> Iterator[Path]:
    """Rows around two places, 8 MiB a chunk."""
    rows = np.random.default_rng(0).normal(size=(CHUNK_ROWS, N_FEATURES))
    rows[::2] += 4.0
    # Not pytest's folders, which stay for some runs.
    with TemporaryDirectory() as folder:
        path = Path(folder, "rows.zarr")
        array = zarr.create_array(
            path,
            shape=(n_chunks * CHUNK_ROWS, N_FEATURES),
            chunks=(CHUNK_ROWS, N_FEATURES),
            dtype="float64",
            compressors="auto" if compressed else None,
        )
        for chunk in range(n_chunks):
            array[chunk * CHUNK_ROWS : (chunk + 1) * CHUNK_ROWS] = rows
        yield path


@dataclass(frozen=True)
class Measured:
    """Bytes of the worker that held most."""

    before: int
    peak: int
    planned: int
    n_passes: int


def resident() -> int:
    return int(psutil.Process().memory_info().rss)


def measured(store: Path, *, cache: str | None, memory_limit: int = 2**30) -> Measured:
    """Fit on fresh workers, whose peaks never fall."""
    generator = np.random.default_rng(1)
    settings = {
        "acceleration": None,
        "weights_init": np.full(N_COMPONENTS, 1 / N_COMPONENTS),
        "means_init": generator.normal(size=(N_COMPONENTS, N_FEATURES)) * 2,
        "precisions_init": np.tile(np.eye(N_FEATURES), (N_COMPONENTS, 1, 1)),
        "max_iter": 3,
        "tol": 0.0,
        "cache": cache,
    }
    with (
        LocalCluster(
            n_workers=2,
            threads_per_worker=1,
            memory_limit=memory_limit,
            processes=True,
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",
        ) as cluster,
        Client(cluster, timeout="30s") as client,
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore", ConvergenceWarning)
        client.wait_for_workers(2, timeout=30)
        before = max(client.run(resident).values())
        X = open_zarr(store)
        mixture = GaussianMixture(N_COMPONENTS, **settings).fit(X)
        peak = peak_worker_memory(client)
        # Planned after the fit, because the plan's own trial is part of no fit.
        planned = plan(X, N_COMPONENTS, **settings).peak_memory
    assert planned is not None
    return Measured(before, peak, planned, mixture.n_passes_)


@pytest.fixture(scope="module")
def many_chunks() -> Iterator[Path]:
    with stored(MANY_CHUNKS, compressed=True) as store:
        yield store


def check_streamed(one: Measured) -> None:
    assert one.n_passes == 3
    assert one.peak <= one.planned
    assert one.peak <= one.before + 150 * MIB + 2.5 * DASK_BLOCK


def test_memory_is_that_of_a_few_blocks_however_many_rows_there_are(many_chunks):
    with stored(FEW_CHUNKS, compressed=True) as few_chunks:
        few, many = (measured(store, cache=None) for store in (few_chunks, many_chunks))
    check_streamed(few)
    check_streamed(many)
    # Longer ranges hold a few more statistics, of some kilobytes.
    assert abs(many.planned - few.planned) < MIB
    # Four blocks: how many of them meet in memory is a matter of timing.
    assert abs(many.peak - few.peak) <= 4 * 8 * MIB


def test_memory_without_compression_is_within_the_plan():
    with stored(MANY_CHUNKS, compressed=False) as store:
        check_streamed(measured(store, cache=None))


def test_what_stays_between_passes_leaves_room_for_the_work(many_chunks):
    one = measured(many_chunks, cache="auto", memory_limit=640 * MIB)
    assert one.peak <= min(one.planned, 640 * MIB)
