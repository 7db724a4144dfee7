"""Fixtures that several rooms' tests use."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import numpy as np
import pytest
from distributed import Client, LocalCluster
from hypothesis import settings

from tests.drawn import Drawn, draw

COVARIANCE_TYPES = ("full", "tied", "diag", "spherical")

# The same examples in every run, so that a failure is seen by all or by nobody; `--hypothesis-profile=thorough` looks
# for new ones.
settings.register_profile("repeatable", derandomize=True, deadline=None, max_examples=25)
settings.register_profile("thorough", deadline=None, max_examples=500)
settings.load_profile("repeatable")


@pytest.fixture(params=COVARIANCE_TYPES)
def covariance_type(request) -> str:
    return request.param


@pytest.fixture
def drawn(covariance_type) -> Drawn:
    """300 rows of a mixture of three overlapping components in three features, and EM's start near it."""
    return draw(covariance_type)


@pytest.fixture
def generator() -> np.random.Generator:
    return np.random.default_rng(20060817)


@pytest.fixture(scope="session")
def cluster() -> Iterator[LocalCluster]:
    """Two worker processes of one thread each, on the loopback interface only."""
    with LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, host="127.0.0.1", dashboard_address="127.0.0.1:0"
    ) as cluster:
        yield cluster


@pytest.fixture
def client(cluster) -> Iterator[Client]:
    """A client of the session's cluster that is the ambient scheduler for one test."""
    with Client(cluster, timeout="30s") as client:
        client.wait_for_workers(2, timeout=30)
        yield client


def pytest_collection_finish(session: pytest.Session) -> None:
    """Leave what thousands of collected tests consist of out of every later search for garbage."""
    gc.collect()
    gc.freeze()
