"""Results of neighbouring blocks merged along one binary tree, whatever way the blocks are grouped into tasks."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Generic, Protocol, Self, TypeVar

__all__ = ["MergeTree", "Mergeable", "merged"]


class Mergeable(Protocol):
    """A result of some blocks that can absorb the result of the blocks after them."""

    def merge(self, other: Self, /) -> Self:
        """Return the result of both sets of blocks."""


Result = TypeVar("Result", bound=Mergeable)


class MergeTree(Generic[Result]):
    """Results in the order of their blocks, merged as soon as both halves of a node of the tree are there.

    The tree is aligned: a node of level l holds blocks j * 2^l to (j + 1) * 2^l - 1, as many of them as there are.
    Merging within groups of 2^m blocks first, and then over the groups, makes the same nodes, so sums have the same
    bits. Of n blocks no more than log2(n) + 1 results are held.
    """

    def __init__(self) -> None:
        self._nodes: list[tuple[int, Result]] = []
        """Levels, falling, and results of the nodes that wait for their right halves."""

    def add(self, result: Result) -> None:
        """Add the result of the next block."""
        level = 0
        while self._nodes and self._nodes[-1][0] == level:
            result = self._nodes.pop()[1].merge(result)
            level += 1
        self._nodes.append((level, result))

    def result(self) -> Result:
        """Return the result of all blocks so far, of which there must be one."""
        _, result = self._nodes[-1]
        for _, left in reversed(self._nodes[:-1]):
            result = left.merge(result)
        return result


def merged(results: Iterable[Result]) -> Result:
    """Return neighbouring results, at least one, merged along the tree."""
    tree: MergeTree[Result] = MergeTree()
    for result in results:
        tree.add(result)
    return tree.result()
