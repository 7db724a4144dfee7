from __future__ import annotations

import mpmath
import numpy as np
import pytest
from numpy.testing import assert_array_equal

from daskgmm.kernels.fused.number_formats import FORMATS

numba = pytest.importorskip("numba")


@pytest.fixture(scope="module")
def apply():
    """(name of an elementary function, array) -> what it makes of the array."""
    from daskgmm.kernels.fused import elementary
    from daskgmm.kernels.fused.vectors import emitted

    def of(name, lanes):
        def emit(vectors, source, n_vectors, target):
            with vectors.loop(n_vectors) as loop:
                place = vectors.scaled(loop.index, lanes)
                vectors.store(getattr(elementary, name)(vectors, vectors.load(source, place)), target, place)

        instruction = emitted(emit)

        @numba.njit
        def run(source, target):
            instruction(source, source.size // lanes, target)

        return run

    def apply(name, values):
        lanes = FORMATS[values.dtype.name].lanes
        padded = np.resize(values, -(-len(values) // lanes) * lanes)
        result = np.empty_like(padded)
        of(name, lanes)(padded, result)
        return result[: len(values)]

    return apply


def assert_within_two_ulp(actual, function, values):
    exact = [function(mpmath.mpf(float(value))) for value in values]
    errors = [abs(mpmath.mpf(float(a)) - e) for a, e in zip(actual, exact, strict=True)]
    ulps = [np.spacing(values.dtype.type(abs(float(e)))) for e in exact]
    assert all(error <= 2 * float(ulp) for error, ulp in zip(errors, ulps, strict=True))


@pytest.mark.parametrize("dtype", FORMATS)
def test_powers_of_2_are_within_two_ulp_down_to_the_smallest_normal_responsibility(apply, dtype):
    smallest = -FORMATS[dtype].smallest_log_share
    values = np.concatenate(
        [-np.linspace(0.0, smallest, 1001), -np.logspace(-18, 0, 200), -np.arange(0, smallest, 0.5)]
    )
    assert_within_two_ulp(apply("exp2", values.astype(dtype)), lambda x: mpmath.power(2, x), values.astype(dtype))


@pytest.mark.parametrize("dtype", FORMATS)
def test_logarithms_to_base_2_are_within_two_ulp(apply, dtype):
    values = np.concatenate([np.linspace(1.0, 3.0, 1001), np.logspace(0, 24, 500), 1.0 + np.logspace(-16, -1, 200)])
    assert_within_two_ulp(apply("log2", values.astype(dtype)), lambda x: mpmath.log(x, 2), values.astype(dtype))


@pytest.mark.parametrize("dtype", FORMATS)
@pytest.mark.parametrize("name", ["exp2", "log2"])
def test_nan_stays_nan(apply, name, dtype):
    assert_array_equal(apply(name, np.array([np.nan, -np.nan, np.nan], dtype)), np.nan)


@pytest.mark.parametrize("dtype", FORMATS)
@pytest.mark.parametrize(("name", "value"), [("exp2", 0.0), ("log2", 1.0)])
def test_exact_values_are_exact(apply, name, value, dtype):
    assert_array_equal(apply(name, np.array([value], dtype)), 1.0 - value)
