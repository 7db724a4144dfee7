from __future__ import annotations

import numpy as np
import pytest

from daskgmm.errors import InputDataError, RowError
from daskgmm.mixture.rows import bad_row, checked_rows, checked_weights, tile_rows


def test_good_rows_pass_without_a_copy():
    rows = np.zeros((4, 3), dtype="f4")
    assert checked_rows(rows, 3) is rows


@pytest.mark.parametrize(("n_components", "n_features"), [(1, 1), (3, 3), (256, 64), (1000, 1000)])
def test_a_tile_has_a_useful_number_of_rows(n_components, n_features):
    assert 16 <= tile_rows(n_components, n_features) <= 4096


@pytest.mark.parametrize("value", [-1.0, np.nan, np.inf])
def test_the_first_wrong_weight_is_named(value):
    with pytest.raises(RowError, match=f"sample_weight is {value:g}") as caught:
        checked_weights(np.array([1.0, 0.0, value, value]), 4)
    assert caught.value.row == 2


@pytest.mark.parametrize("weights", [np.ones(3), np.ones((4, 1)), 1.0])
def test_weights_of_another_shape_are_refused(weights):
    with pytest.raises(InputDataError, match=r"expected shape \(4,\)"):
        checked_weights(weights, 4)


def test_blame_falls_on_the_first_row_that_is_not_finite():
    rows = np.zeros((5, 2))
    rows[3, 1], rows[4, 0] = np.inf, np.nan
    assert bad_row(rows, None).row == 3
    assert bad_row(rows, np.array([True, True, True, False, True])).row == 4


def test_blame_falls_on_the_largest_row_when_all_are_finite():
    rows = np.zeros((5, 2))
    rows[2, 0], rows[4, 1] = -1e200, 1e250
    error = bad_row(rows, np.array([True, True, True, True, False]))
    assert error.row == 2
    assert "Scale the features" in str(error)
