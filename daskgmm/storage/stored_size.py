"""How many bytes a store takes, where that is cheap to know."""

from __future__ import annotations

from math import prod

from zarr.storage import LocalStore

from daskgmm.storage.zarr_rows import ZarrRows

__all__ = ["stored_size"]

# Asking a local disk for the size of a file takes some ten microseconds, so that this many take a tenth of a second.
MOST_FILES = 10_000


def stored_size(rows: ZarrRows) -> int | None:
    """Return the bytes that a Zarr array takes in its store, or None where many files or a network would be asked."""
    array = rows.array
    unit = array.shards or array.chunks
    n_files = prod(-(-length // size) for length, size in zip(array.shape, unit, strict=True))
    if not isinstance(array.store, LocalStore) or n_files > MOST_FILES:
        return None
    return int(array.nbytes_stored())
