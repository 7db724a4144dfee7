"""Fits on one scheduler do not see each other, and leave nothing on it."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor

import dask.array as da
import numpy as np
import pytest

from daskgmm import open_zarr, select_components
from daskgmm.errors import RowError, StorageError
from daskgmm.writing import write_results
from tests.faults.killers import AtPass, Tasks
from tests.faults.left_over import tasks_left
from tests.faults.small_fits import (
    BLOCK_ROWS,
    UNCONVERGED,
    digest,
    digests_of_clients,
    fitted,
    lazy_rows,
    rows,
    store_rows,
)

pytestmark = [pytest.mark.timeout(120), pytest.mark.filterwarnings(UNCONVERGED)]

RUN_ID = re.compile(r"[0-9a-f]{32}")


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return store_rows(tmp_path_factory.mktemp("rows") / "rows.zarr")


def test_two_fits_of_the_same_data_at_the_same_time_are_what_each_is_alone(cluster, store):
    X = open_zarr(store, chunks=BLOCK_ROWS)
    settings = [{"n_components": 3, "random_state": 0}, {"n_components": 5, "random_state": 1}]
    together = digests_of_clients(cluster, X, settings)
    assert together == [digest(fitted(X, **one)) for one in settings]


@pytest.mark.fault
def test_two_fits_by_one_client_at_the_same_time_are_what_each_is_alone(client, store):
    X = open_zarr(store, chunks=BLOCK_ROWS)
    settings = [{"n_components": 3, "random_state": 0}, {"n_components": 5, "random_state": 1}]
    with ThreadPoolExecutor(2) as pool:
        together = [digest(one) for one in pool.map(lambda one: fitted(X, **one), settings)]
    assert together == [digest(fitted(X, **one)) for one in settings]
    assert tasks_left(client) == []


def test_no_two_fits_share_a_key(client, store):
    X = open_zarr(store, chunks=BLOCK_ROWS)
    seen = []
    for _ in range(2):
        tasks = Tasks()
        client.cluster.scheduler.add_plugin(tasks, name="tasks")
        fitted(X, max_iter=1)
        client.cluster.scheduler.remove_plugin("tasks")
        seen.append(tasks.keys)
    assert all(RUN_ID.search(key) for key in seen[0])
    assert len(seen[0]) > 10
    assert seen[0] & seen[1] == set()


@pytest.mark.parametrize("cache", ["memory", pytest.param("disk", marks=pytest.mark.fault), None])
@pytest.mark.parametrize("source", ["dask", "zarr"])
def test_a_fit_leaves_nothing_on_the_scheduler(client, store, source, cache):
    X = lazy_rows() if source == "dask" else open_zarr(store, chunks=BLOCK_ROWS)
    mixture = fitted(X, cache=cache, max_iter=2)
    assert tasks_left(client) == []
    mixture.score(X)
    assert tasks_left(client) == []


@pytest.mark.parametrize("cache", ["memory", None])
def test_a_fit_leaves_data_that_were_persisted_where_they_are(client, cache):
    X = client.persist(lazy_rows())
    before = tasks_left(client)
    assert len(before) == X.numblocks[0]
    fitted(X, cache=cache, max_iter=1)
    assert tasks_left(client) == before
    np.testing.assert_array_equal(X.compute(), rows())


def test_a_search_and_results_leave_nothing_on_the_scheduler(client, store, tmp_path):
    X = open_zarr(store, chunks=BLOCK_ROWS)
    found = select_components(X, [1, 2], max_iter=2, kernel="blas", init_size=2_000)
    assert tasks_left(client) == []
    write_results(found.best, X, tmp_path / "labels.zarr")
    assert tasks_left(client) == []


def with_nan() -> da.Array:
    values = rows()
    values[BLOCK_ROWS * 5 + 7, 1] = np.nan
    return da.from_array(values, chunks=(BLOCK_ROWS, 3))


def test_failed_fits_leave_nothing_on_the_scheduler_even_while_somebody_looks_at_their_tracebacks(client, store):
    with pytest.raises(RowError, match="row 5007") as first:
        fitted(with_nan(), cache="memory")
    assert tasks_left(client) == []
    X = open_zarr(store, chunks=BLOCK_ROWS)
    chunk = store / "c" / "9" / "0"

    def damage() -> None:
        chunk.write_bytes(content[:9])

    content = chunk.read_bytes()
    try:
        with AtPass(2, damage), pytest.raises(StorageError, match="'c/9/0'") as second:
            fitted(X, cache=None)
    finally:
        chunk.write_bytes(content)
    assert tasks_left(client) == []
    # In the middle of everything, as a signal would.
    with AtPass(2, interrupt), pytest.raises(KeyboardInterrupt) as third:
        fitted(X, cache="memory")
    assert tasks_left(client) == []
    assert all(caught.tb is not None for caught in (first, second, third))


def interrupt() -> None:
    raise KeyboardInterrupt
