from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from daskgmm.kernels.fused.layout import diagonal_moments, matrix_moments, n_sums


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
