from __future__ import annotations

import math
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from daskgmm.errors import DegenerateMixtureError
from daskgmm.kernels.blas import e_step
from daskgmm.mixture.acceleration import AcceleratedState, accelerated_maximization
from daskgmm.mixture.em import EMState, expectation_maximization
from daskgmm.mixture.m_step import m_step
from daskgmm.mixture.parameters import MixtureParameters
from daskgmm.mixture.trust import distance
from tests.drawn import draw

N_ROWS, N_SAMPLE = 800, 400
SAMPLES = ("a sample", "no sample")


def start_of(drawn) -> MixtureParameters:
    start = {name.removesuffix("_init"): value for name, value in drawn.start.items()}
    return MixtureParameters.from_precisions(**start, covariance_type=drawn.covariance_type)


def run(
    rows,
    start,
    *,
    sample="a sample",
    weights=None,
    tol=1e-7,
    max_iter=60,
    reg_covar=1e-6,
    n_sample=N_SAMPLE,
    **settings,
) -> list[AcceleratedState]:
    sweep = partial(e_step, rows, weights)
    part = None if weights is None else weights[:n_sample]
    sample_sweep = partial(e_step, rows[:n_sample], part) if sample == "a sample" else None
    arguments = {"reg_covar": reg_covar, "tol": tol, "max_iter": max_iter, **settings}
    return list(accelerated_maximization(start, sweep, sample_sweep, **arguments))


def plain(rows, start, *, weights=None, tol=0.0, max_iter=60, reg_covar=1e-6) -> list[EMState]:
    sweep = partial(e_step, rows, weights)
    return list(expectation_maximization(start, sweep, reg_covar=reg_covar, tol=tol, max_iter=max_iter))


@pytest.fixture
def many(covariance_type):
    return draw(covariance_type, n_rows=N_ROWS, spread=2.0)


@pytest.fixture(scope="module")
def full():
    return draw("full", n_rows=N_ROWS, spread=2.0)


@pytest.mark.parametrize("sample", SAMPLES)
@pytest.mark.parametrize("weighted", [False, True])
def test_it_ends_where_plain_em_ends(many, sample, weighted, generator):
    weights = generator.uniform(0.2, 3.0, size=N_ROWS) if weighted else None
    states = run(many.rows, start_of(many), sample=sample, weights=weights, tol=1e-8, max_iter=100)
    last = states[-1]
    assert last.converged
    far = plain(many.rows, last.best, weights=weights, tol=1e-11, max_iter=400)[-1]
    assert_allclose(last.best_lower_bound, far.lower_bound, atol=1e-8)
    assert_allclose(last.best.weights, far.parameters.weights, atol=2e-3)
    assert_allclose(last.best.means, far.parameters.means, atol=2e-2)
    assert_allclose(last.best.covariances, far.parameters.covariances, atol=2e-2)


@pytest.mark.parametrize("sample", SAMPLES)
def test_at_equal_passes_it_is_never_behind_plain_em(many, sample):
    states = run(many.rows, start_of(many), sample=sample, tol=0.0, max_iter=25)
    for here, there in zip(states, plain(many.rows, start_of(many), max_iter=25), strict=True):
        assert here.best_lower_bound > there.lower_bound - 1e-4


def test_it_takes_a_fraction_of_the_passes_of_plain_em(covariance_type):
    drawn = draw(covariance_type, n_rows=N_ROWS, spread=0.8)
    states = run(drawn.rows, start_of(drawn), tol=1e-6)
    bound = states[-1].best_lower_bound - 1e-5
    passes = next(state.n_iter for state in states if state.best_lower_bound > bound)
    slow = plain(drawn.rows, start_of(drawn), max_iter=2 * passes)
    assert slow[-1].lower_bound < bound


@pytest.mark.parametrize("sample", SAMPLES)
def test_each_state_tells_what_its_pass_evaluated_and_the_best_so_far(full, sample):
    states = run(full.rows, start_of(full), sample=sample)
    best = -math.inf
    assert states[0].phase == "em"
    assert_array_equal(states[0].parameters.means, start_of(full).means)
    for number, state in enumerate(states, start=1):
        assert state.n_iter == number
        assert state.n_samples == N_ROWS
        assert_allclose(state.lower_bound, e_step(full.rows, None, state.parameters).lower_bound, rtol=1e-12)
        best = max(best, state.lower_bound)
        assert state.best_lower_bound == best
        assert_allclose(e_step(full.rows, None, state.best).lower_bound, best, rtol=1e-12)


