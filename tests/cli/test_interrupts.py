"""Signals end the body of a command, once in good order and the second time at once."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from daskgmm.cli import interrupts
from daskgmm.cli.interrupts import CHECKPOINT_IS_VALID, Interrupted, interruptible
from daskgmm.cli.session import command_session


class Ended(BaseException):
    """What stands for the end of the process."""


@pytest.fixture(autouse=True)
def timers(monkeypatch):
    """Timers that are started but never run out, and an end of the process that can be seen."""
    started = []

    class Timer:
        def __init__(self, seconds, function, args):
            self.seconds, self.args = seconds, args

        def start(self):
            started.append(self)

    def end(code):
        raise Ended(code)

    monkeypatch.setattr(threading, "Timer", Timer)
    monkeypatch.setattr(interrupts.os, "_exit", end)
    before = {number: signal.getsignal(number) for number in interrupts.SIGNALS}
    yield started
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("has_checkpoint", [True, False])
def test_a_signal_ends_the_body(number, has_checkpoint, timers):
    with pytest.raises(Interrupted) as caught, interruptible(has_checkpoint=has_checkpoint):
        os.kill(os.getpid(), number)
    assert str(caught.value) == number.name
    assert caught.value.code == (CHECKPOINT_IS_VALID if has_checkpoint else 128 + number)
    (timer,) = timers
    assert timer.seconds < 5
    assert timer.args == [caught.value.code]


def test_a_second_signal_ends_the_process():
    with interruptible(has_checkpoint=True):
        with pytest.raises(Interrupted):
            os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(Ended, match="75"):
            os.kill(os.getpid(), signal.SIGTERM)


def test_handlers_are_as_before_after_a_body_that_ends_by_itself():
    before = signal.getsignal(signal.SIGTERM)
    with interruptible(has_checkpoint=False):
        assert signal.getsignal(signal.SIGTERM) is not before
    assert signal.getsignal(signal.SIGTERM) is before


def test_other_threads_leave_signals_alone():
    before, seen = signal.getsignal(signal.SIGTERM), []

    def body():
        with interruptible(has_checkpoint=False):
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=body)
    thread.start()
    thread.join(timeout=10)
    assert seen == [before]


@pytest.mark.parametrize(
    ("checkpoint", "code", "line"),
    [
        ("fit.state", 75, "daskgmm: interrupted by SIGTERM; start it again to go on from fit.state\n"),
        (None, 143, "daskgmm: interrupted by SIGTERM; nothing is kept\n"),
    ],
)
def test_a_command_says_what_is_kept(capsys, checkpoint, code, line):
    with pytest.raises(SystemExit) as ended, command_session(checkpoint):
        os.kill(os.getpid(), signal.SIGTERM)
    assert ended.value.code == code
    assert capsys.readouterr().err == line
