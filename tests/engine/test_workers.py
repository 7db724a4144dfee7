from __future__ import annotations

import dask
import pytest

from daskgmm.engine.workers import Worker, ambient_client, ambient_workers, this_process
from daskgmm.errors import SchedulerLostError


class Workers:
    """What a client says of its workers."""

    asynchronous = False

    def __init__(self, *workers: tuple[int, int]) -> None:
        self.workers = {str(i): {"memory_limit": m, "nthreads": n} for i, (m, n) in enumerate(workers)}

    def scheduler_info(self, *, n_workers: int) -> dict[str, object]:
        return {"workers": self.workers}


def test_the_ambient_cluster_says_what_its_workers_have(client):
    (limit,) = {worker["memory_limit"] for worker in client.scheduler_info()["workers"].values()}
    assert ambient_workers() == (Worker(limit, 1), Worker(limit, 1))
    assert ambient_client() is client


def test_a_worker_without_a_limit_has_the_memory_of_the_machine(monkeypatch):
    monkeypatch.setattr("distributed.default_client", lambda: Workers((0, 4), (100, 2)))
    assert ambient_workers() == (Worker(this_process().memory_limit, 4), Worker(100, 2))


def test_without_a_cluster_there_are_no_workers():
    assert ambient_workers() == ()
    assert ambient_client() is None


def test_a_cluster_that_cannot_be_asked_is_lost(monkeypatch):
    class Silent(Workers):
        def scheduler_info(self, *, n_workers: int) -> dict[str, object]:
            raise OSError("connection refused")

    monkeypatch.setattr("distributed.default_client", Silent)
    with pytest.raises(SchedulerLostError, match="connection refused"):
        ambient_workers()


def test_an_asynchronous_client_is_none_that_work_could_wait_for(monkeypatch):
    asynchronous = Workers((100, 1))
    asynchronous.asynchronous = True
    monkeypatch.setattr("distributed.default_client", lambda: asynchronous)
    assert ambient_client() is None


@pytest.mark.parametrize("n_threads", [1, 5])
def test_this_process_has_as_many_threads_as_dask_gives_it(n_threads):
    with dask.config.set(num_workers=n_threads):
        assert this_process().n_threads == n_threads
    assert this_process().memory_limit > 2**28