def test_the_bound_falls_in_rejected_passes_alone(many):
    for sample, max_iter in zip(SAMPLES, (20, 50), strict=True):
        states = run(many.rows, start_of(many), sample=sample, tol=0.0, max_iter=max_iter, reg_covar=0.0)
        assert any(state.phase == "accelerated" for state in states)
        for state in states[1:]:
            assert (state.change < -1e-10 * abs(state.lower_bound)) == (state.phase == "rejected")


def test_one_state_is_one_sweep_over_all_rows_and_a_dozen_or_so_over_the_sample(full):
    calls = {"all": 0, "sample": 0}

    def counting(name, rows):
        def sweep(parameters):
            calls[name] += 1
            return e_step(rows, None, parameters)

        return sweep

    arguments = (start_of(full), counting("all", full.rows), counting("sample", full.rows[:N_SAMPLE]))
    states = accelerated_maximization(*arguments, reg_covar=1e-6, tol=0.0, max_iter=20)
    assert calls == {"all": 0, "sample": 0}
    for number, _ in enumerate(states, start=1):
        assert calls["all"] == number
    assert calls["sample"] <= 25 * calls["all"]


def test_two_proposals_that_fall_are_followed_by_an_em_step(full):
    """The third and fourth pass are made to look as if the bound had fallen."""
    n_calls = 0

    def sweep(parameters):
        nonlocal n_calls
        n_calls += 1
        statistics = e_step(full.rows, None, parameters)
        lost = 100.0 if n_calls in (3, 4) else 0.0
        return replace(statistics, log_likelihood=statistics.log_likelihood - lost)

    sample_sweep = partial(e_step, full.rows[:N_SAMPLE], None)
    arguments = {"reg_covar": 1e-6, "tol": 0.0, "max_iter": 6}
    states = list(accelerated_maximization(start_of(full), sweep, sample_sweep, **arguments))
    assert [state.phase for state in states] == ["em", "accelerated", "rejected", "rejected", "em", "accelerated"]
    for state in states[2:4]:
        assert state.best is states[1].parameters
        assert state.change < 0
    base = e_step(full.rows, None, states[1].parameters)
    assert_array_equal(states[4].parameters.means, m_step(base, reg_covar=1e-6).parameters.means)
    # Each proposal after a fall keeps closer to the base.
    distances = [distance(states[1].parameters, state.parameters) for state in states[2:4]]
    assert distances[1] < distances[0]


def test_a_sample_of_other_data_leads_no_further_astray_than_em(full):
    other = partial(e_step, 3.0 * full.rows[:300, ::-1] + 5.0, None)
    arguments = {"reg_covar": 1e-6, "tol": 1e-6, "max_iter": 150}
    *_, last = accelerated_maximization(start_of(full), partial(e_step, full.rows, None), other, **arguments)
    assert_allclose(
        last.best_lower_bound, plain(full.rows, start_of(full), tol=1e-8, max_iter=400)[-1].lower_bound, atol=1e-4
    )


@pytest.mark.parametrize("sample", SAMPLES)
def test_it_stops_when_less_than_tol_remains(many, sample):
    for tol in (1e-3, 1e-5):
        last = run(many.rows, start_of(many), sample=sample, tol=tol, max_iter=200)[-1]
        end = plain(many.rows, last.best, tol=1e-9, max_iter=400)[-1].lower_bound
        assert last.converged
        assert last.expected_gain < tol
        assert end - last.best_lower_bound < tol


def test_the_stop_does_not_depend_on_how_often_each_row_is_there(full):
    once = run(full.rows, start_of(full), tol=1e-5)
    twice = run(full.rows, start_of(full), tol=1e-5, weights=np.full(N_ROWS, 2.0))
    assert len(once) == len(twice)
    assert_allclose(twice[-1].best_lower_bound, once[-1].best_lower_bound, rtol=1e-9)


