from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daskgmm.errors import ParameterError
from daskgmm.storage.blocks import (
    FEWEST_BYTES,
    TARGET_BYTES,
    block_lengths,
    block_rows,
    cut,
    worker_block_bytes,
)


def test_small_chunks_are_joined_to_blocks_of_the_target_size():
    rows = block_rows(10**9, 64, unit_rows=1000)
    assert rows % 1000 == 0
    assert TARGET_BYTES - 64_000 < rows * 64 <= TARGET_BYTES


def test_a_chunk_larger_than_the_target_stays_one_block():
    assert block_rows(10**9, 64, unit_rows=10**7) == 10**7


def test_little_data_make_many_blocks_that_are_not_tiny():
    n_rows = 10**9 // 64
    lengths = cut(n_rows, block_rows(n_rows, 64, unit_rows=1000))
    assert 64 <= len(lengths) < 80
    assert block_rows(10**6, 64, unit_rows=1) * 64 == FEWEST_BYTES


def test_workers_with_little_memory_get_smaller_blocks():
    assert worker_block_bytes(512 * 2**20, 1) == 32 * 2**20
    assert worker_block_bytes(512 * 2**20, 4) == 8 * 2**20
    assert block_rows(10**9, 64, unit_rows=1000, most_bytes=2**20) == 16_000


def test_workers_of_nearly_the_same_memory_get_the_same_blocks():
    assert worker_block_bytes(9 * 10**8, 1) == worker_block_bytes(10**9, 1)


def test_workers_with_much_memory_get_the_target():
    assert worker_block_bytes(2**40, 2) == TARGET_BYTES


@given(
    n_rows=st.integers(1, 10**9),
    row_bytes=st.integers(1, 10**6),
    unit_rows=st.integers(1, 10**7),
    most_bytes=st.integers(1, 2**27),
)
def test_blocks_are_whole_units_within_the_limit(n_rows, row_bytes, unit_rows, most_bytes):
    rows = block_rows(n_rows, row_bytes, unit_rows=unit_rows, most_bytes=most_bytes)
    assert rows % unit_rows == 0
    assert rows == unit_rows or rows * row_bytes <= most_bytes


@given(n_rows=st.integers(1, 10**4), rows=st.integers(1, 10**4))
def test_cut_covers_all_rows_once(n_rows, rows):
    lengths = cut(n_rows, rows)
    assert sum(lengths) == n_rows
    assert set(lengths[:-1]) <= {rows}
    assert 0 < lengths[-1] <= rows


def asked(chunks):
    return block_lengths(chunks, shape=(1050, 4), itemsize=8, unit_rows=100)


@pytest.mark.parametrize(
    ("chunks", "lengths"),
    [
        ("auto", (1050,)),
        (200, (200,) * 5 + (50,)),
        (5000, (1050,)),
        ((200,), (200,) * 5 + (50,)),
        ((200, 4), (200,) * 5 + (50,)),
        ((200, -1), (200,) * 5 + (50,)),
        (((400, 600, 50),), (400, 600, 50)),
        (((400, 600, 50), (4,)), (400, 600, 50)),
        (((0, 400, 650), 4), (0, 400, 650)),
    ],
)
def test_the_blocks_asked_for_are_made(chunks, lengths):
    assert asked(chunks) == lengths


@pytest.mark.parametrize(
    ("chunks", "complaint"),
    [
        (250, "nearest allowed: 200 or 300"),
        (30, "nearest allowed: 100"),
        (0, "nearest allowed: 100"),
        (-100, "nearest allowed: 100"),
        (((450, 600),), "nearest allowed: 400 or 500"),
        (((400, 600),), "sum to 1050 rows; got a sum of 1000"),
        ((200, 2), "all 4 features in every block; got 2"),
        ("128MB", 'expected "auto"'),
        (1.5, 'expected "auto"'),
        (True, 'expected "auto"'),
        ((1, 2, 3), "sum to 1050"),
        (((100, "x"),), 'expected "auto"'),
        (None, 'expected "auto"'),
    ],
)
def test_blocks_that_cannot_be_made_are_refused_with_what_can(chunks, complaint):
    with pytest.raises(ParameterError, match=complaint):
        asked(chunks)
