from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daskgmm.engine.tree import MergeTree, merged


@dataclass(frozen=True)
class Note:
    """Remembers how it was put together."""

    text: str

    def merge(self, other):
        return Note(f"({self.text} {other.text})")


def notes(first, stop):
    return [Note(str(i)) for i in range(first, stop)]


def aligned(first, level, n_blocks) -> str | None:
    """The tree by its definition: a node is its left half merged with its right half."""
    if first >= n_blocks:
        return None
    if level == 0:
        return str(first)
    left, right = aligned(first, level - 1, n_blocks), aligned(first + 2 ** (level - 1), level - 1, n_blocks)
    return left if right is None else f"({left} {right})"


@pytest.mark.parametrize("n_blocks", range(1, 40))
def test_neighbours_are_merged_along_an_aligned_binary_tree(n_blocks):
    assert merged(notes(0, n_blocks)).text == aligned(0, 6, n_blocks)


@given(n_blocks=st.integers(1, 200), size=st.sampled_from([1, 2, 4, 8, 16, 64]), fan_in=st.sampled_from([2, 4, 8]))
def test_grouping_does_not_change_the_tree(n_blocks, size, fan_in):
    results = [merged(notes(first, min(first + size, n_blocks))) for first in range(0, n_blocks, size)]
    while len(results) > 1:
        results = [merged(results[i : i + fan_in]) for i in range(0, len(results), fan_in)]
    assert results[0] == merged(notes(0, n_blocks))


def test_few_results_are_held():
    tree: MergeTree[Note] = MergeTree()
    for note in notes(0, 1000):
        tree.add(note)
        assert len(tree._nodes) <= 10