def test_it_ends_after_max_iter_without_having_converged(full):
    states = run(full.rows, start_of(full), max_iter=2)
    assert [state.converged for state in states] == [False, False]
    assert run(full.rows, start_of(full), max_iter=0) == []


def test_the_first_pass_has_nothing_to_compare_with_unless_it_is_told(full):
    states = run(full.rows, start_of(full), tol=1e-6)
    assert states[0].change == math.inf
    assert not states[0].converged
    again = run(full.rows, states[-1].best, tol=1e-6, lower_bound=states[-1].best_lower_bound)
    assert len(again) == 1
    assert again[0].converged


@pytest.mark.parametrize("sample", SAMPLES)
def test_the_same_call_gives_the_same_bits(full, sample):
    here, there = (run(full.rows, start_of(full), sample=sample, max_iter=12) for _ in range(2))
    assert [state.lower_bound for state in here] == [state.lower_bound for state in there]
    assert_array_equal(here[-1].best.covariances, there[-1].best.covariances)


@pytest.mark.parametrize("sample", SAMPLES)
def test_a_component_seeded_anew_does_not_end_it(sample):
    rows = np.random.default_rng(0).normal(size=(1000, 2))
    start = MixtureParameters.from_covariances(
        weights=[0.5, 0.5], means=[[0.0, 0.0], [1e6, 1e6]], covariances=[1.0, 1.0], covariance_type="spherical"
    )
    states = run(rows, start, sample=sample, tol=math.inf, n_sample=200, max_iter=10)
    assert states[0].reseeded == (1,)
    assert not states[0].converged
    assert states[1].phase == "em"
    assert states[-1].converged
    assert states[-1].parameters.weights.min() > 0.05


@pytest.mark.parametrize("sample", SAMPLES)
def test_more_components_than_distinct_rows_end_without_an_error(covariance_type, sample):
    rows = np.repeat(np.eye(3), 50, axis=0)
    start = draw(covariance_type, n_components=5)
    states = run(rows, start_of(start), sample=sample, n_sample=60, reg_covar=1e-3, max_iter=30)
    assert math.isfinite(states[-1].best_lower_bound)


def test_a_cluster_that_the_sample_lacks_is_found_in_the_data(generator):
    rows = np.concatenate([generator.normal(size=(3000, 2)), generator.normal(8.0, 0.3, size=(12, 2))])
    start = MixtureParameters.from_covariances(
        weights=[0.9, 0.1], means=[[0.0, 0.0], [6.0, 6.0]], covariances=[np.eye(2), np.eye(2)], covariance_type="full"
    )
    last = run(rows, start, n_sample=500, tol=1e-8)[-1]  # none of the twelve are in the sample
    assert last.converged
    assert_allclose(last.best.weights[1], 12 / len(rows), rtol=1e-3)
    assert_allclose(last.best_lower_bound, plain(rows, start, max_iter=200)[-1].lower_bound, atol=1e-7)


def test_a_large_reg_covar_leads_to_plain_ems_fixed_point(many):
    states = run(many.rows, start_of(many), reg_covar=0.5, tol=1e-8, max_iter=60)
    far = plain(many.rows, start_of(many), reg_covar=0.5, tol=1e-9, max_iter=500)[-1]
    assert states[-1].converged
    assert_allclose(states[-1].lower_bound, far.lower_bound, atol=1e-5)


def test_rows_on_a_line_without_regularisation_raise_as_plain_em_does():
    rows = np.outer(np.linspace(-1, 1, 200), [1.0, 2.0])
    start = MixtureParameters.from_covariances(
        weights=[0.5, 0.5], means=[[-1.0, 0.0], [1.0, 0.0]], covariances=[np.eye(2)] * 2, covariance_type="full"
    )
    with pytest.raises(DegenerateMixtureError):
        run(rows, start, reg_covar=0.0, n_sample=50)


def test_data_far_from_the_origin_take_the_same_path(full):
    rows = np.round(full.rows * 1024) / 1024
    start = replace(start_of(full), means=np.round(start_of(full).means * 1024) / 1024)
    here = run(rows, start, max_iter=6, tol=0.0)
    there = run(rows + 1e6, replace(start, means=start.means + 1e6), max_iter=6, tol=0.0)
    assert_allclose([s.lower_bound for s in there], [s.lower_bound for s in here], atol=1e-7)
