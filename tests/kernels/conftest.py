"""What the tests of all formulations share."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose

from daskgmm.kernels import pruned
from daskgmm.kernels.fused import pruned as fused_pruned
from daskgmm.kernels.moments import Moments
from daskgmm.kernels.pruned import by_owner


def always_prune(monkeypatch) -> None:
    """Let kernels leave components out however few there are and however near they lie."""
    monkeypatch.setattr(pruned, "FEWEST_COMPONENTS", 0)
    monkeypatch.setattr(pruned, "LEAST_WORK", 0)
    monkeypatch.setattr(pruned, "FEWEST_ROWS_A_COMPONENT", 0)
    monkeypatch.setattr(pruned, "MOST_STRAYS", 1.0)
    for module in (by_owner, fused_pruned):
        monkeypatch.setattr(module, "MOST_NEAR", 1.0)
        monkeypatch.setattr(module, "MOST_KEPT", 1.0)


@pytest.fixture
def assert_close():
    """A function that compares moments, to a fraction of the largest entry of each component."""

    def compare(actual: Moments, expected: Moments, *, rtol: float) -> None:
        assert_allclose(actual.log_likelihood, expected.log_likelihood, rtol=rtol)
        for name in ("counts", "first", "second"):
            value = getattr(expected, name)
            # First moments about the means nearly cancel: their scale is that of a standard deviation a row.
            scale = np.abs(expected.counts).max() if name == "first" else np.abs(value).max(initial=0.0)
            assert_allclose(getattr(actual, name), value, rtol=rtol, atol=rtol * scale, err_msg=name)

    return compare
