from __future__ import annotations

import logging
from collections import Counter
from dataclasses import replace

import dask
import dask.array as da
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.mixture import GaussianMixture as SklearnGaussianMixture

from daskgmm.errors import ClusterError, InputDataError, InputTypeError, ParameterError, RowError
from daskgmm.fitting import Start, fit_mixture, score_rows
from daskgmm.mixture.density import log_density
from daskgmm.settings import FitSettings
from daskgmm.start import GivenStart
from daskgmm.storage.dataset import as_row_blocks
from tests.drawn import draw
from tests.watched import WatchedArray, watched_computes


@pytest.fixture
def rows():
    return draw("full", n_rows=600, spread=2.5).rows


@pytest.fixture(scope="module")
def corners():
    """Three equal clusters at the corners of a triangle: with two components, any two of them may be joined."""
    centres = np.array([[0.0, 0.0], [10.0, 0.0], [5.0, 75**0.5]])
    generator = np.random.default_rng(0)
    return generator.permutation(centres[np.arange(6000) % 3] + generator.normal(size=(6000, 2)))


def blocks_of(rows, sample_weight=None, block_rows=70):
    return as_row_blocks(da.from_array(rows, chunks=(block_rows, -1)), sample_weight)


def fitted(blocks, *, given=None, previous=None, random_state=None, **settings):
    return fit_mixture(
        blocks,
        FitSettings(**{"n_components": 3, **settings}),
        given=given or GivenStart(),
        previous=previous,
        random_state=random_state or np.random.RandomState(0),
    )


def complete_start(drawn) -> GivenStart:
    return GivenStart(drawn.start["weights_init"], drawn.start["means_init"], drawn.start["precisions_init"])


def phases(result) -> list[str]:
    return [entry.phase for entry in result.history]


def test_plain_em_is_a_first_look_and_one_pass_an_iteration(rows):
    result = fitted(blocks_of(rows), acceleration=None, init_size=None)
    assert phases(result) == ["first-look"] + ["em"] * result.n_iter
    assert result.n_passes == result.n_iter + 1
    assert [entry.n_passes for entry in result.history] == list(range(1, result.n_passes + 1))


def test_a_complete_start_needs_no_first_look(rows):
    result = fitted(blocks_of(rows), given=complete_start(draw("full")))
    assert phases(result) == ["em"] * result.n_iter
    assert result.n_passes == result.n_iter


def test_a_sample_smaller_than_the_data_is_fitted_first(rows):
    result = fitted(blocks_of(rows), init_size=200)
    assert phases(result)[:3] == ["first-look", "sample", "em"]
    assert set(phases(result)[3:]) <= {"em", "accelerated", "rejected"}
    assert sorted({entry.n_passes for entry in result.history}) == list(range(1, result.n_passes + 1))
    sample = result.history[1]
    assert (sample.n_passes, sample.rows, sample.bytes) == (1, 200, 200 * 3 * 8)
    assert result.n_passes == result.n_iter + 1


def test_all_starts_together_are_one_step_on_the_sample_and_three_of_them_at_most_are_fitted_to_the_data(rows):
    result = fitted(blocks_of(rows), init_size=200, n_init=20, init_params="random_from_data")
    assert phases(result).count("sample") == 1
    assert result.n_passes >= result.n_iter + 1
    in_pass = Counter(entry.n_passes for entry in result.history if entry.phase not in ("first-look", "sample"))
    assert 1 <= max(in_pass.values()) <= 3


def test_optima_that_a_sample_cannot_tell_apart_share_passes_until_the_data_have_decided(corners):
    watched = WatchedArray(corners)
    result = fitted(as_row_blocks(watched.as_dask(1000)), n_components=2, init_size=1500, tol=1e-6, cache=None)
    in_pass = [
        [entry for entry in result.history if entry.n_passes == number] for number in range(2, result.n_passes + 1)
    ]
    sizes = [len(entries) for entries in in_pass]
    assert (sizes[0], sizes[-1]) == (3, 1)
    assert sizes == sorted(sizes, reverse=True)
    assert watched.n_reads == 6 * result.n_passes
    assert sum(entry.rows for entry in result.history if entry.phase != "sample") == 6000 * result.n_passes
    assert result.converged
    # The one that is left had not been the best on the sample.
    first = [entry.lower_bound for entry in in_pass[0]]
    assert first.index(max(first)) > 0
    assert result.lower_bounds[0] == max(first)
    assert result.lower_bound == max(entry.lower_bound for entry in in_pass[-1])


