from __future__ import annotations

import logging
import time
from itertools import count

import pytest

from daskgmm.errors import StoreChangedError
from daskgmm.storage import persistence
from daskgmm.storage.persistence import persistently


@pytest.fixture
def slept(monkeypatch) -> list[float]:
    """How long was slept, in no time."""
    slept: list[float] = []
    monkeypatch.setattr(time, "sleep", slept.append)
    return slept


def failing(n_times: int, error: Exception):
    attempts = count(1)

    def ask() -> int:
        attempt = next(attempts)
        if attempt <= n_times:
            raise error
        return attempt

    return ask


def test_an_answer_is_taken_at_once(slept):
    assert persistently(failing(0, OSError()), "a chunk") == 1
    assert slept == []


def test_failures_that_pass_are_outlasted_and_logged_without_what_they_say(slept, caplog):
    with caplog.at_level(logging.WARNING, "daskgmm"):
        assert persistently(failing(3, OSError("key=secret")), "a chunk") == 4
    assert len(slept) == 3
    assert [record.getMessage() for record in caplog.records] == [
        "a chunk: OSError; asked again in 0.1 s",
        "a chunk: OSError; asked again in 0.5 s",
        "a chunk: OSError; asked again in 2 s",
    ]


def test_failures_that_do_not_pass_are_raised_within_the_pauses(slept):
    with pytest.raises(OSError, match="reset"):
        persistently(failing(100, OSError("reset")), "a chunk")
    assert len(slept) == len(persistence.PAUSES)
    assert all(pause / 2 <= seconds <= pause for seconds, pause in zip(slept, persistence.PAUSES, strict=True))


@pytest.mark.parametrize("answer", [FileNotFoundError(), MemoryError(), StoreChangedError("changed"), SystemExit()])
def test_what_no_second_attempt_can_change_is_raised_at_once(slept, answer):
    with pytest.raises(type(answer)):
        persistently(failing(100, answer), "a chunk")
    assert slept == []
