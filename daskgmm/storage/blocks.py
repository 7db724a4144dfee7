"""How many rows a block holds: arithmetic on numbers alone, no files and no arrays.

A stored array is made of units, its chunks or, where chunks are packed into shards, its shards. A unit is read and
decoded as a whole, so a block is always a whole number of units.
"""

from __future__ import annotations

from itertools import accumulate
from math import ceil

from daskgmm.errors import ParameterError

__all__ = ["TARGET_BYTES", "BlockChoice", "block_lengths", "block_rows", "cut", "worker_block_bytes"]

BlockChoice = str | int | tuple[int | tuple[int, ...], ...]
"""What a caller may ask for: "auto", rows per block, or a tuple that holds it first and the features second."""

# 128 MiB of decoded rows. A scheduler spends 1 to 18 ms on a task and an E-step about a second on 128 MiB, so that
# what is spent on tasks stays below two hundredths; twice as much would gain half of that and double the memory.
TARGET_BYTES = 2**27
# Data that would make few blocks of that size are cut finer, or threads stand idle: 64 blocks are three for each of
# twenty threads. The number is fixed rather than taken from the cluster, because the order of summation follows from
# the blocks: a fit has the same bits on every cluster. Blocks below 8 MiB would cost more in tasks than they bring.
WANTED_BLOCKS = 64
FEWEST_BYTES = 2**23
# A worker's thread holds the block as stored and decoded, a float64 copy of it, and what is being read ahead, next to
# the process itself: a sixteenth of the thread's share leaves room for all of them.
SHARE_OF_THREAD = 16


def worker_block_bytes(memory_limit: int, n_threads: int) -> int:
    """Return the most bytes of one block on workers of `memory_limit` bytes and `n_threads` threads.

    A power of two, so that workers of nearly the same size get the same blocks and therefore the same bits.
    """
    share = max(1, memory_limit // (SHARE_OF_THREAD * max(1, n_threads)))
    return min(TARGET_BYTES, 1 << (share.bit_length() - 1))


def block_rows(n_rows: int, row_bytes: int, *, unit_rows: int = 1, most_bytes: int = TARGET_BYTES) -> int:
    """Choose the rows of a block: a whole number of units, at least one.

    Parameters
    ----------
    n_rows : int
        Rows of the data.
    row_bytes : int
        Decoded bytes of one row.
    unit_rows : int
        Rows of the stored chunk or shard.
    most_bytes : int
        Bytes that a block should not exceed; one unit that is larger is a block nevertheless.
    """
    most_units = most_bytes // (unit_rows * row_bytes)
    fewest_units = ceil(FEWEST_BYTES / (unit_rows * row_bytes))
    units_for_many_blocks = n_rows // (WANTED_BLOCKS * unit_rows)
    return unit_rows * max(1, min(most_units, max(fewest_units, units_for_many_blocks)))


def cut(n_rows: int, rows: int) -> tuple[int, ...]:
    """Return the lengths of blocks of `rows` rows each, the last one perhaps shorter."""
    full, rest = divmod(n_rows, rows)
    return (rows,) * full + ((rest,) if rest else ())


def block_lengths(
    chunks: BlockChoice, *, shape: tuple[int, int], itemsize: int, unit_rows: int, most_bytes: int = TARGET_BYTES
) -> tuple[int, ...]:
    """Return the lengths of the row blocks that the caller asked for.

    Parameters
    ----------
    chunks : "auto", int or tuple
        Rows per block, or (rows,), (rows, n_features), where rows may also be a tuple of all block lengths, and
        n_features may be -1.
    shape : tuple of int
        (n_samples, n_features).
    itemsize : int
        Bytes of one number.
    unit_rows : int
        Rows of the stored chunk or shard.
    most_bytes : int
        Bytes that a block should not exceed when "auto" chooses.

    Raises
    ------
    ParameterError
        If the blocks would cut a stored chunk, cut the features, or not add up to the rows.
    """
    n_rows, n_features = shape
    if isinstance(chunks, str):
        if chunks != "auto":
            raise ParameterError(f'chunks: expected "auto", a number of rows or a tuple; got {chunks!r}')
        rows = block_rows(n_rows, n_features * itemsize, unit_rows=unit_rows, most_bytes=most_bytes)
        return cut(n_rows, rows)
    asked = _rows_asked_for(chunks, n_features)
    if isinstance(asked, int):
        _check_boundary(asked, n_rows=n_rows, unit_rows=unit_rows)
        return cut(n_rows, asked)
    if sum(asked) != n_rows or any(length < 0 for length in asked):
        raise ParameterError(f"chunks: expected block lengths that sum to {n_rows} rows; got a sum of {sum(asked)}")
    for boundary in accumulate(asked):
        if boundary:
            _check_boundary(boundary, n_rows=n_rows, unit_rows=unit_rows)
    return asked


def _rows_asked_for(chunks: object, n_features: int) -> int | tuple[int, ...]:
    """Return the rows per block, or all block lengths, of a choice that is not "auto"."""
    rows: object = chunks
    if isinstance(chunks, tuple) and len(chunks) in (1, 2):
        rows = chunks[0]
        if len(chunks) == 2 and chunks[1] not in (n_features, (n_features,), -1):
            raise ParameterError(
                f"chunks: expected all {n_features} features in every block; got {chunks[1]!r} for the feature axis. "
                "Give the number of rows alone"
            )
    if isinstance(rows, tuple) and all(_is_int(length) for length in rows):
        return rows
    if not _is_int(rows):
        raise ParameterError(f'chunks: expected "auto", a number of rows or a tuple; got {chunks!r}')
    assert isinstance(rows, int)
    return rows


def _is_int(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _check_boundary(rows: int, *, n_rows: int, unit_rows: int) -> None:
    """Raise ParameterError unless a block may end after `rows` rows: between two units, or at the end of the data."""
    if rows >= n_rows or (rows > 0 and rows % unit_rows == 0):
        return
    below = rows // unit_rows * unit_rows
    nearest = [str(allowed) for allowed in (below, below + unit_rows) if allowed > 0] if rows > 0 else [str(unit_rows)]
    raise ParameterError(
        f"chunks: expected whole multiples of the {unit_rows} rows of a stored chunk or shard, which is decoded as a "
        f"whole; got a block that ends after {rows} rows. The nearest allowed: {' or '.join(nearest)}"
    )
