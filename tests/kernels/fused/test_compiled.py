from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from daskgmm.kernels.fused.compiled import compiled_for

pytest.importorskip("numba")

PASS = """
import numpy as np
from daskgmm.kernels.fused import e_step
from daskgmm.mixture.parameters import MixtureParameters
parameters = MixtureParameters.from_covariances(
    weights=[0.5, 0.5], means=[[0.0], [1.0]], covariances=[[[1.0]], [[2.0]]], covariance_type="full"
)
statistics = e_step(np.arange(9, dtype={dtype!r}).reshape(9, 1), None, parameters)
from daskgmm.kernels.fused.loops import accumulate
hits = sum(accumulate({dtype!r}).stats.cache_hits.values())
print(hits, statistics.log_likelihood.hex(), statistics.second.tobytes().hex())
"""


def start(cache: Path | str, dtype: str = "float64") -> subprocess.Popen[str]:
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(cache)}
    return subprocess.Popen(
        [sys.executable, "-c", PASS.format(dtype=dtype)], env=environment, stdout=subprocess.PIPE, text=True
    )


def outcome(process: subprocess.Popen[str]) -> tuple[bool, str]:
    """Whether the process loaded the compiled function, and the bits that it computed."""
    printed, _ = process.communicate(timeout=100)
    assert process.returncode == 0
    hits, bits = printed.split(maxsplit=1)
    return hits != "0", bits


# It compiles everything three times over.
@pytest.mark.slow
def test_processes_that_share_a_cache_compile_once_and_agree(tmp_path):
    dtypes = ("float64", "float32")
    together = [
        (dtype, outcome(process)[1]) for dtype, process in [(dtype, start(tmp_path, dtype)) for dtype in dtypes]
    ]
    for path in tmp_path.rglob("*"):
        path.chmod(0o555 if path.is_dir() else 0o444)  # for all but the superuser
    try:
        later = {dtype: outcome(process) for dtype, process in [(dtype, start(tmp_path, dtype)) for dtype in dtypes]}
    finally:
        for path in tmp_path.rglob("*"):
            path.chmod(0o755)
    assert all(hit for hit, _ in later.values())
    assert together == [(dtype, bits) for dtype, (_, bits) in later.items()]


def test_a_cache_folder_that_cannot_be_made_is_no_obstacle(tmp_path):
    (tmp_path / "file").write_text("")
    outcome(start(tmp_path / "file" / "cache"))


@pytest.mark.parametrize("obstacle", ["no place for a cache", "a full disk", "a torn file"])
def test_functions_that_cannot_be_cached_are_compiled_for_the_process(monkeypatch, obstacle):
    from numba.core import caching

    def full(*_arguments):
        raise OSError(28, "No space left on device")

    def torn(*_arguments):
        raise EOFError("Ran out of input")

    if obstacle == "no place for a cache":
        monkeypatch.setattr(caching.CompileResultCacheImpl, "_locator_classes", [])
    elif obstacle == "a full disk":
        monkeypatch.setattr(caching.IndexDataCacheFile, "save", full)
    else:
        monkeypatch.setattr(caching.IndexDataCacheFile, "load", torn)

    def twice(values):
        values *= 2

    values = np.arange(3, dtype="f4")
    compiled_for("void({values})")(twice)("float32")(values)
    assert_array_equal(values, [0, 2, 4])


def test_threads_that_ask_at_once_compile_once():
    def nothing(values):
        pass

    asked = compiled_for("void({values})")(nothing)
    with ThreadPoolExecutor(4) as pool:
        assert len({id(function) for function in pool.map(asked, ["float64"] * 4)}) == 1
    assert asked("float32") is not asked("float64")
