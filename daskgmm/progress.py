"""What a fit says while it runs: records of the logger "daskgmm", as lines, as JSON, or as a bar on a terminal."""

from __future__ import annotations

import json
import logging
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any, TextIO

from daskgmm.history import HistoryEntry

__all__ = ["Bar", "JsonLines", "passes_left", "shown"]

log = logging.getLogger("daskgmm")
# What a step has that is worth a place in a log; `pass` is no name that Python allows.
NUMBERS = ("phase", "lower_bound", "change", "seconds", "rows", "bytes")
# Of a terminal that does not tell, and of the part of a bar that fills.
COLUMNS, CELLS = 80, 10
ERASED = "\r\x1b[K"
# Steps between two passes that gain by a share close to one are too many to be told.
LARGEST_RATIO = 0.9


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


class JsonLines(logging.Formatter):
    """Each record as one JSON object on one line: time, level, message, and the numbers of a step of a fit."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line; numbers that JSON does not have are null."""
        values: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        step = getattr(record, "step", None)
        if isinstance(step, HistoryEntry):
            numbers = asdict(step)
            values["pass"] = step.n_passes
            values |= {name: _finite(numbers[name]) for name in NUMBERS}
        if record.exc_info:
            values["traceback"] = self.formatException(record.exc_info)
        return json.dumps(values)


class Bar(logging.StreamHandler[TextIO]):
    """One line of a terminal that shows where a fit stands; other records stay as lines above it.

    Parameters
    ----------
    stream : text file
        A terminal.
    tol : float or None
        What the fit may leave to be gained, from which the time left is told; None tells none.
    max_iter : int or None
        Most passes.
    """

    def __init__(self, stream: TextIO, *, tol: float | None = None, max_iter: int | None = None) -> None:
        super().__init__(stream)
        self._tol, self._max_iter = tol, max_iter
        self._line = ""
        self._bounds: dict[int, float] = {}
        """The best lower bound after each pass."""

    def emit(self, record: logging.LogRecord) -> None:
        """Redraw the bar for a step of a fit; write another record above it."""
        try:
            step = getattr(record, "step", None)
            if isinstance(step, HistoryEntry):
                most = self._columns() - 1
                cells, words = self._drawn(step)
                self._line = (cells + words if len(cells + words) <= most else words)[:most]
                self.stream.write(ERASED + self._line)
            else:
                self.stream.write(f"{ERASED if self._line else ''}{self.format(record)}\n{self._line}")
            self.flush()
        except Exception:  # noqa: BLE001 - as every handler: what cannot be shown ends no fit
            self.handleError(record)

    def end_line(self) -> None:
        """Leave the last state of the bar on a line of its own: what is written next begins on another one."""
        if self._line:
            self.stream.write("\n")
            self.flush()
            self._line = ""

    def close(self) -> None:
        """End the line."""
        self.end_line()
        super().close()

    def _drawn(self, step: HistoryEntry) -> tuple[str, str]:
        """Return the bar after a step, and the words beside it."""
        if step.phase == "sample" or step.lower_bound is None:
            return "", f"pass {step.n_passes}, {step.phase}: {step.rows:,} rows in {step.seconds:.3g} s"
        # Runs that share a pass tell of it one by one.
        self._bounds[step.n_passes] = max(self._bounds.get(step.n_passes, -math.inf), step.lower_bound)
        bounds = [self._bounds[number] for number in sorted(self._bounds)]
        parts = [f"pass {step.n_passes}", f"mean log-likelihood {bounds[-1]:.6g}"]
        if len(bounds) > 1:
            parts.append(f"change {bounds[-1] - bounds[-2]:.2g}")
        if step.seconds > 0:
            parts.append(f"{_short(step.rows / step.seconds)} rows/s")
        left = None if self._tol is None else passes_left(bounds, tol=self._tol, max_iter=self._max_iter)
        cells = ""
        if left is not None:
            filled = CELLS * len(bounds) // (len(bounds) + left)
            cells = f"[{'#' * filled}{'.' * (CELLS - filled)}]  "
            parts.append(f"{_duration(left * step.seconds)} left")
        return cells, "  ".join(parts)

    def _columns(self) -> int:
        try:
            return os.get_terminal_size(self.stream.fileno()).columns or COLUMNS
        except (OSError, ValueError):
            return COLUMNS


def passes_left(lower_bounds: list[float], *, tol: float, max_iter: int | None = None) -> int | None:
    """Return about how many passes are left until one gains less than `tol`; None as long as nothing tells.

    Each is taken to gain the same share of what the one before it gained.

    Parameters
    ----------
    lower_bounds : list of float
        After each pass so far.
    tol : float
    max_iter : int or None
        Most passes.
    """
    most = math.inf if max_iter is None else max(0, max_iter - len(lower_bounds))
    if len(lower_bounds) < 3:
        return None
    before, last = lower_bounds[-2] - lower_bounds[-3], lower_bounds[-1] - lower_bounds[-2]
    if last <= tol:
        return 0
    if tol <= 0 or before <= 0:
        return None if math.isinf(most) else int(most)
    ratio = min(last / before, LARGEST_RATIO)
    return int(min(most, math.ceil(math.log(tol / last) / math.log(ratio))))


def _finite(value: Any) -> Any:
    """Return a value, or None where JSON has no word for it."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _short(number: float) -> str:
    """Return a number in few digits."""
    for unit in ("", "k", "M"):
        if number < 1000:
            return f"{number:.3g}{unit}"
        number /= 1000
    return f"{number:.3g}G"


def _duration(seconds: float) -> str:
    """Return a time in one unit."""
    for unit, length in (("s", 60), ("min", 60)):
        if seconds < length:
            return f"{seconds:.0f} {unit}"
        seconds /= length
    return f"{seconds:.1f} h"
