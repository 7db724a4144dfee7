"""What each step of a fit did and cost."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from time import perf_counter

__all__ = ["HistoryEntry", "Journal"]

log = logging.getLogger("daskgmm")


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """What one step of a fit did and cost."""

    n_passes: int
    """Full passes over the data so far."""
    phase: str
    """first-look, sample (a start run on the sample, no pass) or em."""
    lower_bound: float | None
    """Mean log-likelihood per row of the parameters that this step evaluated; the sample's in phase sample."""
    change: float | None
    """By how much the lower bound rose since the step before; None where there is none to compare with."""
    seconds: float
    rows: int
    """Rows read."""
    bytes: int
    """Bytes of decoded rows read."""
    reseeded: tuple[int, ...] = ()
    """Components found empty or collapsed and seeded anew."""


class Journal:
    """The history of a fit while it is being made; each step took the time since the one before it."""

    def __init__(self, *, row_bytes: int, n_samples: int) -> None:
        self._row_bytes = row_bytes
        self.entries: list[HistoryEntry] = []
        self.n_samples = n_samples
        self._last = perf_counter()

    def add(
        self,
        phase: str,
        *,
        n_samples: int,
        lower_bound: float | None = None,
        change: float | None = None,
        reseeded: tuple[int, ...] = (),
    ) -> None:
        """Note a step; all but those on the sample are full passes."""
        now = perf_counter()
        seconds, self._last = now - self._last, now
        n_passes = self.entries[-1].n_passes if self.entries else 0
        if phase != "sample":
            n_passes += 1
            self.n_samples = n_samples
        change = None if change is None or math.isinf(change) else change
        size = n_samples * self._row_bytes
        entry = HistoryEntry(n_passes, phase, lower_bound, change, seconds, n_samples, size, reseeded)
        self.entries.append(entry)
        log.info(
            "pass %d, %s: %d rows in %.3g s%s",
            n_passes,
            phase,
            n_samples,
            seconds,
            "" if lower_bound is None else f", mean log-likelihood {lower_bound:.6g}",
            extra={"n_passes": n_passes if phase == "em" else 0},
        )
