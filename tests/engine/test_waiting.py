from __future__ import annotations

from types import SimpleNamespace

import dask
import pytest

from daskgmm.engine import waiting
from daskgmm.engine.waiting import cluster_get, patience, redone
from daskgmm.errors import ClusterError, SchedulerLostError

LOST = SchedulerLostError("the scheduler went away")


class Client:
    """What a client says of its scheduler: its status and the workers, one answer after the other."""

    def __init__(self, status: str, *workers: int | Exception) -> None:
        self.status = status
        self.answers = list(workers)
        self.scheduler = SimpleNamespace(ncores=None)

    def sync(self, ask: None, callback_timeout: float) -> dict[str, int]:
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return {str(number): 1 for number in range(answer)}


class Work:
    """Fails so many times before it is done."""

    def __init__(self, n_failures: int, error: Exception = LOST) -> None:
        self.n_failures, self.error = n_failures, error
        self.n_calls = 0

    def __call__(self) -> str:
        self.n_calls += 1
        if self.n_calls <= self.n_failures:
            raise self.error
        return "done"


def test_patience_is_dasks_setting_or_five_minutes():
    assert patience() == 300.0
    with dask.config.set({"distributed.scheduler.no-workers-timeout": "7s"}):
        assert patience() == 7.0


def test_work_is_done_again_when_the_scheduler_is_back_with_workers(monkeypatch):
    client = Client("running", OSError("refused"), TimeoutError(), 0, 1)
    monkeypatch.setattr(waiting, "ambient_client", lambda: client)
    work = Work(1)
    assert redone(work) == "done"
    assert work.n_calls == 2
    assert client.answers == []


def test_a_client_that_has_closed_itself_is_not_waited_for(monkeypatch):
    monkeypatch.setattr(waiting, "ambient_client", lambda: Client("closed"))
    with pytest.raises(SchedulerLostError, match="went away"):
        redone(Work(1))


def test_a_scheduler_that_stays_without_workers_is_waited_for_in_vain(monkeypatch):
    monkeypatch.setattr(waiting, "ambient_client", lambda: Client("running", *[0] * 100))
    with (
        dask.config.set({"distributed.scheduler.no-workers-timeout": 0.01}),
        pytest.raises(SchedulerLostError, match="went away"),
    ):
        redone(Work(1))


def test_a_scheduler_that_goes_away_again_and_again_is_given_up(monkeypatch):
    monkeypatch.setattr(waiting, "ambient_client", lambda: Client("running", 1))
    work = Work(100)
    with pytest.raises(SchedulerLostError):
        redone(work)
    assert work.n_calls == 4


@pytest.mark.parametrize("error", [ClusterError("no workers"), ValueError("a bug")])
def test_other_failures_are_not_repeated(error):
    work = Work(1, error)
    with pytest.raises(type(error)):
        redone(work)
    assert work.n_calls == 1


def test_without_a_cluster_nothing_is_repeated(monkeypatch):
    monkeypatch.setattr(waiting, "ambient_client", lambda: None)
    work = Work(1)
    with pytest.raises(SchedulerLostError):
        redone(work)
    assert work.n_calls == 1


def test_only_a_cluster_is_watched(client):
    assert cluster_get() is not None
    with dask.config.set(scheduler="threads"):
        assert cluster_get() is None
    # Whoever waits in a task must let others have its thread, which Dask sees to.
    assert client.submit(lambda: cluster_get() is None, pure=False).result(30)
