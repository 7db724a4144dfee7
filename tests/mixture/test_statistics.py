from __future__ import annotations

from functools import reduce

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from daskgmm.errors import ParameterError
from daskgmm.kernels.blas import e_step
from daskgmm.mixture.parameters import MixtureParameters
from daskgmm.mixture.statistics import SufficientStatistics
from tests import reference
from tests.strategies import mixtures_with_rows, numbers, partitions


def assert_same(actual: SufficientStatistics, expected: SufficientStatistics) -> None:
    """Equal up to the rounding of sums of a few dozen terms below 1e4."""
    assert actual.covariance_type == expected.covariance_type
    assert actual.n_samples == expected.n_samples
    assert_array_equal(actual.reference, expected.reference)
    for name in ("weight", "log_likelihood", "counts", "first", "second"):
        assert_allclose(getattr(actual, name), getattr(expected, name), rtol=1e-11, atol=1e-9, err_msg=name)


def of_blocks(blocks: list[np.ndarray], parameters: MixtureParameters) -> list[SufficientStatistics]:
    return [e_step(block, None, parameters) for block in blocks]


def compact_second(second: np.ndarray, covariance_type: str) -> np.ndarray:
    """Second moments (K, D, D) as the package shapes them."""
    if covariance_type == "full":
        return second
    if covariance_type == "tied":
        return second.sum(axis=0)
    diagonals = np.diagonal(second, axis1=1, axis2=2)
    return diagonals if covariance_type == "diag" else diagonals.sum(axis=1)


@given(mixtures_with_rows())
def test_zero_is_neutral(case):
    parameters, rows = case
    statistics, zero = e_step(rows, None, parameters), SufficientStatistics.zero(parameters)
    assert_same(statistics.merge(zero), statistics)
    assert_same(zero.merge(statistics), statistics)


@given(mixtures_with_rows(), st.data())
def test_merge_is_commutative(case, data):
    parameters, rows = case
    cut = data.draw(st.integers(0, len(rows)))
    first, second = of_blocks([rows[:cut], rows[cut:]], parameters)
    assert_same(first.merge(second), second.merge(first))


@given(mixtures_with_rows(), st.data())
def test_merge_is_associative(case, data):
    parameters, rows = case
    low, high = sorted(data.draw(st.tuples(st.integers(0, len(rows)), st.integers(0, len(rows)))))
    one, two, three = of_blocks([rows[:low], rows[low:high], rows[high:]], parameters)
    assert_same(one.merge(two).merge(three), one.merge(two.merge(three)))


@given(mixtures_with_rows(), st.data())
def test_statistics_do_not_depend_on_how_rows_are_cut(case, data):
    parameters, rows = case
    blocks = [rows[span] for span in data.draw(partitions(len(rows)))]
    merged = reduce(SufficientStatistics.merge, of_blocks(blocks, parameters), SufficientStatistics.zero(parameters))
    assert_same(merged, e_step(rows, None, parameters))


@given(mixtures_with_rows(), st.data())
def test_about_translates_to_the_moments_taken_there(case, data):
    parameters, rows = case
    points = parameters.means + data.draw(numbers(-5.0, 5.0))
    moved = e_step(rows, None, parameters).about(points)
    mixture = reference.mixture(
        parameters.weights, parameters.means, parameters.covariances, parameters.covariance_type
    )
    counts, first, second = reference.moments(rows, mixture, points)
    assert_allclose(moved.counts, counts.astype(float), rtol=1e-11, atol=1e-10)
    assert_allclose(moved.first, first.astype(float), rtol=1e-11, atol=1e-9)
    assert_allclose(
        moved.second, compact_second(second, parameters.covariance_type).astype(float), rtol=1e-11, atol=1e-8
    )


@given(mixtures_with_rows())
def test_about_and_back_is_the_same(case):
    parameters, rows = case
    statistics = e_step(rows, None, parameters)
    assert_same(statistics.about(parameters.means + 2.0).about(parameters.means), statistics)


@given(mixtures_with_rows(), st.data())
def test_weight_two_is_the_row_twice(case, data):
    parameters, rows = case
    twice = np.array(data.draw(st.lists(st.booleans(), min_size=len(rows), max_size=len(rows))), dtype=bool)
    weighted = e_step(rows, np.where(twice, 2.0, 1.0), parameters)
    repeated = e_step(np.concatenate([rows, rows[twice]]), None, parameters)
    assert weighted.n_samples == len(rows)
    for name in ("weight", "log_likelihood", "counts", "first", "second"):
        assert_allclose(getattr(weighted, name), getattr(repeated, name), rtol=1e-11, atol=1e-9, err_msg=name)


@given(mixtures_with_rows(), st.data())
def test_weight_zero_is_absence(case, data):
    parameters, rows = case
    absent = np.array(data.draw(st.lists(st.booleans(), min_size=len(rows), max_size=len(rows))), dtype=bool)
    weighted = e_step(rows, np.where(absent, 0.0, 1.0), parameters)
    present = e_step(rows[~absent], None, parameters)
    for name in ("weight", "log_likelihood", "counts", "first", "second"):
        assert_allclose(getattr(weighted, name), getattr(present, name), rtol=1e-11, atol=1e-9, err_msg=name)


def test_lower_bound_is_the_mean_log_density(drawn):
    parameters = MixtureParameters.from_covariances(
        weights=drawn.weights, means=drawn.means, covariances=drawn.covariances, covariance_type=drawn.covariance_type
    )
    mixture = reference.mixture(drawn.weights, drawn.means, drawn.covariances, drawn.covariance_type)
    weights = np.linspace(0.0, 2.0, len(drawn.rows))
    statistics = e_step(drawn.rows, weights, parameters)
    assert_allclose(statistics.lower_bound, float(reference.lower_bound(drawn.rows, mixture, weights)), rtol=1e-13)


def test_merge_refuses_moments_about_other_points(drawn):
    parameters = MixtureParameters.from_covariances(
        weights=drawn.weights, means=drawn.means, covariances=drawn.covariances, covariance_type=drawn.covariance_type
    )
    zero = SufficientStatistics.zero(parameters)
    with pytest.raises(ParameterError, match=r"Call other\.about\(self\.reference\) first"):
        zero.merge(zero.about(parameters.means + 1.0))


def test_about_refuses_points_of_another_shape(drawn):
    parameters = MixtureParameters.from_covariances(
        weights=drawn.weights, means=drawn.means, covariances=drawn.covariances, covariance_type=drawn.covariance_type
    )
    with pytest.raises(ParameterError, match=r"expected shape \(3, 3\); got shape \(2, 3\)"):
        SufficientStatistics.zero(parameters).about(parameters.means[:2])
