"""Whether a variable of the environment is one that somebody reads."""

from __future__ import annotations

import dask.config
import distributed  # noqa: F401  (adds its settings to Dask's)
import numba

THREADS = frozenset({"OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"})
"""One for each library that starts threads of its own."""
# The shell's and Python's own, and Dask's one setting that has no default.
OF_OTHERS = {"PATH", "PYTHONUNBUFFERED", "DASK_SCHEDULER_ADDRESS"}


def is_read(name: str) -> bool:
    """Return whether a variable stands for a setting that Dask or Numba has, or is known otherwise."""
    if name in THREADS or name in OF_OTHERS:
        return True
    if name.startswith("DASK_"):
        missing = object()
        return dask.config.get(name.removeprefix("DASK_").lower().replace("__", "."), missing) is not missing
    return name.startswith("NUMBA_") and hasattr(numba.config, name.removeprefix("NUMBA_"))
