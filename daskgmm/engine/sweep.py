"""One pass over the data: a function of each block, its results merged along a tree.

The tree's shape follows from block indices alone, so that results have the same bits on any number of workers and
threads. Nothing here knows what is computed.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, TypeVar

import dask
import dask.array as da
from numpy.typing import NDArray

from daskgmm.engine.parts import OBJECTS, BlockRange, BlockReader, Parts
from daskgmm.engine.schedule import compute
from daskgmm.engine.tree import Mergeable, MergeTree, merged
from daskgmm.errors import RowError

__all__ = ["sweep"]

# How many results one task merges, a power of two so that tasks are nodes of the binary tree. Eight results of 256
# components and 64 features (8 MB each) are 64 MB, and a million blocks still need only seven levels.
FAN_IN = 8

Result = TypeVar("Result", bound=Mergeable)
Argument = TypeVar("Argument")
BlockFunction = Callable[[NDArray[Any], NDArray[Any] | None, Argument, int], Result]
"""(rows, weights or None, argument, block index) -> result."""


def sweep(parts: Parts, function: BlockFunction[Argument, Result], argument: Argument) -> Result:
    """Apply a function to every block of rows and merge the results, in one compute.

    Parameters
    ----------
    parts : Parts
        The data.
    function : callable
        (rows, weights or None, argument, block index) -> result with a `merge` method.
    argument : object
        Handed to every block; sent to each worker once, not with every task.

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
    columns = [] if parts.weights is None else [parts.weights[:, None]]
    shared = {"argument": _once(argument, f"argument-{run}")}
    if parts.reader is not None:
        shared["reader"] = _once(parts.reader, f"reader-{run}")
    results = da.map_blocks(
        _on_block if parts.reader is None else _on_range,
        parts.array,
        *columns,
        function=function,
        **shared,
        name=f"block-{run}",
        dtype=object,
        chunks=((1,) * parts.array.numblocks[0], (1,)),
        meta=OBJECTS,
    )
    tree = da.reduction(
        results,
        chunk=_unchanged,
        aggregate=_merge,
        combine=_merge,
        axis=0,
        name=f"merge-{run}",
        dtype=object,
        concatenate=False,
        split_every=FAN_IN,
        meta=OBJECTS,
    )
    # Dask runs what a block goes through as one task, under the name of its last step.
    on_blocks = frozenset((parts.array.name, results.name, *tree.dask.dependents[results.name]))
    try:
        result: Result = compute(tree, local=parts.local, place=partial(_place, parts, on_blocks))
    except RowError as error:
        raise error.located(block=error.block, block_start=parts.start(error.block)) from None
    return result


def _place(parts: Parts, on_blocks: frozenset[str], key: object) -> str | None:
    """Return in words which rows the task of this key works on, None for one that merges results."""
    if parts.array.numblocks[0] == 1:
        return parts.place(0)
    return parts.place(key[1]) if isinstance(key, tuple) and key[0] in on_blocks else None


def _once(value: object, name: str) -> Any:
    """Return a value as a task of its own, which every worker receives once."""
    return dask.delayed(value, name=name, traverse=False)


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


def _on_range(part: BlockRange, *, reader: BlockReader, function: BlockFunction[Any, Any], argument: Any) -> Any:
    """Run the function on one block of a range after the other, in the memory of two of them."""
    tree: MergeTree[Any] = MergeTree()
    for block, rows in part.blocks(reader):
        try:
            tree.add(function(rows, None, argument, block))
        except RowError as error:
            raise error.located(block=block, block_start=None) from None
        del rows
    return tree.result()


def _unchanged(result: Any, *, axis: Any, keepdims: bool, computing_meta: bool = False) -> Any:
    """Pass a block's result on to the tree."""
    return OBJECTS if computing_meta else result


def _merge(results: Any, *, axis: Any, keepdims: bool, computing_meta: bool = False) -> Any:
    """Merge neighbouring results."""
    return OBJECTS if computing_meta else merged(_flat(results))


def _flat(nested: Any) -> Iterable[Any]:
    """Yield the results in Dask's nested lists of blocks, or the only one."""
    if isinstance(nested, list):
        for part in nested:
            yield from _flat(part)
    else:
        yield nested
