"""Asking a store again: networks and disks fail in passing, and a fit of hours asks millions of times."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable
from typing import TypeVar

from daskgmm.errors import DaskGMMError

__all__ = ["persistently"]

log = logging.getLogger("daskgmm")

# Seconds before each further attempt, ten in all: filesystems over networks have attempts of their own below these.
PAUSES = (0.1, 0.5, 2.0, 8.0)

# Its own, so that nobody's seeds are touched.
_generator = random.Random()

Answer = TypeVar("Answer")


def persistently(ask: Callable[[], Answer], what: str) -> Answer:
    """Return the answer of a store, asking again some seconds later when it fails.

    Parameters
    ----------
    ask : callable
        Has no effect but the answer. A FileNotFoundError is one.
    what : str
        What is asked for, in the log.
    """
    for pause in PAUSES:
        try:
            return ask()
        except (DaskGMMError, FileNotFoundError, MemoryError):
            raise
        except Exception as error:  # noqa: BLE001 - every filesystem has exceptions of its own
            # By its name alone: what it says may tell credentials.
            log.warning("%s: %s; asked again in %g s", what, type(error).__name__, pause)
            # Workers that failed together shall not come again together.
            time.sleep(pause * _generator.uniform(0.5, 1.0))
    return ask()
