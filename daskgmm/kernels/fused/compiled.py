"""How the functions of this folder are compiled, and where the result is kept."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any
from zlib import crc32

__all__ = ["compiled", "compiled_for"]


def compiled(function: Callable[..., Any]) -> Any:
    """Compile a function that other compiled functions call."""
    from numba import njit

    return njit(nogil=True)(function)


def compiled_for(signature: str) -> Callable[[Callable[..., Any]], Any]:
    """Compile a function for one signature now, or load it from Numba's cache if it is there.

    Where the cache cannot be written to, read, or found, the function is compiled for this process alone.
    """
    from numba import njit

    def compile_for(function: Callable[..., Any]) -> Any:
        # Numba looks at one file to tell whether a cached function is out of date; this one is made of several.
        function.__qualname__ += f"-{_fingerprint():08x}"
        try:
            return njit(signature, nogil=True, cache=True)(function)
        except (RuntimeError, OSError, EOFError, pickle.UnpicklingError):
            return njit(signature, nogil=True)(function)

    return compile_for


def _fingerprint() -> int:
    """Return a number that changes with the source of this folder."""
    result = 0
    for path in sorted(Path(__file__).parent.glob("*.py")):
        result = crc32(path.read_bytes(), result)
    return result