def test_a_sample_leaves_the_same_optima_on_every_scheduler(corners, client):
    settings = {"n_components": 2, "init_size": 1500, "tol": 1e-6}
    blocks = blocks_of(corners, block_rows=1000)
    there = fitted(blocks, **settings)
    with dask.config.set(scheduler="synchronous"):
        here = fitted(blocks, **settings)
    for one, other in zip(here.history, there.history, strict=True):
        assert replace(one, seconds=0.0) == replace(other, seconds=0.0)
    assert_array_equal(here.parameters.covariances, there.parameters.covariances)


def test_passes_are_accelerated_where_em_is_slow():
    rows = draw("full", n_rows=4_000, spread=1.0).rows
    result = fitted(blocks_of(rows, block_rows=1_000), init_size=1_000, tol=1e-6)
    assert phases(result).count("accelerated") >= 2


def test_without_acceleration_every_start_is_fitted_to_the_data(rows):
    result = fitted(blocks_of(rows), init_size=200, n_init=3, init_params="random_from_data", acceleration=None)
    assert "sample" not in phases(result)
    assert phases(result).count("first-look") == 1
    starts = [entry for entry in result.history if entry.phase == "em" and entry.change is None]
    assert len(starts) == 3


def test_the_best_of_several_starts_is_kept(rows):
    settings = {"init_params": "random", "acceleration": None, "tol": 1e-2}
    random_state = np.random.RandomState(0)
    alone = [fitted(blocks_of(rows), random_state=random_state, **settings) for _ in range(5)]
    best = max(alone, key=lambda one: one.lower_bound)
    result = fitted(blocks_of(rows), n_init=5, **settings)
    assert result.lower_bounds == best.lower_bounds
    assert_array_equal(result.parameters.means, best.parameters.means)
    assert len({one.lower_bound for one in alone}) > 1


def test_several_starts_share_passes(rows):
    settings = {"init_params": "random", "acceleration": None, "tol": 1e-2}
    random_state = np.random.RandomState(0)
    alone = [fitted(blocks_of(rows), random_state=random_state, **settings) for _ in range(5)]
    watched = WatchedArray(rows)
    result = fitted(as_row_blocks(watched.as_dask(70)), n_init=5, cache=None, **settings)
    assert result.n_passes == 1 + max(one.n_iter for one in alone) < sum(one.n_iter for one in alone)
    assert watched.n_reads == 9 * result.n_passes
    assert len(result.history) == 1 + sum(one.n_iter for one in alone)
    assert sum(entry.rows for entry in result.history) == 600 * result.n_passes


def test_n_init_draws_as_scikit_learn_does(rows):
    settings = {"n_init": 3, "init_params": "random_from_data", "tol": 1e-3}
    expected = SklearnGaussianMixture(3, random_state=0, max_iter=200, **settings).fit(rows)
    result = fitted(blocks_of(rows), acceleration=None, init_size=None, max_iter=200, **settings)
    assert result.n_iter == expected.n_iter_
    assert_allclose(result.lower_bound, expected.lower_bound_, rtol=0, atol=1e-9)


def test_the_sample_saves_passes(rows):
    rows = draw("full", n_rows=4_000, spread=1.0).rows
    plain = fitted(blocks_of(rows, block_rows=1_000), acceleration=None, tol=1e-5, max_iter=400)
    sampled = fitted(blocks_of(rows, block_rows=1_000), init_size=2_000, tol=1e-5, max_iter=400)
    assert sampled.n_passes < plain.n_passes


def test_data_that_are_their_own_sample_are_explored_and_then_fitted_by_plain_em(rows):
    plain = fitted(blocks_of(rows), acceleration=None, tol=1e-9, max_iter=2_000)
    auto = fitted(blocks_of(rows), tol=1e-4)
    assert phases(auto) == ["first-look", "sample"] + ["em"] * auto.n_iter
    assert auto.history[1].rows == 600
    assert auto.n_iter <= 3
    assert auto.lower_bound > plain.lower_bound - 1e-4


