"""What each step of a fit did and cost."""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Container
from dataclasses import dataclass, replace
from time import perf_counter

__all__ = ["HistoryEntry", "Journal", "Pages"]

log = logging.getLogger("daskgmm")


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """What one step of a fit did and cost."""

    n_passes: int
    """Full passes over the data so far."""
    phase: str
    """first-look, sample (in memory, no pass), em, accelerated or rejected; stepwise for a block of a stream, update
    for a pass over new rows alone."""
    lower_bound: float | None
    """Mean log-likelihood per row of the parameters that this step evaluated; the sample's in phase sample."""
    change: float | None
    """By how much the lower bound rose since the step before; None where there is none to compare with."""
    seconds: float
    """0 where a run shared its pass with one before it in the list, which has the cost."""
    rows: int
    """Rows read."""
    bytes: int
    """Bytes of decoded rows read."""
    reseeded: tuple[int, ...] = ()
    """Components found empty or collapsed and seeded anew."""


@dataclass(frozen=True, slots=True)
class Pages:
    """What a journal holds, to go on from."""

    steps: tuple[tuple[int, HistoryEntry], ...]
    """Runs and what they did."""
    costs: tuple[tuple[int, float, int], ...]
    """Seconds and rows of each pass, after its number."""
    n_samples: int
    n_passes: int
    weight: float | None = None
    """Sum of the weights of the rows; None when no pass has told."""


class Journal:
    """The history of a fit while it is being made.

    Several runs may share a pass and write to the journal at the same time. Each step took the time since the one
    before it.
    """

    def __init__(self, *, row_bytes: int, n_samples: int) -> None:
        self._row_bytes = row_bytes
        self._last = perf_counter()
        self._lock = threading.Lock()
        self._steps: list[tuple[int, HistoryEntry]] = []
        """Runs and what they did."""
        self._cost: dict[int, tuple[float, int]] = {0: (0.0, 0)}
        """Seconds and rows of each pass."""
        self.n_samples = n_samples
        self.n_passes = 0
        self.weight: float | None = None

    @property
    def pages(self) -> Pages:
        """All that is needed to go on in another process."""
        with self._lock:
            costs = tuple((n_passes, *cost) for n_passes, cost in self._cost.items())
            return Pages(tuple(self._steps), costs, self.n_samples, self.n_passes, self.weight)

    def reopen(self, pages: Pages) -> None:
        """Go on from what another journal held."""
        with self._lock:
            self._steps = list(pages.steps)
            self._cost = {n_passes: (seconds, rows) for n_passes, seconds, rows in pages.costs}
            self.n_samples, self.n_passes, self.weight = pages.n_samples, pages.n_passes, pages.weight

    def passed(self, n_samples: int, weight: float | None = None) -> None:
        """Note the end of a full pass over the data, before what was learned from it; and the rows' weight, if told."""
        with self._lock:
            self.n_passes += 1
            self.n_samples = n_samples
            self.weight = self.weight if weight is None else weight
            self._cost[self.n_passes] = self._since_last(), n_samples

    def add(
        self,
        phase: str,
        *,
        run: int = 0,
        lower_bound: float | None = None,
        change: float | None = None,
        reseeded: tuple[int, ...] = (),
        sample_rows: int = 0,
    ) -> None:
        """Note a step of a run that used the last pass; or one on the sample, which cost what it took."""
        change = None if change is None or math.isinf(change) else change
        with self._lock:
            seconds, rows = (self._since_last(), sample_rows) if phase == "sample" else self._cost[self.n_passes]
            size = rows * self._row_bytes
            entry = HistoryEntry(self.n_passes, phase, lower_bound, change, seconds, rows, size, reseeded)
            self._steps.append((run, entry))
        log.info(
            "pass %d, %s: %d rows in %.3g s%s",
            entry.n_passes,
            phase,
            rows,
            seconds,
            "" if lower_bound is None else f", mean log-likelihood {lower_bound:.6g}",
            extra={"n_passes": 0 if phase in ("first-look", "sample") else entry.n_passes, "step": entry},
        )

    @property
    def entries(self) -> tuple[HistoryEntry, ...]:
        """All steps, pass by pass, and within a pass by the number of the run."""
        return self._in_order(self._steps)

    def entries_of(self, runs: Container[int]) -> tuple[HistoryEntry, ...]:
        """The steps of some runs, and the first look."""
        return self._in_order(
            [(run, entry) for run, entry in self._steps if run in runs or entry.phase == "first-look"]
        )

    @staticmethod
    def _in_order(steps: list[tuple[int, HistoryEntry]]) -> tuple[HistoryEntry, ...]:
        ordered = sorted(steps, key=lambda step: (step[1].n_passes, step[1].phase != "first-look", step[0]))
        entries: list[HistoryEntry] = []
        paid = set()
        for _, entry in ordered:
            if entry.phase == "sample":
                entries.append(entry)
            elif entry.n_passes in paid:
                entries.append(replace(entry, seconds=0.0, rows=0, bytes=0))
            else:
                paid.add(entry.n_passes)
                entries.append(entry)
        return tuple(entries)

    def _since_last(self) -> float:
        now = perf_counter()
        seconds, self._last = now - self._last, now
        return seconds
