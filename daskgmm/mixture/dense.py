"""Which arrays have a density: dense ones of real numbers."""

from __future__ import annotations

from typing import Any

import numpy as np

from daskgmm.errors import InputTypeError

__all__ = ["check_dense", "check_dtype"]

# Booleans, signed and unsigned integers, floats of any width and byte order: the kernels turn them into floats.
REAL_KINDS = "biuf"
REMEDIES = {
    "c": "take .real, .imag or abs() as separate features",
    "M": "convert dates to numbers, such as seconds since a day of your choice",
    "m": "convert durations to numbers, such as seconds",
    "O": "convert the objects with .astype(float)",
    "V": "make one column of each field",
}


def check_dtype(dtype: Any, name: str) -> None:
    """Raise InputTypeError unless the dtype is one of real numbers.

    Parameters
    ----------
    dtype : dtype
        The dtype to look at.
    name : str
        What it belongs to, for the message.
    """
    kind = np.dtype(dtype).kind
    if kind not in REAL_KINDS:
        remedy = REMEDIES.get(kind, "convert text to numbers")
        raise InputTypeError(f"{name}: expected real numbers; got dtype {dtype}; {remedy}")


def check_dense(block: Any, name: str) -> None:
    """Raise InputTypeError if an array, or a Dask array's description of its blocks, is not a plain NumPy array.

    Parameters
    ----------
    block : array
        The array, or an empty one of the same type.
    name : str
        What it belongs to, for the message.
    """
    if isinstance(block, np.ma.MaskedArray):
        raise InputTypeError(
            f"{name}: expected dense numbers; got a masked array; drop the masked rows or fill them, "
            "or give such rows the weight 0"
        )
    if not isinstance(block, np.ndarray):
        raise InputTypeError(
            f"{name}: expected dense NumPy blocks; got {type(block).__module__}.{type(block).__qualname__}; "
            "convert it, for instance with .toarray() or .todense() on each block"
        )
    check_dtype(block.dtype, name)
