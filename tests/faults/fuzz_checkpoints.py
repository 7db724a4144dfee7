"""`python -m tests.faults.fuzz_checkpoints FIRST LAST FOLDER`: go on from damaged and forged checkpoints, guarded.

Prints one JSON object: how many were refused and loaded, and what went wrong. Forged ones have the digest that belongs
to what they say, as somebody who means harm would make them.
"""

from __future__ import annotations

import hashlib
import json
import sys
import traceback
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from daskgmm import GaussianMixture
from daskgmm.errors import CheckpointError, StorageError
from daskgmm.fitting.checkpoints import CLASSES, Keeper
from daskgmm.fitting.in_memory import Rows
from daskgmm.history import Journal
from daskgmm.settings import FitSettings
from daskgmm.start import GivenStart
from daskgmm.storage.checkpoint_format import MAGIC, N_DIGEST, checkpoint_parts, checkpoint_value
from daskgmm.storage.dataset import as_row_blocks
from tests.faults.archive_case import Case
from tests.faults.damaged_archives import cut_out, flipped_bits, overwritten, repeated, spliced, truncated
from tests.faults.fuzzed_json import fuzzed_json
from tests.faults.guard import MOST_BYTES, Guard

SETTINGS: dict[str, Any] = {"n_components": 2, "tol": 1e-6, "init_size": 150, "max_iter": 20}
MOST_PROBLEMS = 20
ROWS = np.random.default_rng(0).normal(size=(400, 2)) + np.repeat([[0.0, 0.0], [4.0, 1.0]], 200, axis=0)
# Bytes from which a checkpoint could be seen to have been taken apart wrongly.
START = len(MAGIC) + 8


