r"""Trees of records and their arrays as bytes that can be checked whole, without any pickle.

::

    daskgmm-checkpoint 1\n       what it is, and the version of the format
    8 bytes                     length of the JSON text, little-endian
    JSON                        {"tree": ..., "arrays": [[dtype, shape], ...]}
    arrays                      one after the other, little-endian, C order
    32 bytes                    SHA-256 of all that

The digest is compared before anything is parsed: what was cut or changed is refused for that.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from daskgmm.storage.json_values import is_too_large, strict_json
from daskgmm.storage.records import as_records, as_tree

__all__ = ["MAGIC", "N_DIGEST", "checkpoint_parts", "checkpoint_value"]

MAGIC = b"daskgmm-checkpoint 1\n"
N_DIGEST = 32
DTYPES = ("<f8", "<f4", "<i8", "<u4", "|b1")
MOST_AXES = 3


def checkpoint_parts(value: Any, classes: Sequence[type]) -> list[bytes]:
    """Return the bytes of a value in parts, to be written one after the other; the last one is the digest.

    Raises TypeError if the value holds anything but what `records.as_tree` takes.
    """
    arrays: list[np.ndarray[Any, Any]] = []
    tree = as_tree(value, arrays, classes)
    stored = [np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<"), copy=False) for array in arrays]
    layout = [[array.dtype.str, list(array.shape)] for array in stored]
    text = json.dumps({"tree": tree, "arrays": layout}, allow_nan=False).encode()
    parts = [MAGIC, len(text).to_bytes(8, "little"), text, *(array.tobytes() for array in stored)]
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return [*parts, digest.digest()]


def checkpoint_value(content: bytes, classes: Sequence[type]) -> Any:
    """Return what was made into these bytes; no code is run, and nothing larger than they are is allocated.

    Raises
    ------
    ValueError, TypeError, KeyError, OverflowError, RecursionError, DaskGMMError
        If they are anything else, or records refuse what is in them.
    """
    if content[: len(MAGIC)] != MAGIC:
        raise ValueError(f"expected it to begin with {MAGIC.decode().strip()!r}; it is another kind of file or version")
    body, digest = content[:-N_DIGEST], content[-N_DIGEST:]
    if hashlib.sha256(body).digest() != digest:
        raise ValueError("its SHA-256 digest is not that of its content; it was cut or changed")
    start = len(MAGIC) + 8
    stop = start + int.from_bytes(body[len(MAGIC) : start], "little")
    text = body[start:stop]
    if is_too_large(text):
        raise ValueError("expected a description of thousands of values; it has millions")
    header = strict_json(text)
    if not isinstance(header, dict) or set(header) != {"tree", "arrays"} or not isinstance(header["arrays"], list):
        raise ValueError("expected a tree and arrays")
    arrays = []
    for entry in header["arrays"]:
        dtype, shape = _layout(entry)
        n_bytes = dtype.itemsize * math.prod(shape)
        if stop + n_bytes > len(body):
            raise ValueError(f"expected {n_bytes} bytes for an array of shape {shape}; {len(body) - stop} are left")
        arrays.append(np.frombuffer(body, dtype, count=math.prod(shape), offset=stop).reshape(shape))
        stop += n_bytes
    if stop != len(body):
        raise ValueError(f"expected arrays up to the end; {len(body) - stop} bytes are left")
    return as_records(header["tree"], arrays, classes)


def _layout(entry: Any) -> tuple[np.dtype[Any], tuple[int, ...]]:
    if not isinstance(entry, list) or len(entry) != 2 or entry[0] not in DTYPES or not isinstance(entry[1], list):
        raise ValueError(f"expected an array's dtype, one of {', '.join(DTYPES)}, and its shape")
    if len(entry[1]) > MOST_AXES or not all(type(length) is int and length >= 0 for length in entry[1]):
        raise ValueError(f"expected a shape of up to {MOST_AXES} lengths")
    return np.dtype(entry[0]), tuple(entry[1])
