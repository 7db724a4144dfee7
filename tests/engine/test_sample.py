from __future__ import annotations

from itertools import pairwise

import dask
import dask.array as da
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from scipy.stats import chi2

from daskgmm.engine.parts import parts_of_blocks
from daskgmm.engine.sample import FirstLook, first_look
from daskgmm.errors import InputDataError, InputTypeError, RowError
from tests.bad_blocks import BAD_BLOCKS
from tests.watched import WatchedArray, watched_computes

UNEVEN = (50, 0, 100, 250)


def numbered(n_rows, chunks=None):
    """Rows that are their own numbers."""
    values = np.arange(float(n_rows))[:, None]
    return da.from_array(values, chunks=(chunks or n_rows, 1))


def with_unknown_sizes(rows):
    return rows[rows[:, 0] > -np.inf]


def look_of(rows, weights, *, size, entropy, local=False):
    n_samples = None if np.isnan(rows.shape[0]) else rows.shape[0]
    parts = parts_of_blocks(rows, weights, local=local)
    return first_look(parts, n_samples=n_samples, n_features=rows.shape[1], size=size, entropy=entropy)


def drawn_numbers(look: FirstLook) -> np.ndarray:
    return look.rows[:, 0].astype(int)


def uniformity(counts, n_draws, size) -> float:
    """The chance of counts at least this uneven if each draw takes `size` positions without replacement, uniformly."""
    share = size / len(counts)
    statistic = ((counts - n_draws * share) ** 2).sum() / (n_draws * share * (1 - share))
    return chi2.sf(statistic * (len(counts) - 1) / len(counts), len(counts) - 1)


def test_all_rows_are_kept_in_their_order_when_there_is_room():
    look = look_of(numbered(30, 7), None, size=30, entropy=0)
    assert_array_equal(drawn_numbers(look), np.arange(30))
    assert look.is_complete
    assert look.weights is None
    assert (look.n_samples, look.n_present) == (30, 30)


@pytest.mark.parametrize("size", [1, 2, 50, 399])
@pytest.mark.parametrize("chunks", [UNEVEN, 400, 7])
def test_the_sample_has_exactly_the_size_asked_for(size, chunks):
    look = look_of(numbered(400, chunks), None, size=size, entropy=3)
    assert len(look.rows) == len(np.unique(look.rows)) == size
    assert not look.is_complete
    assert look.n_samples == 400


def test_a_small_sample_of_many_rows_has_exactly_the_size_asked_for():
    for entropy in range(20):
        assert len(look_of(numbered(20_000, 3_000), None, size=10, entropy=entropy).rows) == 10


def test_the_sample_is_in_the_order_of_the_data():
    numbers = drawn_numbers(look_of(numbered(400, UNEVEN), None, size=60, entropy=5))
    assert all(earlier < later for earlier, later in pairwise(numbers))


@pytest.mark.parametrize("unknown", [False, True], ids=["known sizes", "unknown sizes"])
def test_every_row_is_drawn_equally_often(unknown):
    rows, counts, n_draws, size = numbered(400, UNEVEN), np.zeros(400), 150, 40
    rows = with_unknown_sizes(rows) if unknown else rows
    with dask.config.set(scheduler="synchronous"):
        for entropy in range(n_draws):
            counts[drawn_numbers(look_of(rows, None, size=size, entropy=entropy))] += 1
    assert 1e-3 < uniformity(counts, n_draws, size) < 1 - 1e-3


def test_every_row_of_positive_weight_is_drawn_equally_often():
    weights = da.from_array(np.tile([1.0, 5.0], 200), chunks=(UNEVEN,))
    counts = np.zeros(400)
    with dask.config.set(scheduler="synchronous"):
        for entropy in range(150):
            counts[drawn_numbers(look_of(numbered(400, UNEVEN), weights, size=40, entropy=entropy))] += 1
    assert 1e-3 < uniformity(counts, 150, 40) < 1 - 1e-3


def test_blocks_draw_independently_of_each_other():
    # Were every block's generator the same, blocks of one size would draw rows at the same places.
    rows = numbered(400, 200)
    for entropy in range(5):
        numbers = drawn_numbers(look_of(rows, None, size=100, entropy=entropy))
        assert len(np.intersect1d(numbers[numbers < 200], numbers[numbers >= 200] - 200)) < 45


@pytest.mark.parametrize("num_workers", [1, 2, 4])
def test_the_sample_does_not_depend_on_threads(num_workers):
    with dask.config.set(scheduler="synchronous"):
        expected = look_of(numbered(400, 9), None, size=50, entropy=8)
    with dask.config.set(scheduler="threads", num_workers=num_workers):
        look = look_of(numbered(400, 9), None, size=50, entropy=8)
    assert_array_equal(look.rows, expected.rows)


