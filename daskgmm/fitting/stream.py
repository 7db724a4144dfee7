"""A mixture fitted to a stream: rows are kept until there are enough for a start, then each block is one step."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from daskgmm.engine.in_order import blocks_in_order
from daskgmm.engine.schedule import one_thread_per_task
from daskgmm.errors import DegenerateMixtureError, ParameterError, RowError
from daskgmm.fitting.in_memory import Rows
from daskgmm.fitting.passes import parts_of
from daskgmm.fitting.stream_start import StartRows, start_of_stream, start_rows
from daskgmm.history import HistoryEntry
from daskgmm.kernels import choose_kernel
from daskgmm.mixture.parameters import MixtureParameters
from daskgmm.mixture.rows import bad_row, checked_rows, checked_weights
from daskgmm.mixture.stepwise import step_size, stepwise_update
from daskgmm.settings import FitSettings
from daskgmm.start import GivenStart
from daskgmm.storage.dataset import RowBlocks

__all__ = ["StreamState", "stream_mixture"]

log = logging.getLogger("daskgmm")

# Larger blocks are taken in steps of so many rows: more steps move further, and gaps to the batch fit were alike with
# steps of 1,000 and 20,000 rows. With 16 components in 16 or 64 features an M-step costs a tenth of an E-step on these.
STEP_ROWS = 20_000


@dataclass(frozen=True, slots=True, eq=False)
class StreamState:
    """What is kept of a stream between blocks."""

    mixture: MixtureParameters | None = None
    """None until there were enough rows for a start."""
    lower_bound: float = -math.inf
    """Mean log-likelihood per unit of weight of blocks before they were learned from, latest blocks counting most."""
    n_samples: int = 0
    """Rows seen, those of weight 0 included."""
    n_steps: int = 0
    weight: float | None = 0.0
    """Sum of the weights of these rows. None where nothing tells; they are taken to weigh as the next block's."""
    kept: tuple[Rows, ...] | None = None
    """The rows so far, of positive weight, as long as they are few; None when no more are kept."""
    next_start: int = 0
    """How many rows have to be kept for the next start."""

    @property
    def n_kept(self) -> int:
        """Number of the rows that are kept."""
        return sum(map(len, self.kept or ()))


@dataclass(frozen=True, slots=True)
class _Stream:
    """What every step shares."""

    settings: FitSettings
    given: GivenStart
    wanted: StartRows
    random_state: np.random.RandomState


def stream_mixture(
    blocks: RowBlocks,
    settings: FitSettings,
    *,
    given: GivenStart,
    state: StreamState,
    random_state: np.random.RandomState,
) -> tuple[StreamState, list[tuple[StreamState, HistoryEntry]]]:
    """Take the rows of some blocks into a mixture, in their order, each row read once.

    Parameters
    ----------
    blocks : RowBlocks
    settings : FitSettings
    given : GivenStart
        Starting parameters from the user, as far as there are any.
    state : StreamState
        What the blocks before have left; it stays as it is when this fails.
    random_state : numpy.random.RandomState
        Where starts draw from.

    Returns
    -------
    StreamState
        After the last block.
    list of (StreamState, HistoryEntry)
        Each start and step, and what was known after it.

    Raises
    ------
    InputDataError
        If a block or row cannot be used.
    ParameterError
        If a given start is not valid, or n_components is another one than before.
    DegenerateMixtureError
        If every component collapses.
    """
    if state.mixture is not None and state.mixture.n_components != settings.n_components:
        raise ParameterError(
            f"n_components: expected {state.mixture.n_components}, as in the mixture that this stream goes on with; "
            f"got {settings.n_components}. Call partial_fit on a new GaussianMixture instead"
        )
    parts = parts_of(blocks)
    steps: list[tuple[StreamState, HistoryEntry]] = []
    with one_thread_per_task():
        if state.kept is not None:
            given.check(
                n_components=settings.n_components,
                n_features=blocks.n_features,
                covariance_type=settings.covariance_type,
            )
        stream = _Stream(settings, given, start_rows(settings, blocks.n_features), random_state)
        for index, rows, weights in blocks_in_order(parts):
            try:
                for after, entry in _block(rows, weights, state, stream):
                    state = after
                    if entry is not None:
                        steps.append((state, entry))
            except RowError as error:
                raise error.located(block=index, block_start=parts.start(index)) from None
            del rows, weights
    return state, steps


