"""Files from strangers: each is refused with a clear error or read exactly, in little memory, and runs nothing."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.faults.archive_formats import FORMATS
from tests.faults.guard import MOST_BYTES

ROOT = Path(__file__).parents[2]
EACH_FORMAT = pytest.mark.parametrize("name", FORMATS)


def read_fuzzed(name: str, cases: range, folder: Path) -> dict:
    """Read damaged and forged files in a process that may take little memory and is watched."""
    command = [sys.executable, "-m", "tests.faults.fuzz_archives", name, cases.start, cases.stop, folder]
    ended = subprocess.run(list(map(str, command)), cwd=ROOT, capture_output=True, text=True, timeout=110, check=False)
    assert ended.returncode == 0, ended.stderr[-2000:]
    return json.loads(ended.stdout)


def check(outcome: dict, n_cases: int) -> None:
    assert outcome["problems"] == []
    assert outcome["refused"] + outcome["loaded"] == n_cases
    # If the cases were all alike, nothing would have been tried.
    assert outcome["refused"] > n_cases / 2
    assert outcome["loaded"] > n_cases / 20
    assert outcome["most_bytes"] < MOST_BYTES


@EACH_FORMAT
def test_damaged_and_forged_files_are_refused_or_read_exactly(name, tmp_path):
    check(read_fuzzed(name, range(300), tmp_path), 300)


@pytest.mark.fault
@EACH_FORMAT
@pytest.mark.parametrize("start", range(300, 10_000, 3300))
def test_thousands_of_damaged_and_forged_files_are_refused_or_read_exactly(name, start, tmp_path):
    cases = range(start, min(start + 3300, 10_000))
    check(read_fuzzed(name, cases, tmp_path), len(cases))


@EACH_FORMAT
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=3000))
def test_arbitrary_bytes_are_refused(name, tmp_path, content):
    (tmp_path / "fuzzed").write_bytes(content)
    with pytest.raises(FORMATS[name].refusals, match="fuzzed"):
        FORMATS[name].read(tmp_path / "fuzzed")
