"""A Zarr array in the blocks that a fit streams through memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray
from zarr.storage import LocalStore

from daskgmm.storage.blocks import block_rows
from daskgmm.storage.zarr_rows import ZarrRows

__all__ = ["StoredBlocks", "stored_blocks"]

# 32 MiB of decoded rows. A task reads one block after the other, so that their number costs no tasks, and small ones
# keep memory low; but each costs a millisecond to ask for and to merge, a fiftieth of the time that an E-step takes on
# 32 MiB.
STREAMED_BYTES = 2**25


@dataclass(frozen=True, slots=True, eq=False)
class StoredBlocks:
    """Rows of a Zarr array, cut into equal blocks of whole chunks; see `engine.parts.BlockReader`."""

    rows: ZarrRows
    """The array."""
    step: int
    """Rows of a block; the last may have fewer."""

    @property
    def n_blocks(self) -> int:
        """Number of blocks."""
        return -(-self.rows.shape[0] // self.step)

    @property
    def block_bytes(self) -> int:
        """Decoded bytes of the largest block."""
        n_rows, n_features = self.rows.shape
        return min(self.step, n_rows) * n_features * self.rows.dtype.itemsize

    @property
    def is_dear(self) -> bool:
        """Whether rows are decompressed or come from elsewhere than this machine's disks."""
        return bool(self.rows.array.compressors) or not isinstance(self.rows.array.store, LocalStore)

    def check_unchanged(self) -> None:
        """Raise StoreChangedError if the array is no longer the one that was opened."""
        self.rows.fingerprint.check(self.rows.array)

    def start(self, block: int) -> int:
        """Return the index of a block's first row; of the block after the last, the number of rows."""
        return min(block * self.step, self.rows.shape[0])

    def read(self, block: int) -> NDArray[Any]:
        """Return the rows of a block, shape (n_rows, n_features); errors as `ZarrRows` has them."""
        start = self.start(block)
        return self.rows[start : start + self.step, :]


def stored_blocks(rows: ZarrRows, most_rows: int) -> StoredBlocks:
    """Return a Zarr array in blocks of about 32 MiB, and of no more than `most_rows` rows, which must be whole chunks.

    The blocks follow from the array alone as long as `most_rows` is larger: so do the sums over them, to the last bit.
    """
    n_rows, n_features = rows.shape
    row_bytes = n_features * rows.dtype.itemsize
    return StoredBlocks(
        rows,
        min(block_rows(n_rows, row_bytes, unit_rows=rows.unit_rows, most_bytes=STREAMED_BYTES), most_rows),
    )
