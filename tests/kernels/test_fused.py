from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from numpy.testing import assert_allclose, assert_array_equal

from daskgmm.kernels.centred import centred_moments
from daskgmm.kernels.fused import (
    _exact_in_float32,
    _products_win,
    e_step,
    formulations,
    is_available,
    share_of_near_pairs,
)
from daskgmm.kernels.fused.formulations import TILE_ROWS
from daskgmm.kernels.per_row import responsibilities
from daskgmm.kernels.quadratic_form import lost_digits_ratio
from daskgmm.mixture.parameters import MixtureParameters
from daskgmm.mixture.statistics import SufficientStatistics
from tests.benchmarks.iterations import draw_mixture
from tests.drawn import draw
from tests.kernels.test_blas import assert_is_the_references, assert_same_bits, parameters_of
from tests.kernels.test_block import LAYOUTS
from tests.strategies import mixtures_with_rows, numbers

pytest.importorskip("numba")

MOMENTS = ("log_likelihood", "counts", "first", "second")


def assert_near(actual: SufficientStatistics, expected, *, rtol=1e-12, atol=0.0):
    """Equal to `rtol` of the largest element: moments of either sign may cancel to nearly zero."""
    for name in MOMENTS:
        value = np.asarray(getattr(expected, name))
        scale = np.abs(value).max(initial=0.0)
        assert_allclose(getattr(actual, name), value, rtol=rtol, atol=rtol * scale + atol, err_msg=name)


def test_numba_is_found():
    assert is_available()


def unit_mixture(n_features: int, distances: list[float], covariance_type: str = "full") -> MixtureParameters:
    """Components of unit variance at these places along the first feature."""
    n_components = len(distances)
    unit = np.eye(n_features) if covariance_type in ("full", "tied") else np.ones(n_features)
    means = np.zeros((n_components, n_features))
    means[:, 0] = distances
    if covariance_type == "spherical":
        unit = np.array(1.0)
    return MixtureParameters.from_covariances(
        weights=np.full(n_components, 1 / n_components),
        means=means,
        covariances=unit if covariance_type == "tied" else np.stack([unit] * n_components),
        covariance_type=covariance_type,
    )


def test_pairs_are_near_when_a_row_at_one_mean_counts_for_the_other():
    assert share_of_near_pairs(unit_mixture(16, [0.0, 9.0])) == 1.0
    assert share_of_near_pairs(unit_mixture(16, [0.0, 10.0])) == 0.5  # each with itself
    assert share_of_near_pairs(unit_mixture(16, [0.0, 5.0, 40.0])) == pytest.approx(5 / 9)


def test_quadratic_features_are_taken_where_they_are_faster_and_exact():
    near, far, too_far = [0.0, 1.0], [0.0, 20.0, 40.0, 60.0], [-65.0, 65.0]
    assert not _products_win(unit_mixture(4, near))
    assert _products_win(unit_mixture(8, near))
    assert _products_win(unit_mixture(8, far))
    assert not _products_win(unit_mixture(8, too_far))
    assert _products_win(unit_mixture(16, near))
    assert not _products_win(unit_mixture(16, far))
    assert _products_win(unit_mixture(32, near))
    assert not _products_win(unit_mixture(32, far))
    assert not _products_win(unit_mixture(48, near))
    assert _products_win(unit_mixture(24, near, "tied"))
    assert _products_win(unit_mixture(24, near, "diag"))


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("n_rows", [0, 1, 7, 33, TILE_ROWS - 1, TILE_ROWS, TILE_ROWS + 1])
def test_statistics_are_the_references_at_the_edges_of_tiles(covariance_type, n_rows, weighted):
    drawn = draw(covariance_type, n_rows=n_rows, n_components=8, n_features=8)
    weights = np.linspace(0.0, 2.0, n_rows) if weighted else None
    parameters = parameters_of(drawn)
    assert_is_the_references(e_step(drawn.rows, weights, parameters), drawn.rows, weights, parameters)


