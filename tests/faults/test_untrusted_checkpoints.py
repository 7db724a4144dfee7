"""Checkpoints from strangers: each is refused with a clear error or read exactly, in little memory; nothing is run."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.guard import MOST_BYTES

ROOT = Path(__file__).parents[2]


def check(cases: range, folder: Path) -> None:
    """Go on from damaged and forged checkpoints in a process that may take little memory and is watched."""
    command = [sys.executable, "-m", "tests.faults.fuzz_checkpoints", str(cases.start), str(cases.stop), str(folder)]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=110, check=False)
    assert ended.returncode == 0, ended.stderr[-2000:]
    outcome = json.loads(ended.stdout)
    assert outcome["problems"] == []
    assert outcome["refused"] + outcome["loaded"] == len(cases)
    # If the cases were all alike, nothing would have been tried.
    assert outcome["refused"] > len(cases) / 2
    # Of many cases one in 14 is loaded.
    assert outcome["loaded"] > len(cases) / 30
    assert outcome["most_bytes"] < MOST_BYTES


def test_damaged_and_forged_checkpoints_are_refused_or_read_exactly(tmp_path):
    check(range(20, 170), tmp_path)


@pytest.mark.fault
@pytest.mark.parametrize("start", range(320, 10_320, 2500))
def test_thousands_of_damaged_and_forged_checkpoints_are_refused_or_read_exactly(start, tmp_path):
    check(range(start, start + 2500), tmp_path)
