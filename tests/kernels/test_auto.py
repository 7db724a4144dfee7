from __future__ import annotations

import pytest

from daskgmm.errors import ParameterError
from daskgmm.kernels import KERNELS, auto, choose_kernel, fused


@pytest.mark.parametrize("compiled", [True, False])
def test_the_compiled_kernel_is_taken_where_it_is_installed(monkeypatch, drawn, compiled):
    monkeypatch.setattr(auto, "_fused_is_available", lambda: compiled)
    monkeypatch.setattr(auto, "fused_e_step", lambda rows, weights, parameters: "fused")
    monkeypatch.setattr(auto, "blas_e_step", lambda rows, weights, parameters: "blas")
    assert auto.e_step(drawn.rows, None, None) == ("fused" if compiled else "blas")


def test_asking_for_the_compiled_kernel_without_numba_says_what_to_install(monkeypatch):
    monkeypatch.setattr(fused, "is_available", lambda: False)
    with pytest.raises(ParameterError, match=r"daskgmm\[fast\]"):
        choose_kernel("fused")


@pytest.mark.parametrize("name", ["gpu", None, 3, ["blas"]])
def test_a_kernel_that_is_not_there_is_refused_with_those_that_are(name):
    with pytest.raises(ParameterError, match="expected one of auto, blas, fused"):
        choose_kernel(name)


def test_kernels_are_known_by_name():
    assert list(KERNELS) == ["auto", "blas", "fused"]