@pytest.mark.parametrize("n_features", [1, 2, 3, 4, 5, 6, 7, 9, 13, 24])
def test_statistics_are_the_references_at_the_edges_of_blocks_of_features(covariance_type, n_features):
    drawn = draw(covariance_type, n_rows=70, n_components=4, n_features=n_features)
    parameters = parameters_of(drawn)
    assert_is_the_references(e_step(drawn.rows, None, parameters), drawn.rows, None, parameters)


@given(mixtures_with_rows())
def test_statistics_of_any_mixture_are_the_references(case):
    parameters, rows = case
    assert_is_the_references(e_step(rows, None, parameters), rows, None, parameters, rtol=1e-11, atol=1e-11)


@given(
    mixtures_with_rows(),
    st.sampled_from(["f8", "f4", "f2", "i4", "u1", "?"]),
    st.sampled_from(list(LAYOUTS.values())),
    st.data(),
)
def test_statistics_are_those_of_the_kernel_without_numba(case, dtype, layout, data):
    parameters, rows = case
    rows = np.abs(rows).astype(dtype).astype(np.float64)
    weights = data.draw(npst.arrays(float, len(rows), elements=st.just(0.0) | numbers(0.125, 4.0)), label="weights")
    expected = centred_moments(rows[weights > 0], weights[weights > 0], parameters)
    assert_near(e_step(layout(rows), weights, parameters), expected, rtol=1e-11, atol=1e-11)
    tolerance = 1e-5 if dtype == "f4" else 1e-11
    assert_near(e_step(rows.astype(dtype), weights, parameters), expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("spread", [0.1, 1.0, 3.0, 30.0], ids=lambda spread: f"means {spread:g} sigma apart")
@pytest.mark.parametrize(("n_features", "n_components"), [(3, 9), (13, 16), (19, 32)])
def test_leaving_out_responsibilities_next_to_zero_changes_no_digit(n_features, n_components, spread):
    drawn = draw("full", n_rows=2000, n_components=n_components, n_features=n_features, spread=spread)
    parameters = parameters_of(drawn)
    statistics = e_step(drawn.rows, None, parameters)
    assert_near(statistics, centred_moments(drawn.rows, None, parameters), rtol=1e-13)
    assert_allclose(statistics.counts.sum(), 2000, rtol=1e-14)


@pytest.mark.parametrize(("n_features", "n_components"), [(5, 1), (6, 2), (7, 3), (8, 4), (12, 7)])
@pytest.mark.parametrize("spread", [1.0, 20.0])
def test_quadratic_features_change_no_digit(covariance_type, n_features, n_components, spread):
    drawn = draw(covariance_type, n_rows=2000, n_components=n_components, n_features=n_features, spread=spread)
    parameters, weights = parameters_of(drawn), np.linspace(0.5, 2.0, 2000)
    slabs = [(drawn.rows, weights)]
    expected = centred_moments(drawn.rows, weights, parameters)
    assert_near(formulations.centred_moments(slabs, parameters), expected, rtol=1e-13)
    # Far beyond the ratio up to which this formulation is taken, rounding grows with it.
    lost = np.finfo(float).eps * lost_digits_ratio(parameters)
    assert_near(formulations.product_moments(slabs, parameters), expected, rtol=max(1e-12, lost))


def test_what_is_left_out_is_less_than_1e_20_of_a_row():
    means, rows = np.zeros((2, 48)), np.zeros((512, 48))
    means[1, 0] = np.sqrt(2 * 48.0)  # exp(-48) = 1.4e-21
    rows[:, 1] = 1.0
    parameters = MixtureParameters.from_covariances(
        weights=[0.5, 0.5], means=means, covariances=np.array([np.eye(48)] * 2), covariance_type="full"
    )
    statistics = e_step(rows, None, parameters)
    expected = centred_moments(rows, None, parameters)
    assert_array_equal(statistics.second[1], 0.0)
    assert_allclose(statistics.second[1], expected.second[1], atol=512 * 1e-20 * 2 * 48.0)
    assert_allclose(statistics.counts, expected.counts, rtol=1e-14)


@pytest.mark.parametrize("weight", [0.5, 1e-3, 1e-9, 1e-15])
@pytest.mark.parametrize("n_features", [24, 64])
def test_what_is_left_out_of_a_component_that_holds_little_changes_no_digit_of_it(weight, n_features):
    generator = np.random.default_rng(0)
    spread = np.stack([np.ones(n_features), np.linspace(0.5, 2.0, n_features)])
    parameters = MixtureParameters.from_covariances(
        weights=[1 - weight, weight],
        means=np.stack([np.zeros(n_features), np.full(n_features, 8 / n_features**0.5)]),
        covariances=spread[:, :, None] * np.eye(n_features),
        covariance_type="full",
    )
    rows = generator.normal(size=(3000, n_features))
    rows[: int(3000 * weight)] += parameters.means[1]
    generator.shuffle(rows)
    statistics, expected = e_step(rows, None, parameters), centred_moments(rows, None, parameters)
    shares = responsibilities(rows, parameters)[:, 1]
    # Responsibilities below 1e-20 are left out in any case.
    few, scale = 1e-20 * len(rows) * 4 * n_features, 1e-13 * np.abs(expected.second[1]).max()
    assert (shares < 1e-14 * shares.mean()).sum() > 10
    assert_allclose(statistics.first[1], expected.first[1], rtol=1e-13, atol=scale + few)
    assert_allclose(statistics.second[1], expected.second[1], rtol=1e-13, atol=scale + few)


@pytest.mark.parametrize("weights", [np.ones(300, dtype="f4"), np.ones(300, dtype=int), np.ones(600)[::2], [1] * 300])
def test_weights_of_one_change_no_bit(drawn, weights):
    parameters = parameters_of(drawn)
    assert_same_bits(e_step(drawn.rows, weights, parameters), e_step(drawn.rows, None, parameters))


def test_threads_at_once_give_the_bits_of_one():
    drawn = draw("full", n_rows=3000, n_components=8, n_features=8)
    parameters = parameters_of(drawn)
    expected = e_step(drawn.rows, None, parameters)
    with ThreadPoolExecutor(4) as pool:
        for statistics in pool.map(lambda _: e_step(drawn.rows, None, parameters), range(20)):
            assert_same_bits(statistics, expected)


def test_blocks_longer_than_a_slab_are_seen_whole():
    generator = np.random.default_rng(0)
    rows = generator.normal(size=(300_000, 1))
    parameters = MixtureParameters.from_covariances(
        weights=[1.0], means=[[0.0]], covariances=[[[1.0]]], covariance_type="full"
    )
    statistics = e_step(rows, None, parameters)
    assert_allclose(statistics.counts, 300_000, rtol=1e-15)
    assert_allclose(statistics.second[0, 0, 0], np.square(rows).sum(), rtol=1e-13)


def assert_in_float32(rows, parameters, weights=None) -> None:
    """Within float32's bound of the results of the same rows in float64, and not those."""
    narrow = e_step(rows.astype(np.float32), weights, parameters)
    wide = e_step(rows.astype(np.float32).astype(np.float64), weights, parameters)
    assert narrow.second.dtype == np.float64
    assert (narrow.second != wide.second).any()
    assert_near(narrow, wide, rtol=1e-5, atol=1e-5 * float(wide.weight))


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("n_rows", [1, 15, 17, 65, TILE_ROWS - 1, TILE_ROWS + 1, 2 * TILE_ROWS + 63])
@pytest.mark.parametrize("n_features", [1, 3, 4, 6, 13])
def test_float32_rows_are_computed_in_float32_within_its_bound(covariance_type, n_features, n_rows, weighted):
    rows, parameters = draw_mixture(covariance_type, n_rows=n_rows, n_components=5, n_features=n_features, spread=1.0)
    assert_in_float32(rows, parameters, np.linspace(0.5, 2.0, n_rows) if weighted else None)


@pytest.mark.parametrize("spread", [1.0, 3.0])
def test_float32_rows_of_many_features_are_computed_in_float32(spread):
    assert_in_float32(*draw_mixture("full", n_rows=2000, n_components=8, n_features=24, spread=spread))


def test_memory_layout_changes_no_bit_of_float32_rows(covariance_type):
    drawn = draw(covariance_type, n_features=6)
    parameters, rows = parameters_of(drawn), drawn.rows.astype(np.float32)
    expected = e_step(rows, None, parameters)
    for layout in (np.asfortranarray, lambda rows: rows.astype(">f4"), lambda rows: np.repeat(rows, 2, axis=1)[:, ::2]):
        assert_same_bits(e_step(layout(rows), None, parameters), expected)


def test_float32_is_taken_where_it_is_exact_enough_and_faster():
    features, deviations = formulations.product_moments, formulations.centred_moments
    near, far, too_far = [-1.0, 1.0], [-30.0, 30.0], [-1e3, 1e3]
    assert _exact_in_float32(features, unit_mixture(8, near)) is features
    assert _exact_in_float32(features, unit_mixture(8, far)) is deviations
    assert _exact_in_float32(features, unit_mixture(8, far, "diag")) is deviations
    assert _exact_in_float32(features, unit_mixture(8, far, "tied")) is None
    assert _exact_in_float32(deviations, unit_mixture(4, far)) is deviations
    assert _exact_in_float32(deviations, unit_mixture(4, too_far)) is None


@pytest.mark.parametrize("n_features", [4, 8])
def test_float32_rows_beyond_its_bound_are_computed_in_float64(n_features):
    parameters = unit_mixture(n_features, [-1e3, 1e3])
    rows = np.random.default_rng(0).normal(size=(500, n_features)).astype(np.float32)
    rows[::2, 0] += 1e3
    assert_same_bits(e_step(rows, None, parameters), e_step(rows.astype(np.float64), None, parameters))


@pytest.mark.parametrize("n_features", [4, 8])
@pytest.mark.parametrize("value", [1e20, -3e38])
def test_float32_rows_whose_squares_overflow_are_computed_in_float64(n_features, value):
    rows = np.zeros((100, n_features), np.float32)
    rows[50, 1] = value
    parameters = unit_mixture(n_features, [-1.0, 1.0])
    assert_same_bits(e_step(rows, None, parameters), e_step(rows.astype(np.float64), None, parameters))


@pytest.mark.parametrize("weight", [1e-40, 1e-8, 1e8, 1e300])
def test_weights_beyond_the_range_of_float32_are_kept(weight):
    drawn = draw("full", n_rows=100, n_features=6)
    rows, weights = drawn.rows.astype(np.float32), np.full(100, weight)
    statistics = e_step(rows, weights, parameters_of(drawn))
    assert_same_bits(statistics, e_step(rows.astype(np.float64), weights, parameters_of(drawn)))
    assert_allclose(statistics.counts.sum(), 100 * weight, rtol=1e-12)


def test_float32_rows_far_from_all_components_leave_no_denormal_numbers(covariance_type):
    near = unit_mixture(6, [0.0, 9.0, 12.0, 13.0, 14.0, 200.0], covariance_type)
    rows = np.random.default_rng(0).normal(scale=1e-3, size=(200, 6)).astype(np.float32)
    statistics = e_step(rows, np.linspace(1e-6, 1.0, 200), near)
    values = np.abs(np.concatenate([statistics.counts, statistics.first.ravel(), statistics.second.ravel()]))
    assert ((values == 0) | (values > np.finfo(np.float32).tiny)).all()
    assert (statistics.counts[2:] < 1e-20).all()
