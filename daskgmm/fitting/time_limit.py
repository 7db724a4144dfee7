"""A limit to the time of a fit, which ends after the pass during which it ran out."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

__all__ = ["TimeIsUp", "TimeLimit", "ambient_limit", "time_limit"]


class TimeIsUp(Exception):
    """No further pass shall begin; not an error of anybody's."""


class TimeLimit:
    """Until when passes may begin.

    Parameters
    ----------
    seconds : float or None
        From now; None sets no limit.
    """

    def __init__(self, seconds: float | None) -> None:
        self._end = None if seconds is None else time.monotonic() + seconds
        self.was_reached = False
        """Whether a fit has ended because of it."""

    def check(self) -> None:
        """Raise TimeIsUp if the time has run out."""
        if self._end is not None and time.monotonic() >= self._end:
            self.was_reached = True
            raise TimeIsUp


_ambient: ContextVar[TimeLimit | None] = ContextVar("daskgmm-time-limit", default=None)


def ambient_limit() -> TimeLimit:
    """Return the limit that is set here, or one that is never reached."""
    return _ambient.get() or TimeLimit(None)


@contextmanager
def time_limit(seconds: float | None) -> Iterator[TimeLimit]:
    """Limit the time of the fits in the body, counted from here; each makes one pass at least."""
    limit = TimeLimit(seconds)
    token = _ambient.set(limit)
    try:
        yield limit
    finally:
        _ambient.reset(token)