def keep(path: Path, seed: int) -> None:
    """Fit, and keep checkpoints."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        GaussianMixture(random_state=seed, checkpoint=path, **SETTINGS).fit(ROWS)


def go_on(path: Path, seed: int = 0) -> Any:
    """Return what a fit would go on from."""
    settings = FitSettings(checkpoint=path, **SETTINGS)
    random_state, journal = np.random.RandomState(seed), Journal(row_bytes=16, n_samples=400)
    return Keeper(as_row_blocks(ROWS), settings, GivenStart(), random_state, journal).found(random_state)


def forged(content: bytes, rng: Random) -> bytes:
    """Return a checkpoint that says something else, with the digest that belongs to it."""
    length = int.from_bytes(content[len(MAGIC) : START], "little")
    text, arrays = content[START : START + length], content[START + length : -N_DIGEST]
    way = rng.randrange(4)
    if way < 2:
        text = fuzzed_json(json.loads(text), rng)
    elif way == 2:
        place = rng.randrange(len(arrays))
        filler = rng.choice((b"\xff" * 8, b"\0" * 8, rng.randbytes(8), np.float64(np.nan).tobytes()))
        arrays = arrays[:place] + filler + arrays[place + len(filler) :]
    else:
        arrays = rng.choice((arrays[: rng.randrange(len(arrays))], arrays + rng.randbytes(8), b""))
    claimed = len(text) if rng.random() < 0.9 else rng.choice((0, 2**63, 2**64 - 1, len(text) + 1, 2**32))
    body = MAGIC + claimed.to_bytes(8, "little") + text + arrays
    return body + hashlib.sha256(body).digest()


DAMAGE: tuple[Callable[[Case], bytes], ...] = (truncated, flipped_bits, overwritten, cut_out, repeated, spliced)


def fuzzed(sound: bytes, other: bytes, case: int) -> tuple[str, bytes]:
    """Return how a checkpoint was changed, and what it is now; all of it follows from the number of the case."""
    rng = Random(case)
    if rng.random() < 0.6:
        return "forged", forged(sound, rng)
    damage = rng.choice(DAMAGE)
    return damage.__name__, damage(Case(sound, other, "", rng))


def outcome_of(folder: Path, guard: Guard, kind: str, content: bytes, as_sample: bool) -> tuple[str, int]:
    """Return "refused", "loaded" or what went wrong, and how much memory it took."""
    path = folder / "fuzzed"
    target = path.with_name("fuzzed.sample") if as_sample else path
    kept, _ = target.read_bytes(), target.write_bytes(content)
    try:
        outcome = guard.call(lambda: go_on(path))
    finally:
        target.write_bytes(kept)
    if outcome.forbidden:
        return f"did {outcome.forbidden[0]}", outcome.grown
    if outcome.grown > MOST_BYTES:
        return f"took {outcome.grown:,} bytes", outcome.grown
    if outcome.error is None:
        return "loaded" if is_what_it_says(content, as_sample) else "loaded something else", outcome.grown
    if not isinstance(outcome.error, CheckpointError | StorageError):
        return "".join(traceback.format_exception(outcome.error)[-3:]), outcome.grown
    if isinstance(outcome.error.__cause__, MemoryError) or len(str(outcome.error)) > 4000:
        return f"refused badly: {str(outcome.error)[:300]}", outcome.grown
    return ("refused" if "fuzzed" in str(outcome.error) else f"without a name: {outcome.error}"), outcome.grown


def is_what_it_says(content: bytes, as_sample: bool) -> bool:
    """Whether what was read, written again, says the same."""
    classes = (Rows,) if as_sample else CLASSES
    again = b"".join(checkpoint_parts(checkpoint_value(content, classes), classes))
    return _agree(said(again), said(content))


def _agree(one: Any, other: Any) -> bool:
    """Whether one checkpoint says all that another says; a field that the other leaves out is its default."""
    if isinstance(one, dict) and isinstance(other, dict):
        return other.keys() <= one.keys() and all(_agree(one[key], other[key]) for key in other)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_agree, one, other))
    return bool(one == other)


def said(content: bytes) -> Any:
    """Return what a checkpoint says, arrays in their places: one may be stored for several."""
    start = START + int.from_bytes(content[len(MAGIC) : START], "little")
    header = json.loads(content[START:start])
    arrays = []
    for dtype, shape in header["arrays"]:
        stop = start + np.dtype(dtype).itemsize * int(np.prod(shape))
        arrays.append([dtype, shape, content[start:stop]])
        start = stop

    def resolved(tree: Any) -> Any:
        if isinstance(tree, list):
            return [resolved(item) for item in tree]
        if isinstance(tree, dict):
            return arrays[tree["$array"]] if "$array" in tree else {key: resolved(item) for key, item in tree.items()}
        return tree

    return resolved(header["tree"])


def run(cases: range, folder: Path) -> dict[str, Any]:
    """Go on from what each case makes of a checkpoint or of its sample, and return what came of it."""
    for name, seed in (("fuzzed", 0), ("other", 1)):
        keep(folder / name, seed)
    # One file is to be read, and not the one before it.
    (folder / "fuzzed.previous").unlink()
    contents = {
        as_sample: [(folder / (name + ".sample" * as_sample)).read_bytes() for name in ("fuzzed", "other")]
        for as_sample in (False, True)
    }
    go_on(folder / "fuzzed")
    guard, counts, problems, most = Guard(), Counter[str](), [], 0
    for case in (*range(20), *cases):  # what reading imports on its first call is imported in the first ones
        as_sample = case % 5 == 4
        kind, content = fuzzed(*contents[as_sample], case)
        outcome, grown = outcome_of(folder, guard, kind, content, as_sample)
        if case not in cases:
            continue
        most = max(most, grown)
        counts[outcome if outcome in ("refused", "loaded") else "wrong"] += 1
        if outcome not in ("refused", "loaded"):
            problems.append(f"case {case} ({kind}{', sample' * as_sample}): {outcome}")
    return {"refused": 0, "loaded": 0, **counts, "most_bytes": most, "problems": problems[:MOST_PROBLEMS]}


if __name__ == "__main__":
    first, last, folder = sys.argv[1:]
    json.dump(run(range(int(first), int(last)), Path(folder)), sys.stdout)
