"""What all rows say of candidates, beside scikit-learn and brute force."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.mixture import GaussianMixture as SklearnGaussianMixture

from daskgmm.engine.parts import parts_of_blocks
from daskgmm.engine.split import NOTHING_HELD_OUT, RowSplit
from daskgmm.fitted import parameters_of
from daskgmm.fitting import judging
from daskgmm.fitting.judging import judge
from daskgmm.mixture.criteria import (
    akaike_information_criterion,
    bayesian_information_criterion,
    integrated_completed_likelihood,
)
from tests.drawn import draw
from tests.watched import WatchedArray


@pytest.fixture
def theirs(covariance_type):
    rows = draw(covariance_type).rows
    return [SklearnGaussianMixture(k, covariance_type=covariance_type, random_state=0).fit(rows) for k in (1, 2, 3)]


def blocks(rows, weights=None):
    return parts_of_blocks(
        da.from_array(rows, chunks=(70, -1)), None if weights is None else da.from_array(weights, chunks=70)
    )


def brute_entropy(model, rows, weights) -> float:
    total = 0.0
    for responsibilities, weight in zip(model.predict_proba(rows), weights, strict=True):
        total -= weight * sum(r * np.log(r) for r in responsibilities if r > 0)
    return total


def test_all_candidates_are_judged_as_scikit_learn_and_brute_force_do(theirs, drawn, monkeypatch):
    monkeypatch.setattr(judging, "SLICE_ROWS", 16)
    mixtures = [parameters_of(model) for model in theirs]
    for model, mixture, judged in zip(
        theirs, mixtures, judge(blocks(drawn.rows), mixtures, NOTHING_HELD_OUT), strict=True
    ):
        assert_allclose(judged.fitted.mean, model.score(drawn.rows), rtol=1e-10)
        assert_allclose(bayesian_information_criterion(judged.fitted, mixture), model.bic(drawn.rows), rtol=1e-10)
        assert_allclose(akaike_information_criterion(judged.fitted, mixture), model.aic(drawn.rows), rtol=1e-10)
        entropy = brute_entropy(model, drawn.rows, np.ones(300))
        assert_allclose(judged.entropy, entropy, rtol=1e-9, atol=1e-9)
        icl = integrated_completed_likelihood(judged.fitted, judged.entropy, mixture)
        assert_allclose(icl, model.bic(drawn.rows) + 2 * entropy, rtol=1e-9)
        assert (judged.held_out.n_samples, judged.held_out.weight, judged.held_out.total) == (0, 0, 0)


def test_rows_count_by_their_weights(theirs, drawn, generator):
    weights = generator.integers(0, 4, size=300).astype(float)
    rows = drawn.rows.copy()
    rows[weights == 0] = np.nan
    mixtures = [parameters_of(model) for model in theirs]
    repeated = np.repeat(drawn.rows, weights.astype(int), axis=0)
    for model, mixture, judged in zip(
        theirs, mixtures, judge(blocks(rows, weights), mixtures, NOTHING_HELD_OUT), strict=True
    ):
        assert_allclose(judged.fitted.mean, model.score(repeated), rtol=1e-10)
        assert_allclose(bayesian_information_criterion(judged.fitted, mixture), model.bic(repeated), rtol=1e-10)
        assert_allclose(judged.entropy, brute_entropy(model, drawn.rows, weights), rtol=1e-9, atol=1e-9)


def test_every_row_is_fitted_or_held_out(theirs, drawn):
    split = RowSplit(0.3, entropy=5)
    mixture = parameters_of(theirs[-1])
    (judged,) = judge(blocks(drawn.rows), [mixture], split)
    kept, left = [], []
    for block, start in enumerate(range(0, 300, 70)):
        part = drawn.rows[start : start + 70]
        kept.append(split.fitted(part, None, block)[0])
        left.append(split.held_out(part, None, block)[0])
    kept_rows, left_rows = np.concatenate(kept), np.concatenate(left)
    assert {tuple(row) for row in kept_rows} | {tuple(row) for row in left_rows} == {tuple(row) for row in drawn.rows}
    assert len(kept_rows) + len(left_rows) == 300
    assert 60 < len(left_rows) < 120
    assert_allclose(judged.fitted.mean, theirs[-1].score(kept_rows), rtol=1e-10)
    assert_allclose(judged.held_out.mean, theirs[-1].score(left_rows), rtol=1e-10)


def test_all_candidates_take_one_pass(theirs, drawn):
    watched = WatchedArray(drawn.rows)
    judge(parts_of_blocks(watched.as_dask(70), None), [parameters_of(one) for one in theirs], NOTHING_HELD_OUT)
    assert watched.n_reads == 5
