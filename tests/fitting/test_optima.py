"""Which optima are one and the same, and which of them rows cannot tell from the best."""

from __future__ import annotations

import numpy as np
import pytest

from daskgmm.fitting.in_memory import Rows, Scored
from daskgmm.fitting.optima import Optimum, not_merging, separate, undecided
from daskgmm.mixture.density import log_density
from daskgmm.mixture.parameters import MixtureParameters

VALUES = np.random.default_rng(0).normal(size=(4000, 1))
ROWS = Rows(VALUES, None)


def mixture(*means: float) -> MixtureParameters:
    """Components of variance 1 and equal weights."""
    return MixtureParameters.from_covariances(
        weights=np.full(len(means), 1 / len(means)),
        means=np.array(means)[:, None],
        covariances=np.ones(len(means)),
        covariance_type="spherical",
    )


def scored(parameters, rows=ROWS) -> Scored:
    return Scored(parameters, float(np.average(log_density(rows.values, parameters), weights=rows.weights)))


def means_of(optima) -> list[list[float]]:
    return [optimum.parameters.means[:, 0].tolist() for optimum in optima]


def test_the_order_of_components_does_not_matter():
    assert Optimum.on(ROWS, mixture(-1, 1)).divergence(Optimum.on(ROWS, mixture(1, -1))) < 1e-20


@pytest.mark.parametrize("shift", [0.01, 0.1])
def test_near_each_other_mixtures_diverge_by_their_relative_entropy(shift):
    """That of two normal distributions is half the squared distance of their means."""
    found = Optimum.on(ROWS, mixture(0)).divergence(Optimum.on(ROWS, mixture(shift)))
    assert found == pytest.approx(shift**2 / 2, rel=0.05)


def test_a_row_that_one_mixture_excludes_does_not_overflow():
    far = Rows(np.array([[0.0], [1e200]]), None)
    one, other = Optimum.on(far, mixture(0.0)), Optimum.on(far, mixture(3.0, 1e200))
    with np.errstate(all="raise"):
        assert 1 < one.divergence(other) < np.inf


def test_of_mixtures_near_each_other_the_first_is_kept():
    found = separate([mixture(0), mixture(0.01), mixture(1), mixture(1.01), mixture(2)], ROWS, apart=0.01, most=9)
    assert means_of(found) == [[0], [1], [2]]
    assert len(separate([mixture(0), mixture(1), mixture(2)], ROWS, apart=0.01, most=2)) == 2


def test_more_rows_decide_what_fewer_leave_open():
    """The difference has a standard error of 0.1 / sqrt(n), and is 0.005 in the long run."""
    few, many = ROWS[:200], Rows(np.random.default_rng(1).normal(size=(20_000, 1)), None)
    for rows, expected in ((few, 2), (many, 1)):
        ends = [scored(mixture(mean), rows) for mean in (0.1, 0.0)]
        assert len(undecided(ends, rows, apart=1e-4, most=3)) == expected
    assert means_of(undecided(ends, many, apart=1e-4, most=3)) == [[0.0]]


def test_the_best_come_first_and_copies_are_left_out():
    rows = ROWS[:100]
    ends = [scored(mixture(mean), rows) for mean in (0.2, 0.1, -0.1, -0.1)]
    found = undecided(ends, rows, apart=1e-6, most=9)
    bounds = [scored(optimum.parameters, rows).lower_bound for optimum in found]
    assert bounds == sorted(bounds, reverse=True)
    assert sorted(means_of(found)) == [[-0.1], [0.1], [0.2]]
    assert undecided(ends, rows, apart=1e-6, most=2)[1].parameters is found[1].parameters


def test_rows_of_weight_2_count_like_two_rows_to_the_mean_alone():
    """Two equal rows in one are one thing seen, not two: their error is larger."""
    weights = np.where(np.arange(4000) < 2000, 2.0, 0.0)
    weighted, half = Rows(VALUES, weights), ROWS[:2000]
    for rows in (weighted, half):
        one, other = Optimum.on(rows, mixture(0.0)), Optimum.on(rows, mixture(0.5))
        assert one.divergence(other) == pytest.approx(
            Optimum.on(half, mixture(0.0)).divergence(Optimum.on(half, mixture(0.5)))
        )
    # A lead between two and three errors of 2,000 rows, and so below two of 500.
    leads = log_density(half.values, mixture(0.0)) - log_density(half.values, mixture(0.09))
    assert 1 < leads.mean() / leads.std() * np.sqrt(2000) < 4
    for rows in (weighted, half):
        assert Optimum.on(rows, mixture(0.09)).is_worse_than(Optimum.on(rows, mixture(0.0))) is bool(
            leads.mean() > 2 * leads.std() / np.sqrt(2000)
        )


def steps_of(*pairs):
    return [(Optimum.on(ROWS, before), Optimum.on(ROWS, after)) for before, after in pairs]


def test_climbs_that_come_closer_are_one():
    together = steps_of((mixture(0.0), mixture(0.2)), (mixture(1.0), mixture(0.5)))
    assert means_of(not_merging(together, apart=1e-4, most=3)) == [[0.2]]
    resting = steps_of((mixture(0.0), mixture(0.05)), (mixture(1.0), mixture(0.95)), (mixture(2.0), mixture(2.0)))
    assert means_of(not_merging(resting, apart=1e-4, most=3)) == [[0.05], [0.95], [2.0]]
    assert means_of(not_merging(resting, apart=1e-4, most=2)) == [[0.05], [0.95]]
    assert means_of(not_merging(resting, apart=1.0, most=3)) == [[0.05], [2.0]]
