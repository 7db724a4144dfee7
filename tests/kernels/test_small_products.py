from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose

from daskgmm.kernels.small_products import MOST_MULTIPLICATIONS, multiply, part_shape

SHAPES = [(1, 1, 1), (3, 6, 4000), (32, 153, 1000), (153, 1000, 32), (16, 2145, 120), (100, 153, 601), (5, 5000, 70)]


def operands(n_rows: int, n_inner: int, n_columns: int) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    return generator.normal(size=(n_rows, n_inner)), generator.normal(size=(n_inner, n_columns))


@pytest.mark.parametrize("shape", SHAPES)
def test_parts_are_small_where_any_are(shape):
    n_rows, n_inner, n_columns = shape
    height, width = part_shape(*shape)
    assert 1 <= height <= n_rows
    assert 1 <= width <= max(n_columns, 32)
    assert height * n_inner * width <= MOST_MULTIPLICATIONS or (height, width) == (n_rows, n_columns)


@pytest.mark.parametrize("part", [None, (1, 1), (8, 32), (7, 5), (1000, 1000)])
@pytest.mark.parametrize("shape", [(1, 1, 1), (17, 3, 70), (32, 153, 1000), (153, 1000, 32)])
def test_the_parts_make_up_the_product(shape, part):
    if part == (1, 1) and np.prod(shape) > 10_000:
        part = (16, 500)
    left, right = operands(*shape)
    out = np.full((len(left), right.shape[1]), np.nan)
    multiply(left, right, out=out, part=part)
    expected = np.einsum("ik,kj->ij", left, right)
    assert_allclose(out, expected, rtol=1e-12, atol=1e-12 * np.abs(expected).max())


def test_operands_may_be_parts_of_larger_arrays():
    left, right = operands(40, 9, 70)
    memory = np.full((40, 80), np.nan)
    multiply(left[:, 2:7], right[2:7, 3:64], out=memory[:, 5:66], part=(16, 32))
    assert_allclose(memory[:, 5:66], np.einsum("ik,kj->ij", left[:, 2:7], right[2:7, 3:64]), rtol=1e-12, atol=1e-12)
    assert np.isnan(memory[:, :5]).all()
    assert np.isnan(memory[:, 66:]).all()
