from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from daskgmm.kernels.fused.layout import BLOCK, diagonal_moments, in_blocks, matrix_moments, n_sums


@pytest.mark.parametrize("n_features", [1, 3, 4, 5, 8, 11])
def test_every_moment_has_a_sum_of_its_own(n_features):
    sums = np.arange(float(n_sums(n_features, has_matrices=True)))[None]
    first, second = matrix_moments(sums, n_features)
    assert_array_equal(second, second.transpose(0, 2, 1))
    upper = second[0][np.triu_indices(n_features)]
    assert len({*first[0], *upper}) == n_features + n_features * (n_features + 1) // 2


@pytest.mark.parametrize("n_features", [1, 4, 6])
def test_every_diagonal_moment_has_a_sum_of_its_own(n_features):
    sums = np.arange(float(n_sums(n_features, has_matrices=False)))[None]
    first, second = diagonal_moments(sums, n_features)
    assert first.shape == second.shape == (1, n_features)
    assert len({*first[0], *second[0]}) == 2 * n_features


@pytest.mark.parametrize("n_columns", [1, 4, 6, 8])
def test_columns_in_blocks_lie_side_by_side(n_columns):
    columns = 1.0 + np.arange(2 * 3 * n_columns).reshape(2, 3, n_columns)
    blocks = in_blocks(columns)
    assert blocks.shape == (2, -(-n_columns // BLOCK), 3, BLOCK)
    for column in range(n_columns):
        assert_array_equal(blocks[:, column // BLOCK, :, column % BLOCK], columns[:, :, column])
    assert np.count_nonzero(blocks) == columns.size
