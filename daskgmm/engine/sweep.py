"""One pass over the data: a function of each block, its results merged along a tree.

The tree's shape follows from block indices alone, so that results have the same bits on any number of workers and
threads. Nothing here knows what is computed.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable
from functools import reduce
from typing import Any, Protocol, Self, TypeVar

import dask
import dask.array as da
import numpy as np
from numpy.typing import NDArray

from daskgmm.engine.schedule import compute
from daskgmm.errors import RowError

__all__ = ["Mergeable", "sweep"]

# How many results one task merges. Eight results of 256 components and 64 features (8 MB each) are 64 MB, and a
# million blocks still need only seven levels.
FAN_IN = 8


class Mergeable(Protocol):
    """A result of some blocks that can absorb the result of the blocks after them."""

    def merge(self, other: Self, /) -> Self:
        """Return the result of both sets of blocks."""


Result = TypeVar("Result", bound=Mergeable)
Argument = TypeVar("Argument")
BlockFunction = Callable[[NDArray[Any], NDArray[Any] | None, Argument, int], Result]
"""(rows, weights or None, argument, block index) -> result."""


def sweep(
    rows: da.Array,
    weights: da.Array | None,
    function: BlockFunction[Argument, Result],
    argument: Argument,
    *,
    local: bool = False,
) -> Result:
    """Apply a function to every block of rows and merge the results, in one compute.

    Parameters
    ----------
    rows : dask array of shape (n_samples, n_features)
        Whole along the features. Row counts may be unknown.
    weights : dask array of shape (n_samples,) or None
        Chunked as the rows.
    function : callable
        (rows, weights or None, argument, block index) -> result with a `merge` method.
    argument : object
        Handed to every block; sent to each worker once, not with every task.
    local : bool
        Whether to run on this process's threads even when a cluster is connected: the rows are already here.

    Returns
    -------
    object
        The results of all blocks, merged in the order of the blocks.

    Raises
    ------
    RowError
        If the function blames a row; the error tells the row's place in the whole data where that is known.
    """
    # Dask names tasks after what they compute; a run id keeps passes apart whose names would collide.
    run = uuid.uuid4().hex
    shared = dask.delayed(argument, name=f"argument-{run}", traverse=False)
    columns = [] if weights is None else [weights[:, None]]
    results = da.map_blocks(
        _on_block,
        rows,
        *columns,
        function=function,
        argument=shared,
        name=f"block-{run}",
        dtype=object,
        chunks=((1,) * rows.numblocks[0], (1,)),
        meta=_META,
    )
    merged = da.reduction(
        results,
        chunk=_unchanged,
        aggregate=_merge,
        combine=_merge,
        axis=0,
        name=f"merge-{run}",
        dtype=object,
        concatenate=False,
        split_every=FAN_IN,
        meta=_META,
    )
    try:
        result: Result = compute(merged, local=local)
    except RowError as error:
        raise error.located(block=error.block, block_start=block_start(rows, error.block)) from None
    return result


def block_start(rows: da.Array, block: int) -> int | None:
    """Return the index of a block's first row, or None when the sizes of the blocks before it are unknown."""
    before = rows.chunks[0][:block]
    return None if any(np.isnan(length) for length in before) else int(sum(before))


_META = np.empty((0, 0), dtype=object)


def _on_block(
    rows: NDArray[Any],
    weights: NDArray[Any] | None = None,
    *,
    function: BlockFunction[Any, Any],
    argument: Any,
    block_id: tuple[int, ...] = (0, 0),
) -> Any:
    """Run the function on one block and note in its errors which block it was."""
    try:
        return function(rows, None if weights is None else weights[:, 0], argument, block_id[0])
    except RowError as error:
        raise error.located(block=block_id[0], block_start=None) from None


def _unchanged(result: Any, *, axis: Any, keepdims: bool, computing_meta: bool = False) -> Any:
    """Pass a block's result on to the tree."""
    return _META if computing_meta else result


def _merge(results: Any, *, axis: Any, keepdims: bool, computing_meta: bool = False) -> Any:
    """Merge neighbouring results from left to right."""
    return _META if computing_meta else reduce(lambda left, right: left.merge(right), _flat(results))


def _flat(nested: Any) -> Iterable[Any]:
    """Yield the results in Dask's nested lists of blocks, or the only one."""
    if isinstance(nested, list):
        for part in nested:
            yield from _flat(part)
    else:
        yield nested
