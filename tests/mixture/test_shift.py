from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.stats import ks_2samp

from daskgmm.mixture.shift import (
    expected_stability_index,
    kolmogorov_smirnov_distance,
    of_deciles,
    population_stability_index,
)


def test_the_index_of_two_bins_is_what_it_is_by_hand():
    index = population_stability_index(np.array([0.5, 0.5]), np.array([0.25, 0.75]))
    assert_allclose(index, 0.25 * math.log(2) + 0.25 * math.log(1.5))


def test_the_index_is_nothing_without_a_shift_and_the_same_both_ways():
    one, other = np.array([0.1, 0.3, 0.6]), np.array([0.2, 0.5, 0.3])
    assert population_stability_index(one, one) == 0
    assert_allclose(population_stability_index(one, other), population_stability_index(other, one))


def test_an_empty_bin_counts_as_one_row_in_ten_thousand():
    index = population_stability_index(np.array([0.0, 1.0]), np.array([0.2, 0.8]))
    assert_allclose(index, (0.2 - 1e-4) * math.log(0.2 / 1e-4) - 0.2 * math.log(0.8))
    assert population_stability_index(np.array([0.0, 1.0]), np.array([1e-5, 1 - 1e-5])) < 1e-9


def test_the_expected_index_is_the_mean_of_drawn_ones(generator):
    shares = np.full(10, 0.1)
    before = generator.multinomial(4000, shares, size=2000) / 4000
    now = generator.multinomial(1000, shares, size=2000) / 1000
    drawn = [population_stability_index(*pair) for pair in zip(before, now, strict=True)]
    assert_allclose(expected_stability_index(10, 4000, 1000), np.mean(drawn), rtol=0.05)


def test_deciles_bound_ten_bins():
    below = np.arange(1, 200) / 200
    before, now = of_deciles(below, below**2)
    assert_allclose(before, np.full(10, 0.1))
    assert_allclose(now, np.diff(np.linspace(0, 1, 11) ** 2))


def test_rows_of_few_values_have_few_bins():
    before, now = of_deciles(np.array([0.25, 0.5]), np.array([0.3, 0.9]))
    assert_allclose(before, [0.25, 0.25, 0.5])
    assert_allclose(now, [0.3, 0.6, 0.1])
    before, now = of_deciles(np.empty(0), np.empty(0))
    assert before.tolist() == now.tolist() == [1.0]
    assert kolmogorov_smirnov_distance(np.empty(0), np.empty(0)) == 0


@pytest.mark.parametrize("shift", [0.0, 0.3, 4.0])
def test_the_distance_at_quantiles_is_scipys_but_for_a_step(generator, shift):
    one, other = generator.normal(size=3000), generator.normal(shift, size=1000)
    edges = np.quantile(one, np.arange(1, 200) / 200)
    below = [np.array([(rows <= edge).mean() for edge in edges]) for rows in (one, other)]
    exact = ks_2samp(one, other).statistic
    assert exact - 1 / 200 <= kolmogorov_smirnov_distance(*below) <= exact + 1e-12
