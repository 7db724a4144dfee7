from __future__ import annotations

import numpy as np
import pytest
import zarr
from hypothesis import given
from hypothesis import strategies as st

from daskgmm.storage import result_chunks as module
from daskgmm.storage.result_chunks import MOST_BYTES, result_chunks
from daskgmm.storage.stored_blocks import StoredBlocks
from daskgmm.storage.zarr_rows import zarr_rows


def blocks(n_rows: int, chunk_rows: int, step: int) -> StoredBlocks:
    array = zarr.create_array({}, shape=(n_rows, 2), chunks=(chunk_rows, 2), dtype="f8")
    return StoredBlocks(zarr_rows(array, "rows"), step)


@pytest.mark.parametrize(
    ("chunk_rows", "step", "row_bytes", "expected"),
    [
        (1000, 500_000, 8, (500_000, 500_000)),  # as they are streamed
        (1000, 500_000, 800, (41_000, 41_000)),  # whole stored chunks, up to 32 MiB of results
        (1000, 500_000, 2**20, (1000, 25)),  # a part of one
        (1021, 500_000, 2**20, (1021, 1021)),  # a prime number of rows has no parts
        (1_000_000, 300_000, 8, (300_000, 300_000)),  # fewer rows than one stored chunk
        (1000, 500_000, 2**26, (1000, 1)),
    ],
)
def test_blocks_and_chunks_hold_up_to_32_mib_of_results(chunk_rows, step, row_bytes, expected):
    streamed, rows = result_chunks(blocks(1_000_000, chunk_rows, step), row_bytes)
    assert (streamed.step, rows) == expected


@given(
    unit=st.integers(1, 5000), n_units=st.integers(1, 40), n_rows=st.integers(1, 10**6), row_bytes=st.integers(1, 2**22)
)
def test_no_two_blocks_share_a_chunk_and_no_block_cuts_a_stored_one(unit, n_units, n_rows, row_bytes):
    step = min(unit * n_units, n_rows)
    streamed, rows = result_chunks(blocks(n_rows, unit, step), row_bytes)
    assert streamed.step % rows == 0
    assert streamed.step % unit == 0 or streamed.n_blocks == 1
    assert rows * row_bytes <= MOST_BYTES or rows == min(unit, step)


def test_the_dtype_of_rows_does_not_matter(monkeypatch):
    monkeypatch.setattr(module, "MOST_BYTES", 4096)
    array = zarr.create_array({}, data=np.zeros(1000, dtype="u1"), chunks=(100,))
    streamed, rows = result_chunks(StoredBlocks(zarr_rows(array, "rows"), 1000), 8)
    assert (streamed.step, rows) == (500, 500)
