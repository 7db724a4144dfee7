"""Signals that end a command: in good order for what is open, and within seconds whatever runs."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = ["CHECKPOINT_IS_VALID", "Interrupted", "OutOfTime", "interruptible"]

CHECKPOINT_IS_VALID = 75
"""Exit code of a command that was interrupted and can be started again where it was."""
SIGNALS = (signal.SIGTERM, signal.SIGINT)
# Schedulers give five seconds and more before they kill; blocks that are being worked on may take longer than that.
SECONDS_TO_END = 4.0


class Interrupted(BaseException):
    """A signal asked the command to end; no `except Exception` on the way shall stop it."""

    def __init__(self, number: int, code: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.code = code
        """Exit code."""


class OutOfTime(Exception):
    """A command ends before it is done, as it was told to, and what was done is kept."""


@contextmanager
def interruptible(*, has_checkpoint: bool) -> Iterator[None]:
    """Raise Interrupted at the first SIGTERM or SIGINT; end the process at the second, or if it takes too long.

    Parameters
    ----------
    has_checkpoint : bool
        Whether what was done is kept: the exit code is 75 then, and otherwise 128 plus the signal's number.
    """
    n_signals = 0

    def handle(number: int, frame: FrameType | None) -> None:
        nonlocal n_signals
        n_signals += 1
        code = CHECKPOINT_IS_VALID if has_checkpoint else 128 + number
        if n_signals > 1:
            os._exit(code)
        ending = threading.Timer(SECONDS_TO_END, os._exit, [code])
        ending.daemon = True
        ending.start()
        raise Interrupted(number, code)

    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may handle signals
        return
    before = {number: signal.signal(number, handle) for number in SIGNALS}
    try:
        yield
    finally:
        if not n_signals:  # until the process has ended, a second signal ends it
            for number, handler in before.items():
                signal.signal(number, handler)
