"""Which rows of results make a chunk, when results are written while the rows of a Zarr array are streamed."""

from __future__ import annotations

from dataclasses import replace

from daskgmm.storage.stored_blocks import StoredBlocks

__all__ = ["result_chunks"]

# Bytes of the results that a task holds: as much as a block of rows, 32 MiB, which may have few features while results
# have many columns.
MOST_BYTES = 2**25
# Chunks down to a sixteenth of that are made of a stored chunk that is too large.
MOST_PIECES = 16


def result_chunks(blocks: StoredBlocks, row_bytes: int) -> tuple[StoredBlocks, int]:
    """Return the blocks to stream, and the rows of a chunk of their results; each block is a whole number of chunks.

    A chunk of results takes up to 32 MiB. Only where a single stored chunk gives more, and its number of rows has no
    divisor of use, does a chunk hold the results of the whole stored chunk.

    Parameters
    ----------
    blocks : StoredBlocks
        As they are streamed when there are no results to hold.
    row_bytes : int
        Bytes of the results of one row.
    """
    most = max(1, MOST_BYTES // row_bytes)
    # Data of less than one stored chunk are a block by themselves.
    unit = min(blocks.rows.unit_rows, blocks.step)
    if unit <= most:
        step = min(blocks.step, most // unit * unit)
        return replace(blocks, step=step), step
    fewest = -(-unit // most)
    n_pieces = next((n for n in range(fewest, MOST_PIECES * fewest + 1) if unit % n == 0), 1)
    return replace(blocks, step=unit), unit // n_pieces
