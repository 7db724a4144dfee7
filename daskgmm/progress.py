"""What a fit says while it runs: lines of the logger "daskgmm", shown on standard error when asked for."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["shown"]

log = logging.getLogger("daskgmm")


@contextmanager
def shown(verbose: int, interval: int) -> Iterator[None]:
    """Show the log of a fit on standard error while the body runs, unless the program logs it already.

    Parameters
    ----------
    verbose : int
        0 shows nothing, 1 every `interval`-th pass and what is not a pass of EM, 2 every pass.
    interval : int
        Passes between lines, >= 1.
    """
    if verbose < 1 or log.isEnabledFor(logging.INFO):
        yield
        return
    handler = logging.StreamHandler()
    handler.addFilter(lambda record: verbose > 1 or getattr(record, "n_passes", 0) % interval == 0)
    level = log.level
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    try:
        yield
    finally:
        log.removeHandler(handler)
        log.setLevel(level)
