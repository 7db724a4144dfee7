from __future__ import annotations

import gc
import threading
import weakref

import numpy as np
import pytest

from daskgmm.engine.read_ahead import read_ahead


@pytest.mark.parametrize("n_blocks", [0, 1, 2, 7])
def test_blocks_come_in_their_order(n_blocks):
    assert list(read_ahead(lambda block: -block, range(3, 3 + n_blocks))) == [(b, -b) for b in range(3, 3 + n_blocks)]


def test_the_next_block_is_read_while_one_is_worked_on():
    being_read = {block: threading.Event() for block in range(4)}

    def read(block):
        being_read[block].set()
        return block

    for block, _ in read_ahead(read, range(4)):
        # Would wait for ever if reading waited for the caller.
        assert block == 3 or being_read[block + 1].wait(timeout=60)


def test_no_more_than_one_block_is_read_ahead():
    alive: list[weakref.ref[np.ndarray]] = []
    most = 0

    def read(block):
        nonlocal most
        rows = np.zeros(1000)
        alive.append(weakref.ref(rows))
        most = max(most, sum(kept() is not None for kept in alive))
        return rows

    for _, rows in read_ahead(read, range(30)):
        del rows
    gc.collect()
    assert most <= 2


def test_what_reading_raises_reaches_the_caller_at_that_block():
    def read(block):
        if block == 2:
            raise OSError("gone")
        return block

    blocks = read_ahead(read, range(5))
    assert [next(blocks), next(blocks)] == [(0, 0), (1, 1)]
    with pytest.raises(OSError, match="gone"):
        next(blocks)


def test_no_thread_is_left_when_the_caller_stops_early():
    before = threading.active_count()
    blocks = read_ahead(lambda block: block, range(100))
    next(blocks)
    blocks.close()
    assert threading.active_count() == before