def test_bounds_and_changes_of_the_history_are_those_of_the_iterations(rows):
    result = fitted(blocks_of(rows), acceleration=None)
    em = [entry for entry in result.history if entry.phase == "em"]
    assert [entry.lower_bound for entry in em] == list(result.lower_bounds)
    assert em[0].change is None
    assert_allclose([entry.change for entry in em[1:]], np.diff(result.lower_bounds), rtol=1e-9, atol=1e-15)
    assert all(entry.rows == 600 and entry.bytes == 600 * 24 and entry.seconds >= 0 for entry in em)


def test_bytes_are_those_of_the_rows_as_they_come(rows):
    result = fitted(blocks_of(rows.astype(np.float32)))
    assert result.history[0].bytes == 600 * 12


def test_the_bound_never_falls(rows):
    assert (np.diff(fitted(blocks_of(rows), tol=0.0, max_iter=60).lower_bounds) > -1e-12).all()


def test_convergence_is_told(rows):
    assert fitted(blocks_of(rows), tol=1e-3).converged
    stopped = fitted(blocks_of(rows), tol=0.0, max_iter=3)
    assert not stopped.converged
    assert stopped.n_iter == 3


def test_no_iterations_leave_the_start(rows):
    result = fitted(blocks_of(rows), max_iter=0, acceleration=None)
    expected = SklearnGaussianMixture(3, random_state=0, max_iter=0).fit(rows)
    assert_allclose(result.parameters.means, expected.means_, rtol=1e-9)
    assert (result.n_iter, result.n_passes, result.converged, result.lower_bounds) == (0, 1, False, ())
    assert result.lower_bound == -np.inf


def test_no_iterations_of_a_given_start_read_nothing(rows):
    watched = WatchedArray(rows)
    drawn = draw("full")
    result = fitted(as_row_blocks(watched.as_dask(70)), given=complete_start(drawn), max_iter=0)
    assert watched.n_reads == 0
    assert_array_equal(result.parameters.means, drawn.start["means_init"])
    assert (result.n_passes, result.n_samples) == (0, 600)


def test_an_earlier_fit_is_gone_on_from(rows):
    blocks = blocks_of(rows)
    first = fitted(blocks, tol=0.0, max_iter=5)
    second = fitted(blocks, tol=0.0, max_iter=5, previous=Start(first.parameters, first.lower_bound))
    whole = fitted(blocks, tol=0.0, max_iter=10)
    assert_array_equal(second.parameters.means, whole.parameters.means)
    assert phases(second) == ["em"] * 5
    assert second.history[0].change == pytest.approx(whole.lower_bounds[5] - whole.lower_bounds[4])


def test_an_earlier_converged_fit_stops_after_one_pass(rows):
    blocks = blocks_of(rows)
    first = fitted(blocks, tol=1e-3)
    assert fitted(blocks, tol=1e-3, previous=Start(first.parameters, first.lower_bound)).n_iter == 1


def test_a_component_without_rows_is_reseeded_and_noted(rows, covariance_type):
    drawn = draw(covariance_type, n_rows=600, spread=2.5)
    means = drawn.means.copy()
    means[1] = 1e3
    given = GivenStart(drawn.start["weights_init"], means, drawn.start["precisions_init"])
    result = fitted(blocks_of(drawn.rows), given=given, covariance_type=covariance_type)
    assert result.history[0].reseeded == (1,)
    assert np.isfinite(result.parameters.precisions_cholesky).all()
    assert np.abs(result.parameters.means).max() < 100
    assert result.parameters.weights.min() > 1e-3


def test_the_number_of_rows_is_found_where_it_is_unknown(rows):
    lazy = da.from_array(rows, chunks=(70, -1))
    result = fitted(as_row_blocks(lazy[lazy[:, 0] > 0]))
    assert result.n_samples == (rows[:, 0] > 0).sum()
    assert all(entry.rows == result.n_samples for entry in result.history)


@pytest.mark.parametrize("n_init", [1, 3])
def test_every_pass_is_one_compute(rows, n_init):
    with watched_computes() as computes:
        result = fitted(blocks_of(rows), init_size=200, n_init=n_init, acceleration=None)
    assert len(computes) == result.n_passes


def test_the_work_on_a_small_sample_is_five_computes(rows):
    with watched_computes() as computes:
        result = fitted(blocks_of(rows), init_size=200)
    assert len(computes) == result.n_passes + 5


def test_rows_here_are_not_sent_to_the_ambient_scheduler(rows):
    with watched_computes() as computes:
        fitted(as_row_blocks(rows))
    assert computes == []