def test_the_sample_does_not_depend_on_workers(client):
    look = look_of(numbered(400, 9), None, size=50, entropy=8)
    with dask.config.set(scheduler="synchronous"):
        expected = look_of(numbered(400, 9), None, size=50, entropy=8)
    assert_array_equal(look.rows, expected.rows)


def test_the_sample_does_not_depend_on_whether_sizes_are_known():
    known = look_of(numbered(4_000, 90), None, size=50, entropy=8)
    unknown = look_of(with_unknown_sizes(numbered(4_000, 90)), None, size=50, entropy=8)
    assert_array_equal(unknown.rows, known.rows)
    assert unknown.n_samples == 4_000


def test_another_seed_draws_another_sample():
    one, other = (look_of(numbered(400, 90), None, size=50, entropy=entropy) for entropy in (1, 2))
    assert not np.array_equal(one.rows, other.rows)


def test_rows_of_weight_zero_are_never_drawn():
    weights = np.tile([0.0, 2.0, 0.5, 0.0], 100)
    look = look_of(numbered(400, 30), da.from_array(weights, chunks=30), size=150, entropy=1)
    numbers = drawn_numbers(look)
    assert (weights[numbers] > 0).all()
    assert_array_equal(look.weights, weights[numbers])
    assert (look.n_samples, look.n_present) == (400, 200)
    assert len(numbers) == 150


def test_a_sample_of_all_rows_of_positive_weight_is_complete():
    look = look_of(numbered(40, 7), da.from_array(np.tile([0.0, 2.0], 20), chunks=7), size=20, entropy=1)
    assert look.is_complete
    assert_array_equal(drawn_numbers(look), np.arange(1, 40, 2))


def test_rows_of_weight_zero_may_hold_anything():
    values = np.arange(40.0)[:, None]
    values[::4] = np.nan
    weights = np.tile([0.0, 1.0, 1.0, 1.0], 10)
    look = look_of(da.from_array(values, chunks=(7, 1)), da.from_array(weights, chunks=7), size=40, entropy=1)
    assert look.n_present == 30


@pytest.mark.parametrize("dtype", [np.float32, np.int16, np.uint8, np.bool_, ">f8"])
def test_the_sample_is_in_native_float64(dtype):
    rows = numbered(20, 6).astype(dtype)
    look = look_of(rows, None, size=20, entropy=0)
    assert look.rows.dtype == np.float64
    assert look.rows.dtype.isnative
    assert_array_equal(look.rows, np.arange(20.0)[:, None].astype(dtype))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("row", [0, 17, 39])
def test_a_row_that_is_not_finite_is_named(bad, row):
    values = np.zeros((40, 2))
    values[row, 1] = bad
    with pytest.raises(RowError, match=rf"^row {row} \(row {row % 7} of block {row // 7}\): feature 1 is {bad}"):
        look_of(da.from_array(values, chunks=(7, 2)), None, size=5, entropy=0)


def test_finite_rows_whose_sum_overflows_are_counted():
    rows = da.full((40, 2), 1e308, chunks=(10, 2))
    assert look_of(rows, None, size=5, entropy=0).n_samples == 40


@pytest.mark.parametrize("bad", [-1.0, np.nan, np.inf])
def test_a_weight_that_is_not_one_is_named(bad):
    weights = np.ones(40)
    weights[17] = bad
    with pytest.raises(RowError, match=r"row 17 .*sample_weight"):
        look_of(numbered(40, 7), da.from_array(weights, chunks=7), size=5, entropy=0)


@pytest.mark.parametrize("as_block", BAD_BLOCKS.values(), ids=BAD_BLOCKS.keys())
def test_blocks_that_are_not_rows_of_numbers_are_refused(as_block):
    rows = numbered(20, 5).map_blocks(as_block, meta=np.empty((0, 0)))
    with pytest.raises((InputTypeError, InputDataError)):
        look_of(rows, None, size=5, entropy=0)


def test_the_first_look_is_one_compute_and_reads_each_block_once():
    watched = WatchedArray(np.zeros((100, 2)))
    with watched_computes() as computes:
        look_of(watched.as_dask(10), None, size=5, entropy=0)
    assert len(computes) == 1
    assert watched.n_reads == 10


def look_at(keys, size) -> FirstLook:
    keys = np.array(keys, dtype=float)
    return FirstLook(size, len(keys), len(keys), keys[:, None].copy(), None, keys)


KEYS = st.lists(st.integers(0, 10**6), max_size=12, unique=True)


@given(st.integers(1, 8), st.lists(KEYS, min_size=3, max_size=3))
def test_merging_keeps_the_smallest_keys_however_it_is_grouped(size, keys):
    one, two, three = (look_at(part, size).trimmed() for part in keys)
    left, right = one.merge(two).merge(three), one.merge(two.merge(three))
    smallest = np.sort(np.concatenate(keys))[:size]
    for look in (left, right):
        assert_array_equal(np.sort(look.keys)[:size], smallest)
        assert len(look.rows) == len(smallest)
        assert look.n_samples == sum(map(len, keys))
