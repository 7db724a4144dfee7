"""Workers that differ from each other or from the client are reported before a fit."""

from __future__ import annotations

import importlib.metadata
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import dask.array as da
import numpy as np
import pytest
from distributed import Client

from daskgmm import GaussianMixture, select_components
from daskgmm.engine import versions
from daskgmm.engine.versions import CPU_FEATURES, HERE, PACKAGES, differences, software

ROWS = np.random.default_rng(0).normal(size=(400, 2)) + np.repeat([[0.0], [9.0]], 200, axis=0)


@pytest.fixture
def X() -> da.Array:
    return da.from_array(ROWS, chunks=(100, 2))


@pytest.fixture(autouse=True)
def _asked_anew() -> Iterator[None]:
    versions._last.clear()
    yield
    versions._last.clear()


def another_scipy() -> None:
    kept = importlib.metadata.version
    importlib.metadata._kept_version = kept
    importlib.metadata.version = lambda name: "0.0.1" if name == "scipy" else kept(name)


def usual_scipy() -> None:
    importlib.metadata.version = importlib.metadata._kept_version


def another_processor() -> None:
    versions._kept_features = versions._cpu_features
    versions._cpu_features = lambda: ["avx", "avx512_from_tomorrow"]


def usual_processor() -> None:
    versions._cpu_features = versions._kept_features


def cannot_say() -> None:
    versions._kept_features = versions._cpu_features

    def fail() -> list[str]:
        raise ModuleNotFoundError("No module named 'daskgmm'")

    versions._cpu_features = fail


@contextmanager
def one_worker(client: Client, do: Callable[[], None], undo: Callable[[], None]) -> Iterator[str]:
    """Change something in one of the workers, and yield its address."""
    address = next(iter(client.scheduler_info()["workers"]))
    client.run(do, workers=[address])
    try:
        yield address
    finally:
        client.run(undo, workers=[address])


def warned(function: Callable[[], object]) -> list[str]:
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        function()
    return [str(warning.message) for warning in seen if "workers differ" in str(warning.message)]


def test_workers_that_are_alike_give_no_warning(client, X):
    assert warned(lambda: GaussianMixture(2, kernel="blas").fit(X)) == []


def test_another_version_on_one_worker_gives_one_warning_that_names_both(client, X):
    with one_worker(client, another_scipy, usual_scipy) as address:
        messages = warned(lambda: GaussianMixture(2, kernel="blas").fit(X))
    assert len(messages) == 1
    assert f"{address}: scipy 0.0.1 instead of {importlib.metadata.version('scipy')}" in messages[0]
    # The other worker is as this process is.
    assert messages[0].count("tcp://") == 1


def test_another_processor_of_one_worker_gives_one_warning_that_names_what_it_lacks(client, X):
    usual = software()[CPU_FEATURES].split()
    with one_worker(client, another_processor, usual_processor) as address:
        messages = warned(lambda: GaussianMixture(2, kernel="blas").fit(X))
    assert len(messages) == 1
    assert f"{address}: processor " in messages[0]
    assert "with avx512_from_tomorrow" in messages[0]
    assert all(feature in messages[0] for feature in set(usual) - {"avx"})


def test_a_worker_that_cannot_say_is_named(client, X):
    with one_worker(client, cannot_say, usual_processor) as address:
        (message,) = warned(lambda: GaussianMixture(2, kernel="blas").fit(X))
    assert f"{address}: daskgmm one that cannot be asked" in message


def test_a_search_warns_once_for_all_its_candidates(client, X):
    with one_worker(client, another_scipy, usual_scipy):
        assert len(warned(lambda: select_components(X, [1, 2], kernel="blas"))) == 1


def test_workers_are_asked_once_as_long_as_they_are_the_same(client, X, monkeypatch):
    asked = []
    ask = versions._asked
    monkeypatch.setattr(versions, "_asked", lambda client: asked.append(client) or ask(client))
    for _ in range(2):
        GaussianMixture(2, kernel="blas").fit(X)
    assert len(asked) == 1


def test_rows_in_memory_and_fits_without_a_cluster_ask_nobody(client, monkeypatch):
    monkeypatch.setattr(versions, "_asked", pytest.fail)
    GaussianMixture(2, kernel="blas").fit(ROWS)


def test_this_process_says_what_it_computes_with():
    said = software()
    assert said["numpy"] == np.__version__
    assert set(PACKAGES) | {"Python", "machine", "BLAS", CPU_FEATURES} == set(said)
    assert said["BLAS"]


def test_differences_name_the_few_and_what_most_have():
    usual = {"numpy": "2.4", CPU_FEATURES: "avx avx2 fma"}
    found = {HERE: usual, "a": usual, "b": {**usual, "numpy": "2.0"}, "c": {**usual, CPU_FEATURES: "avx sse4"}}
    assert differences(found) == "b: numpy 2.0 instead of 2.4; c: processor without avx2 fma and with sse4"
    assert differences({HERE: usual, "a": usual}) is None
    many = {str(n): usual for n in range(20)} | {f"w{n}": {**usual, "numpy": "2.0"} for n in range(8)}
    assert differences(many) == "w0, w1, w2, w3, w4 and 3 more: numpy 2.0 instead of 2.4"
