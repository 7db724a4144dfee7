"""`python -m tests.faults.fuzz_stores FIRST LAST FOLDER`: open and read arrays whose metadata are wrong, guarded.

Prints one JSON object: how many arrays were refused and read, and what went wrong. Each case follows from its number.
"""

from __future__ import annotations

import json
import shutil
import sys
import traceback
import warnings
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

import distributed.system
import numpy as np
import zarr

from daskgmm.errors import DaskGMMError
from daskgmm.storage.dataset import as_row_blocks, open_zarr
from tests.faults.fuzzed_json import fuzzed_json
from tests.faults.guard import MOST_BYTES, Guard

# What the machine has, as far as the package knows: a block that is larger is refused, so that reading stays below the
# guard's limit.
MACHINE_BYTES = 32 * 2**20
ROWS = np.arange(1.0, 41.0).reshape(20, 2)
LAYOUTS: tuple[dict[str, Any], ...] = (
    {},
    {"zarr_format": 2},
    {"shards": (10, 2)},
    {"compressors": None},
    {"zarr_format": 2, "compressors": None},
)
METADATA = ("zarr.json", ".zarray")
MOST_PROBLEMS = 20


def run(cases: range, folder: Path) -> dict[str, Any]:
    """Open and read the arrays of all cases, and return what came of it."""
    # Dask asks for this number whenever it is wanted.
    distributed.system.MEMORY_LIMIT = MACHINE_BYTES
    warnings.simplefilter("ignore")
    stores = [folder / f"rows-{index}.zarr" for index in range(len(LAYOUTS))]
    for store, layout in zip(stores, LAYOUTS, strict=True):
        zarr.create_array(store, data=ROWS, chunks=(5, 2), overwrite=True, **layout)
    guard, counts, problems = Guard(), Counter[str](), []
    for case in range(-40, 0):  # what reading imports on its first call is imported then
        _outcome(stores, Random(case), guard, folder / "fuzzed.zarr")
    most = 0
    for case in cases:
        outcome, grown = _outcome(stores, Random(case), guard, folder / "fuzzed.zarr")
        most = max(most, grown)
        counts[outcome if outcome in ("refused", "read") else "wrong"] += 1
        if outcome not in ("refused", "read"):
            problems.append(f"case {case}: {outcome}")
    return {"refused": 0, "read": 0, **counts, "most_bytes": most, "problems": problems[:MOST_PROBLEMS]}


def _outcome(stores: list[Path], rng: Random, guard: Guard, path: Path) -> tuple[str, int]:
    """Return "refused", "read" or what went wrong, and how much memory it took."""
    shutil.rmtree(path, ignore_errors=True)
    shutil.copytree(rng.choice(stores), path)
    (metadata,) = (path / name for name in METADATA if (path / name).exists())
    metadata.write_bytes(fuzzed_json(json.loads(metadata.read_text()), rng))
    outcome = guard.call(lambda: _read(path))
    if outcome.forbidden:
        return f"did {outcome.forbidden[0]}", outcome.grown
    if outcome.grown > MOST_BYTES:
        return f"took {outcome.grown:,} bytes", outcome.grown
    if outcome.error is None:
        return "read", outcome.grown
    if not isinstance(outcome.error, DaskGMMError):
        return "".join(traceback.format_exception(outcome.error)[-4:]), outcome.grown
    if "fuzzed.zarr" not in str(outcome.error) or len(str(outcome.error)) > 2000:
        return f"refused without the store's name, or with too many words: {str(outcome.error)[:300]}", outcome.grown
    return "refused", outcome.grown


def _read(path: Path) -> None:
    """Open a store as a fit does, and read its first block and its last."""
    stored = as_row_blocks(open_zarr(path, missing_chunks="fill")).stored
    assert stored is not None
    stored.check_unchanged()
    for block in {0, stored.n_blocks - 1}:
        stored.read(block)


if __name__ == "__main__":
    first, last, folder = sys.argv[1:]
    json.dump(run(range(int(first), int(last)), Path(folder)), sys.stdout)
