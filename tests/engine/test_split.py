from __future__ import annotations

import numpy as np
import pytest

from daskgmm.engine.split import NOTHING_HELD_OUT, RowSplit

ROWS = np.arange(2_000.0).reshape(1_000, 2)
WEIGHTS = np.arange(1_000.0)


def test_the_two_parts_are_disjoint_and_complete_and_weights_go_with_their_rows():
    split = RowSplit(0.1, entropy=3)
    (fitted, fitted_weights), (held_out, held_out_weights) = (
        part(ROWS, WEIGHTS, 4) for part in (split.fitted, split.held_out)
    )
    assert sorted([*fitted[:, 0], *held_out[:, 0]]) == list(ROWS[:, 0])
    assert 60 < len(held_out) < 140
    np.testing.assert_array_equal(fitted[:, 0], 2 * fitted_weights)
    np.testing.assert_array_equal(held_out[:, 0], 2 * held_out_weights)


def test_parts_are_the_same_at_every_pass_and_others_in_every_block_and_for_every_seed():
    drawn = [RowSplit(0.5, entropy).fitted(ROWS, None, block)[0] for entropy, block in ((1, 0), (1, 0), (1, 1), (2, 0))]
    np.testing.assert_array_equal(drawn[0], drawn[1])
    assert len({part.tobytes() for part in drawn}) == 3


@pytest.mark.parametrize("weights", [None, WEIGHTS])
def test_nothing_may_be_held_out(weights):
    fitted, fitted_weights = NOTHING_HELD_OUT.fitted(ROWS, weights, 0)
    assert fitted is ROWS
    assert fitted_weights is weights
    held_out, held_out_weights = NOTHING_HELD_OUT.held_out(ROWS, weights, 0)
    assert len(held_out) == 0
    assert (held_out_weights is None) == (weights is None)
    assert held_out_weights is None or len(held_out_weights) == 0
