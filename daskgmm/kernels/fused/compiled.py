"""How the functions of this folder are compiled, and where the result is kept."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from threading import Lock
from types import FunctionType
from typing import Any
from zlib import crc32

__all__ = ["compiled", "compiled_for"]

Compile = Callable[[str], Any]
"""From float32 or float64 to a function compiled for rows of that type."""


def compiled(function: Callable[..., Any]) -> Any:
    """Compile a function that other compiled functions call."""
    from numba import njit

    return njit(nogil=True)(function)


def compiled_for(signature: str) -> Callable[[Callable[..., None]], Compile]:
    """Compile a function when it is asked for, or load it from Numba's cache if it is there; once in a process.

    Arguments of the signature in braces stand for arrays: {rows}, of any strides, {values} and {table} of the rows' own
    type in one and two dimensions, {weights}, and {totals} and {sums}, one and two dimensions of float64. Where the
    cache cannot be written to, read, or found, functions are compiled for this process alone.
    """

    def of(function: Callable[..., None]) -> Compile:
        compile_once, lock = lru_cache(maxsize=None)(lambda dtype: _compile(function, dtype, signature)), Lock()

        def for_rows(dtype: str) -> Any:
            with lock:  # threads that ask at the same time wait for the first
                return compile_once(dtype)

        return for_rows

    return of


def _compile(function: Any, dtype: str, signature: str) -> Any:
    """Compile a function for rows of a type, float32 or float64."""
    from numba import njit

    arguments = signature.format(
        rows=f"Array({dtype}, 2, 'A', readonly=True)",
        values=f"{dtype}[::1]",
        table=f"{dtype}[:, ::1]",
        weights="Array(float64, 1, 'C', readonly=True)",
        totals="float64[::1]",
        sums="float64[:, ::1]",
    )
    # Numba looks at one file to tell whether a cached function is out of date; this one is made of several. And it
    # keeps an index file for each name, which processes that compile for different types must not share: both would
    # choose the same name for the next file.
    own = FunctionType(function.__code__, function.__globals__, function.__name__)
    own.__module__ = function.__module__
    own.__qualname__ = f"{function.__qualname__}-{dtype}-{_fingerprint():08x}"
    try:
        return njit(arguments, nogil=True, cache=True)(own)
    except (RuntimeError, OSError, EOFError, pickle.UnpicklingError):
        return njit(arguments, nogil=True)(own)


def _fingerprint() -> int:
    """Return a number that changes with the source of this folder."""
    result = 0
    for path in sorted(Path(__file__).parent.glob("*.py")):
        result = crc32(path.read_bytes(), result)
    return result
