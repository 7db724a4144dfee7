"""Fits of a second or so that are disturbed, and what tells whether that has changed a bit of them."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dask
import dask.array as da
import numpy as np
import zarr
from distributed import Client, LocalCluster

from daskgmm import GaussianMixture
from daskgmm.engine.cluster import PATIENT
from tests.drawn import draw

N_ROWS, BLOCK_ROWS = 16_000, 1_000
SETTINGS: dict[str, Any] = {
    "n_components": 3,
    "tol": 1e-12,
    "max_iter": 8,
    "acceleration": None,
    "init_size": 2_000,
    "random_state": 3,
    # New workers would spend two seconds on loading the compiled kernels.
    "kernel": "blas",
}
"""Nine passes that gain next to nothing: the first look and eight of EM."""
N_PASSES = 9
UNCONVERGED = "ignore::sklearn.exceptions.ConvergenceWarning"
"""For pytest's mark filterwarnings; a context that ignores them would not do for fits in threads."""


def rows() -> np.ndarray:
    return draw("full", n_rows=N_ROWS, n_components=4, n_features=3, spread=1.5, seed=2).rows


def lazy_rows() -> da.Array:
    return da.from_array(rows(), chunks=(BLOCK_ROWS, 3))


def store_rows(path: Path, n_rows: int = N_ROWS) -> Path:
    values = rows()[:n_rows]
    zarr.create_array(path, shape=values.shape, chunks=(BLOCK_ROWS, 3), dtype="f8")[:] = values
    return path


def fitted(X: Any, **settings: Any) -> GaussianMixture:
    """Return the fit; that it has not converged is as it should be, and warned of."""
    return GaussianMixture(**{**SETTINGS, **settings}).fit(X)


def digests_of_clients(cluster: LocalCluster, X: Any, settings: Sequence[dict[str, Any]]) -> list[str]:
    """Fit with each of the settings, all at the same time, each in a thread with a client of its own."""

    def of_its_own_client(one: dict[str, Any]) -> str:
        with Client(cluster, set_as_default=False) as client, client.as_current():
            return digest(fitted(X, **one))

    # What a thread's client sets and sets back is one setting for all threads: it must be the same before.
    with dask.config.set(scheduler="dask.distributed"), ThreadPoolExecutor(len(settings)) as pool:
        return list(pool.map(of_its_own_client, settings))


def digest(mixture: GaussianMixture) -> str:
    arrays = (mixture.weights_, mixture.means_, mixture.covariances_, np.array(mixture.lower_bounds_))
    return hashlib.sha256(b"".join(np.ascontiguousarray(array).tobytes() for array in arrays)).hexdigest()


def environment(**settings: str) -> dict[str, str]:
    """Return the environment for processes that import the tests."""
    root = str(Path(__file__).parents[2])
    return {**os.environ, "PYTHONPATH": root, **settings}


@contextmanager
def small_cluster(n_workers: int = 2, **config: Any) -> Iterator[Client]:
    """Worker processes with nannies, one thread each, and the ambient client; `a__b` configures `distributed.a.b`.

    As in our own clusters, a worker that is killed twice in some seconds is not given up.
    """
    names = PATIENT | {f"distributed.{name.replace('__', '.')}": value for name, value in config.items()}
    with (
        dask.config.set(names),
        LocalCluster(
            n_workers=n_workers,
            threads_per_worker=1,
            processes=True,
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",
        ) as cluster,
        Client(cluster, timeout="30s") as client,
    ):
        client.wait_for_workers(n_workers, timeout=60)
        yield client
