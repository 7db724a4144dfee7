from __future__ import annotations

import mpmath
import numpy as np
import pytest
from numpy.testing import assert_array_equal

numba = pytest.importorskip("numba")


@pytest.fixture(scope="module")
def apply():
    """(name of a method of Vectors, array) -> what it makes of the array."""
    from daskgmm.kernels.fused.vectors import LANES, emitted

    def of(name):
        def emit(vectors, source, n_vectors, target):
            with vectors.loop(n_vectors) as loop:
                place = vectors.scaled(loop.index, LANES)
                vectors.store(getattr(vectors, name)(vectors.load(source, place)), target, place)

        instruction = emitted(emit)

        @numba.njit
        def run(source, target):
            instruction(source, source.size // LANES, target)

        return run

    def apply(name, values):
        padded = np.resize(values, -(-len(values) // LANES) * LANES)
        result = np.empty_like(padded)
        of(name)(padded, result)
        return result[: len(values)]

    return apply


def assert_within_two_ulp(actual, function, values):
    exact = [function(mpmath.mpf(float(value))) for value in values]
    errors = [abs(mpmath.mpf(float(a)) - e) for a, e in zip(actual, exact, strict=True)]
    assert all(error <= 2 * np.spacing(abs(float(e))) for error, e in zip(errors, exact, strict=True))


def test_exp_is_within_two_ulp(apply):
    values = np.concatenate([-np.linspace(0.0, 100.0, 1001), -np.logspace(-18, 0, 200), np.log(2.0) * -np.arange(144)])
    assert_within_two_ulp(apply("exp", values), mpmath.exp, values)


def test_log_is_within_two_ulp(apply):
    values = np.concatenate([np.linspace(1.0, 3.0, 1001), np.logspace(0, 6, 500), 1.0 + np.logspace(-16, -1, 200)])
    assert_within_two_ulp(apply("log", values), mpmath.log, values)


@pytest.mark.parametrize("name", ["exp", "log"])
def test_nan_stays_nan(apply, name):
    assert_array_equal(apply(name, np.array([np.nan, -np.nan, np.nan])), np.nan)


@pytest.mark.parametrize(("name", "value"), [("exp", 0.0), ("log", 1.0)])
def test_exact_values_are_exact(apply, name, value):
    assert_array_equal(apply(name, np.array([value])), 1.0 - value)
