"""What the tests of all formulations share."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose

from daskgmm.kernels.moments import Moments


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
