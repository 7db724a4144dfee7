"""Reading the next block while one is being worked on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

__all__ = ["read_ahead"]

Block = TypeVar("Block")


def read_ahead(read: Callable[[int], Block], indices: Sequence[int]) -> Iterator[tuple[int, Block]]:
    """Yield each index with what was read there; a thread reads the one after it in the meantime.

    At any time the caller holds one block and one more is being read: the caller must let go of a block before it asks
    for the next, or there are three.
    """
    if len(indices) < 2:
        yield from ((index, read(index)) for index in indices)
        return
    with ThreadPoolExecutor(1, thread_name_prefix="daskgmm-read-ahead") as reader:
        coming = reader.submit(read, indices[0])
        for index, after in zip(indices, [*indices[1:], None], strict=True):
            block = coming.result()
            if after is not None:
                coming = reader.submit(read, after)
            else:
                del coming
            yield index, block
            del block
