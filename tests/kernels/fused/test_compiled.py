from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("numba")

PASS = """
import numpy as np
from daskgmm.kernels.fused import e_step
from daskgmm.mixture.parameters import MixtureParameters
parameters = MixtureParameters.from_covariances(
    weights=[0.5, 0.5], means=[[0.0], [1.0]], covariances=[[[1.0]], [[2.0]]], covariance_type="full"
)
statistics = e_step(np.arange(9.0).reshape(9, 1), None, parameters)
from daskgmm.kernels.fused.loops import accumulate
hits = sum(accumulate.stats.cache_hits.values())
print(hits, statistics.log_likelihood.hex(), statistics.second.tobytes().hex())
"""


def start(cache: Path | str) -> subprocess.Popen[str]:
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(cache)}
    return subprocess.Popen([sys.executable, "-c", PASS], env=environment, stdout=subprocess.PIPE, text=True)


def outcome(process: subprocess.Popen[str]) -> tuple[bool, str]:
    """Whether the process loaded the compiled function, and the bits that it computed."""
    printed, _ = process.communicate(timeout=100)
    assert process.returncode == 0
    hits, bits = printed.split(maxsplit=1)
    return hits != "0", bits


def test_processes_that_share_a_cache_compile_once_and_agree(tmp_path):
    together = [outcome(process) for process in (start(tmp_path), start(tmp_path))]
    for path in tmp_path.rglob("*"):
        path.chmod(0o555 if path.is_dir() else 0o444)  # for all but the superuser
    try:
        later = outcome(start(tmp_path))
    finally:
        for path in tmp_path.rglob("*"):
            path.chmod(0o755)
    assert later[0] or os.geteuid() != 0
    assert {bits for _, bits in [*together, later]} == {later[1]}


def test_a_cache_folder_that_cannot_be_made_is_no_obstacle(tmp_path):
    (tmp_path / "file").write_text("")
    outcome(start(tmp_path / "file" / "cache"))


@pytest.mark.parametrize("obstacle", ["no place for a cache", "a full disk", "a torn file"])
def test_functions_that_cannot_be_cached_are_compiled_for_the_process(monkeypatch, obstacle):
    from numba.core import caching

    from daskgmm.kernels.fused.compiled import compiled_for

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

    def twice(number):
        return 2 * number

    assert compiled_for("int64(int64)")(twice)(21) == 42
