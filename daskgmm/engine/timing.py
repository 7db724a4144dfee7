"""How long one block takes to read and to work on, where the work would be done."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter
from typing import Any, TypeVar

import dask
from numpy.typing import NDArray

from daskgmm.engine.parts import BlockReader, Parts
from daskgmm.engine.schedule import compute

__all__ = ["BlockTiming", "time_block"]

Argument = TypeVar("Argument")
TimedFunction = Callable[[NDArray[Any], NDArray[Any] | None, Argument], float]
"""(rows, weights or None, argument) -> seconds that the work took."""


@dataclass(frozen=True, slots=True)
class BlockTiming:
    """What one block took on one thread."""

    n_rows: int
    read_seconds: float
    """Until the rows were decoded; of a Dask array, with what its graph does before."""
    compute_seconds: float


def time_block(parts: Parts, block: int, function: TimedFunction[Argument], argument: Argument) -> BlockTiming:
    """Read a block and work on it, on the ambient scheduler.

    Parameters
    ----------
    parts : Parts
    block : int
        Which one.
    function : callable
        (rows, weights or None, argument) -> seconds that the work took.
    argument : object
        Handed to the function.

    Raises
    ------
    InputDataError, StorageError
        If the block cannot be read or used.
    """
    run = uuid.uuid4().hex
    if parts.reader is not None:
        # The reader is data to Dask, as is the argument: neither is looked into.
        reader = dask.delayed(parts.reader, name=f"reader-{run}", traverse=False)
        task = dask.delayed(_read_and_work, name=f"timed-{run}", traverse=False)
        timing: BlockTiming = compute(
            task(reader, block, function, dask.delayed(argument, traverse=False)), local=parts.local
        )
        return timing
    rows = parts.array.blocks[block].to_delayed().item()
    weights = None if parts.weights is None else parts.weights.blocks[block].to_delayed().item()
    task = dask.delayed(_work, name=f"timed-{run}", traverse=False)
    began = perf_counter()
    n_rows, seconds, seconds_in_task = compute(
        task(rows, weights, function, dask.delayed(argument, traverse=False)), local=parts.local
    )
    return BlockTiming(n_rows, max(0.0, perf_counter() - began - seconds_in_task), seconds)


def _read_and_work(reader: BlockReader, block: int, function: TimedFunction[Any], argument: Any) -> BlockTiming:
    began = perf_counter()
    rows = reader.read(block)
    seconds = perf_counter() - began
    return BlockTiming(len(rows), seconds, function(rows, None, argument))


def _work(
    rows: NDArray[Any], weights: NDArray[Any] | None, function: TimedFunction[Any], argument: Any
) -> tuple[int, float, float]:
    began = perf_counter()
    seconds = function(rows, weights, argument)
    return len(rows), seconds, perf_counter() - began
