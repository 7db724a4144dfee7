from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from daskgmm.errors import ParameterError
from daskgmm.mixture.distribution import RowDistribution, combined, row_distribution, row_tally
from daskgmm.mixture.score import LogLikelihood


def distribution_of(values, labels=None, weights=None, *, n_components=1) -> RowDistribution:
    labels = np.zeros(len(values), dtype=np.int64) if labels is None else labels
    return row_distribution(np.asarray(values, dtype=float), labels, weights, n_components=n_components)


def test_quantiles_of_many_rows_are_numpys(generator):
    values = generator.standard_t(3, size=30_000)
    kept = distribution_of(values)
    wanted = np.arange(1, 200) / 200
    # Between the two rows that NumPy interpolates between, or next to them.
    assert_allclose(kept.shares_below, wanted, atol=1 / 30_000)
    assert_allclose(kept.log_densities, np.quantile(values, wanted), atol=0.05)
    assert kept.n_rows == 30_000


def test_shares_below_are_exact_for_few_rows_and_for_repeated_ones(generator):
    for values in (generator.normal(size=50), generator.integers(0, 6, size=5000) * 0.1, np.array([1.0, 1.0, 2.0])):
        kept = distribution_of(values)
        assert_array_equal(kept.shares_below, [(values < one).mean() for one in kept.log_densities])
        assert len(kept.log_densities) == min(199, len(np.unique(values)) - 1)


def test_weights_are_numbers_of_rows(generator):
    values, labels = generator.normal(size=80), generator.integers(0, 3, size=80)
    weights = generator.integers(1, 4, size=80)
    one = distribution_of(values, labels, weights.astype(float), n_components=4)
    other = distribution_of(np.repeat(values, weights), np.repeat(labels, weights), n_components=4)
    assert_array_equal(one.log_densities, other.log_densities)
    assert_array_equal(one.shares_below, other.shares_below)
    assert_array_equal(one.component_shares, other.component_shares)
    assert one.component_shares[3] == 0


def test_rows_that_differ_by_rounding_are_not_told_apart():
    values = np.repeat([-1e5, -3.0, 0.0], 40) * (1 + 1e-14 * np.arange(120))
    kept = distribution_of(values)
    assert_allclose(kept.shares_below, [1 / 3, 2 / 3])


@pytest.mark.parametrize("value", [0.0, -1e290])
def test_rows_that_are_all_alike_have_no_quantiles(value):
    kept = distribution_of(np.full(9, value))
    assert kept.log_densities.shape == kept.shares_below.shape == (0,)


def test_the_lowest_log_densities_do_not_overflow():
    assert_allclose(distribution_of([-1e308, -1.7e308]).log_densities, [-1.35e308])


def test_weights_that_are_nothing_beside_others_are_no_quantiles():
    kept = distribution_of([0.0, 1.0, 2.0, 3.0], weights=np.array([1.0, 1e-300, 1.0, 1e-300]))
    assert_array_equal(kept.shares_below, [0.5])


@pytest.mark.parametrize("share", [0.5, 0.2])
def test_two_sets_of_rows_together_are_as_if_they_were_one(generator, share):
    rows = generator.normal(size=40_000), generator.normal(1.5, 0.5, size=10_000)
    labels = np.zeros(40_000, dtype=np.int64), np.ones(10_000, dtype=np.int64)
    each = [distribution_of(values, own, n_components=2) for values, own in zip(rows, labels, strict=True)]
    together = combined(*each, share_now=share)
    for one, below in zip(together.log_densities, together.shares_below, strict=True):
        exact = (1 - share) * (rows[0] < one).mean() + share * (rows[1] < one).mean()
        assert abs(below - exact) < 0.005
    assert len(together.log_densities) > 150
    assert_allclose(together.component_shares, [1 - share, share])
    assert together.n_rows == {0.5: 32_000, 0.2: 50_000}[share]


def test_rows_of_few_values_stay_what_they_are(generator):
    values = np.repeat([-3.0, -2.0, -1.0], [20, 30, 50])
    one, other = distribution_of(values), distribution_of(values + np.repeat([0.01, -0.01, 0.02], [20, 30, 50]))
    together = combined(one, other, share_now=0.3)
    expected = np.where(together.log_densities < -2, 0.2, 0.5)
    assert_allclose(together.shares_below, expected, atol=0.005)


def test_rows_that_are_all_alike_add_nothing_but_themselves():
    alike, others = distribution_of(np.zeros(5)), distribution_of([1.0, 2.0, 3.0])
    assert_array_equal(combined(alike, others, share_now=0.5).shares_below, others.shares_below)
    assert combined(alike, alike, share_now=0.5).log_densities.shape == (0,)


def test_tallies_merge_to_the_whole_in_any_order(generator):
    values, labels = generator.normal(size=1000), generator.integers(0, 3, size=1000)
    edges = np.linspace(-2, 2, 7)

    def tally(part):
        score = LogLikelihood(len(values[part]), float(len(values[part])), 0.0)
        return row_tally(score, values[part], labels[part], None, log_densities=edges, n_components=3)

    parts = [tally(slice(*span)) for span in ((0, 10), (10, 10), (10, 700), (700, 1000))]
    whole = parts[3].merge(parts[1]).merge(parts[0].merge(parts[2]))
    assert_array_equal(whole.between, np.histogram(values, [-np.inf, *edges, np.inf])[0])
    assert whole.between.dtype.kind == "i"
    assert_array_equal(whole.components, np.bincount(labels))
    assert_array_equal(whole.shares_below, [(values < edge).mean() for edge in edges])
    assert_array_equal(whole.component_shares, np.bincount(labels) / 1000)
    assert whole.score.n_samples == 1000


SOUND = RowDistribution(np.array([-2.0, -1.0]), np.array([0.2, 0.7]), np.array([0.5, 0.5]), 10)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"log_densities": [-2.0, -1.0]}, "log_densities: expected an array of float64"),
        ({"log_densities": np.array([[-2.0, -1.0]])}, "log_densities: expected an array of float64 along one axis"),
        ({"shares_below": np.array([0, 1])}, "shares_below: expected an array of float64"),
        ({"log_densities": np.array([-2.0, np.nan])}, "log_densities: expected finite"),
        ({"log_densities": np.array([-2.0, -2.0])}, "log_densities: expected rising"),
        ({"shares_below": np.array([0.7, 0.2])}, "shares_below: expected rising"),
        ({"shares_below": np.array([0.0, 0.2])}, r"shares_below: expected shares in \(0, 1\)"),
        ({"shares_below": np.array([0.2, 1.0])}, r"shares_below: expected shares in \(0, 1\)"),
        ({"shares_below": np.array([0.2])}, "expected as many as there are log_densities, 2"),
        ({"component_shares": np.array([1.5, -0.5])}, "component_shares: expected shares >= 0"),
        ({"component_shares": np.array([0.5, 0.6])}, "component_shares: expected shares >= 0 that sum to 1"),
        ({"n_rows": 0}, "n_rows: expected an integer >= 1"),
        ({"n_rows": 2.0}, "n_rows: expected an integer >= 1"),
        ({"n_rows": True}, "n_rows: expected an integer >= 1"),
    ],
)
def test_what_is_no_distribution_is_refused(changes, reason):
    with pytest.raises(ParameterError, match=reason):
        replace(SOUND, **changes)


def test_more_quantiles_than_a_fit_keeps_are_refused():
    many = np.linspace(0.001, 0.999, 200)
    with pytest.raises(ParameterError, match="fewer than 200; got 200"):
        replace(SOUND, log_densities=many, shares_below=many)