def test_blas_uses_one_thread_in_tasks(rows):
    watched = WatchedArray(rows)
    fitted(as_row_blocks(watched.as_dask(70)), max_iter=2)
    assert watched.blas_threads == {1}


def test_steps_are_logged(rows, caplog):
    with caplog.at_level(logging.INFO, logger="daskgmm"):
        result = fitted(blocks_of(rows), init_size=200)
    assert len(caplog.messages) == len(result.history)


@pytest.mark.parametrize("init_size", ["auto", None, 500])
@pytest.mark.parametrize("complete", [False, True], ids=["found start", "given start"])
@pytest.mark.parametrize("unknown", [False, True], ids=["known sizes", "unknown sizes"])
def test_fewer_rows_than_components_are_an_error(init_size, complete, unknown):
    drawn = draw("full", n_rows=2)
    rows = da.from_array(drawn.rows, chunks=(1, 3))
    rows = rows[rows[:, 0] > -np.inf] if unknown else rows
    given = complete_start(draw("full")) if complete else None
    with pytest.raises(InputDataError, match="n_components = 3, n_samples = 2"):
        fitted(as_row_blocks(rows), given=given, init_size=init_size)


def test_fewer_rows_of_positive_weight_than_components_are_an_error(rows):
    weights = np.zeros(600)
    weights[[3, 500]] = 1.0
    with pytest.raises(InputDataError, match="n_components = 3, n_samples = 2"):
        fitted(blocks_of(rows, weights))


@pytest.mark.parametrize("complete", [False, True], ids=["found start", "given start"])
def test_rows_of_no_weight_at_all_are_an_error(rows, complete):
    given = complete_start(draw("full")) if complete else None
    with pytest.raises(InputDataError, match="weight"):
        fitted(blocks_of(rows, np.zeros(600)), given=given)


@pytest.mark.parametrize("complete", [False, True], ids=["found start", "given start"])
@pytest.mark.parametrize("bad", [-1.0, np.nan, np.inf])
def test_a_bad_weight_is_an_error_that_names_its_row(rows, complete, bad):
    weights = np.ones(600)
    weights[301] = bad
    given = complete_start(draw("full")) if complete else None
    with pytest.raises(RowError, match=r"^row 301 \(row 21 of block 4\): sample_weight is "):
        fitted(blocks_of(rows, weights), given=given)


def test_a_start_that_does_not_fit_is_an_error_before_anything_is_read(rows):
    watched = WatchedArray(rows)
    with pytest.raises(ParameterError, match="means_init"):
        fitted(as_row_blocks(watched.as_dask(70)), given=GivenStart(means=np.zeros((3, 2))))
    assert watched.n_reads == 0


def test_blocks_that_are_not_rows_of_numbers_are_an_error(rows):
    lazy = da.from_array(rows, chunks=(70, -1)).map_blocks(lambda block: block.astype(complex), meta=np.empty((0, 0)))
    with pytest.raises(InputTypeError, match="complex128"):
        fitted(as_row_blocks(lazy))


def test_score_rows_sums_log_densities_in_one_pass(rows):
    parameters = fitted(blocks_of(rows)).parameters
    with watched_computes() as computes:
        score = score_rows(blocks_of(rows), parameters)
    assert len(computes) == 1
    assert score.n_samples == score.weight == 600
    assert_allclose(score.total, log_density(rows, parameters).sum(), rtol=1e-12)


def test_score_rows_weighs(rows):
    parameters = fitted(blocks_of(rows)).parameters
    weights = np.arange(600.0)
    score = score_rows(blocks_of(rows, weights), parameters)
    assert_allclose(score.mean, np.average(log_density(rows, parameters), weights=weights), rtol=1e-12)


def test_score_rows_needs_weight(rows):
    parameters = fitted(blocks_of(rows)).parameters
    with pytest.raises(InputDataError, match="positive weight"):
        score_rows(blocks_of(rows, np.zeros(600)), parameters)


def test_a_pass_that_counts_other_rows_is_an_error(rows, monkeypatch):
    from daskgmm.fitting import passes

    sweep, calls = passes.sweep, []

    def doubled(*args):
        found = sweep(*args)
        calls.append(found)
        return found.merge(found) if len(calls) == 2 else found

    monkeypatch.setattr(passes, "sweep", doubled)
    with pytest.raises(ClusterError, match="expected a pass over 600 rows; 1200 were counted"):
        fitted(blocks_of(rows), tol=0.0, max_iter=5)