def _block(
    rows: NDArray[Any], weights: NDArray[Any] | None, state: StreamState, stream: _Stream
) -> Iterator[tuple[StreamState, HistoryEntry | None]]:
    """Take the rows of positive weight of one block piece by piece; errors tell the row's place in the block."""
    rows = checked_rows(rows, stream.wanted.n_features)
    present = np.arange(len(rows))
    if weights is not None:
        weights = checked_weights(weights, len(rows))
        present = np.flatnonzero(weights > 0)
        if len(present) < len(rows):
            state = replace(state, n_samples=state.n_samples + len(rows) - len(present))
            rows, weights = rows[present], weights[present]
            yield state, None
    begin = 0
    while begin < len(rows):
        size = STEP_ROWS if state.kept is None else max(1, stream.wanted.most - state.n_kept)
        piece = slice(begin, begin + size)
        some = Rows(rows[piece], None if weights is None else weights[piece])
        began = perf_counter()
        try:
            state, entry = (_step if state.kept is None else _collect)(some, state, stream)
        except RowError as error:
            raise RowError(error.problem, error.block, int(present[begin + error.row])) from None
        if entry is not None:
            entry = replace(entry, seconds=perf_counter() - began)
            _say(state, entry)
        yield state, entry
        begin += size


def _collect(rows: Rows, state: StreamState, stream: _Stream) -> tuple[StreamState, HistoryEntry | None]:
    """Keep rows; start on all that are kept when they are twice as many as at the last start, else take a step."""
    assert state.kept is not None
    kept = (*state.kept, _copied(rows))
    n_kept, weight = state.n_kept + len(rows), (state.weight or 0.0) + _weight(rows)
    is_last = n_kept >= stream.wanted.most
    if not is_last and n_kept < max(state.next_start, stream.wanted.fewest):
        after, entry = (state, None) if state.mixture is None else _step(rows, state, stream)
        return replace(after, n_samples=state.n_samples + len(rows), weight=weight, kept=kept), entry
    after = replace(
        state,
        n_samples=state.n_samples + len(rows),
        weight=weight,
        kept=None if is_last else kept,
        next_start=min(2 * n_kept, stream.wanted.most),
    )
    try:
        mixture, bound = start_of_stream(
            kept, stream.given, stream.settings, stream.wanted, stream.random_state, is_last=is_last
        )
    except DegenerateMixtureError:
        if is_last:
            raise
        # More rows may well be less alike.
        return after, None
    size = n_kept * stream.wanted.n_features * rows.values.itemsize
    return replace(after, mixture=mixture, lower_bound=bound), HistoryEntry(1, "sample", bound, None, 0.0, n_kept, size)


def _copied(rows: Rows) -> Rows:
    """Return a copy of rows, all of which can be used."""
    values = np.array(rows.values, dtype=np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        if not np.isfinite((values * values).sum()):
            raise bad_row(values, None)
    return Rows(values, None if rows.weights is None else rows.weights.copy())


def _weight(rows: Rows) -> float:
    return float(len(rows) if rows.weights is None else rows.weights.sum())


def _step(rows: Rows, state: StreamState, stream: _Stream) -> tuple[StreamState, HistoryEntry]:
    """Take one step of stepwise EM."""
    assert state.mixture is not None
    settings = stream.settings
    block = choose_kernel(settings.kernel)(rows.values, rows.weights, state.mixture)
    seen = state.n_samples * block.weight / len(rows) if state.weight is None else state.weight
    update = stepwise_update(state.mixture, block, weight_seen=seen, reg_covar=settings.reg_covar)
    # A mixture that comes from elsewhere may have no bound yet.
    is_known = math.isfinite(state.lower_bound)
    change = step_size(seen, block.weight) * (block.lower_bound - state.lower_bound) if is_known else None
    after = replace(
        state,
        mixture=update.parameters,
        lower_bound=block.lower_bound if change is None else state.lower_bound + change,
        n_samples=state.n_samples + len(rows),
        n_steps=state.n_steps + 1,
        weight=seen + block.weight,
    )
    size = rows.values.nbytes
    return after, HistoryEntry(1, "stepwise", block.lower_bound, change, 0.0, len(rows), size, update.reseeded)


def _say(state: StreamState, entry: HistoryEntry) -> None:
    log.info(
        "step %d, %s: %d rows in %.3g s, mean log-likelihood %.6g",
        state.n_steps,
        entry.phase,
        entry.rows,
        entry.seconds,
        entry.lower_bound,
        extra={"n_passes": 0 if entry.phase == "sample" else state.n_steps},
    )
