"""`python -m tests.faults.fuzz_archives FORMAT FIRST LAST FOLDER`: read damaged and forged files in a guarded process.

Prints one JSON object: how many files were refused and loaded, and what went wrong. Memory is limited, and what the
process does while it reads is watched; see `guard`.
"""

from __future__ import annotations

import json
import sys
import traceback
from collections import Counter
from pathlib import Path
from typing import Any

from tests.faults.archive_formats import FORMATS, ArchiveFormat
from tests.faults.fuzzed_archives import Fuzzed, fuzzed_archive
from tests.faults.guard import MOST_BYTES, Guard

MOST_PROBLEMS = 20


def run(kind: ArchiveFormat, cases: range, folder: Path) -> dict[str, Any]:
    """Read the files of all cases, and return what came of it."""
    files = [folder / name for name in ("sound", "other")]
    for seed, file in enumerate(files):
        kind.write(file, seed)
        kind.read(file)
    sound, other = (file.read_bytes() for file in files)
    guard, counts, problems = Guard(), Counter[str](), []
    for case in range(30):  # what reading imports on its first call is imported then
        _outcome(kind, fuzzed_archive(sound, other, header=kind.header, case=case), folder, guard, sound, other)
    most = 0
    for case in cases:
        fuzzed = fuzzed_archive(sound, other, header=kind.header, case=case)
        outcome, grown = _outcome(kind, fuzzed, folder, guard, sound, other)
        most = max(most, grown)
        counts[outcome if outcome in ("refused", "loaded") else "wrong"] += 1
        if outcome not in ("refused", "loaded"):
            problems.append(f"case {case} ({fuzzed.kind}): {outcome}")
    return {**counts, "most_bytes": most, "problems": problems[:MOST_PROBLEMS]}


def _outcome(
    kind: ArchiveFormat, fuzzed: Fuzzed, folder: Path, guard: Guard, sound: bytes, other: bytes
) -> tuple[str, int]:
    """Return "refused", "loaded" or what went wrong, and how much memory the reading took."""
    path = folder / "fuzzed"
    path.write_bytes(fuzzed.content)
    outcome = guard.call(lambda: kind.read(path))
    grown = outcome.grown
    if outcome.forbidden:
        return f"did {outcome.forbidden[0]}", grown
    if grown > MOST_BYTES:
        return f"took {grown:,} bytes", grown
    if outcome.error is not None:
        return _refusal(kind, outcome.error), grown
    kind.write_again(outcome.value, folder / "again")
    again = kind.members((folder / "again").read_bytes())
    said = [fuzzed.content] if fuzzed.is_forged else [sound, other]
    if not any(_agree(again, kind.members(content)) for content in said):
        return "loaded something else than the file says", grown
    return "loaded", grown


def _agree(one: Any, other: Any) -> bool:
    """Whether two files say the same where both say something: a setting that is left out is its default."""
    if isinstance(one, dict) and isinstance(other, dict):
        return all(_agree(one[key], other[key]) for key in one.keys() & other.keys())
    return one == other and isinstance(one, bool) == isinstance(other, bool)


def _refusal(kind: ArchiveFormat, error: BaseException) -> str:
    """Return "refused", or what is wrong with how a file was refused."""
    if not isinstance(error, kind.refusals):
        return "".join(traceback.format_exception(error)[-3:])
    if isinstance(error.__cause__, MemoryError):
        return f"asked for more memory than there is before it was refused: {error}"
    if len(str(error)) > 2000 or "fuzzed" not in str(error):
        return f"refused without the file's name, or with too many words: {str(error)[:200]}"
    return "refused"


if __name__ == "__main__":
    name, first, last, folder = sys.argv[1:]
    json.dump(run(FORMATS[name], range(int(first), int(last)), Path(folder)), sys.stdout)
