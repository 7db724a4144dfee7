"""A block of rows in a file without a name."""

from __future__ import annotations

import os
import tempfile
import weakref
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["KeptFile"]


class KeptFile:
    """Rows written to disk by this process, for itself.

    The file has no name from the start, so that nothing is left of it when the process ends, in whatever way. It is
    read rather than mapped: mapped pages count as memory of the process, and Dask's workers would make room for them.

    Parameters
    ----------
    rows : array of shape (n_rows, n_features)
    directory : str
        On the disk to write to.

    Raises
    ------
    OSError
        If there is no room, or the directory is not there.
    """

    def __init__(self, rows: NDArray[Any], directory: str) -> None:
        with tempfile.TemporaryFile(dir=directory) as file:
            # Asked for at once, so that a full disk says so before anything is written.
            os.posix_fallocate(file.fileno(), 0, max(1, rows.nbytes))
            rows.tofile(file)
            file.flush()
            self._descriptor = os.dup(file.fileno())
        weakref.finalize(self, os.close, self._descriptor)
        self.dtype = rows.dtype
        self.shape = rows.shape
        self.nbytes = rows.nbytes

    def read(self) -> NDArray[Any]:
        """Return the rows."""
        memory = np.empty(self.nbytes, np.uint8)
        position = 0
        while position < self.nbytes:
            position += os.preadv(self._descriptor, [memory[position:].data], position)
        return memory.view(self.dtype).reshape(self.shape)
