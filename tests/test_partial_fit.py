from __future__ import annotations

import json
import pickle
import zipfile

import dask.array as da
import numpy as np
import pytest
import zarr
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from daskgmm import GaussianMixture, load, streaming
from daskgmm.errors import DegenerateMixtureError, InputDataError, ModelFormatError, ParameterError, RowError
from tests.drawn import draw

DRAWN = draw("full", n_rows=6000, n_components=3, n_features=2, spread=6.0, seed=2)
ROWS = DRAWN.rows
START = 400
"""Rows of the start in these tests; the first 60 already make one."""


def mixture(**settings) -> GaussianMixture:
    return GaussianMixture(3, random_state=0, init_size=START, **settings)


def streamed(rows=ROWS, *, block_rows=500, weights=None, **settings) -> GaussianMixture:
    model = mixture(**settings)
    for begin in range(0, len(rows), block_rows):
        part = slice(begin, begin + block_rows)
        model.partial_fit(rows[part], sample_weight=None if weights is None else weights[part])
    return model


def assert_same(one: GaussianMixture, other: GaussianMixture, *, rtol: float = 0.0) -> None:
    assert_allclose(one.weights_, other.weights_, rtol=rtol)
    assert_allclose(one.means_, other.means_, rtol=rtol, atol=rtol)
    assert_allclose(one.covariances_, other.covariances_, rtol=rtol, atol=rtol)
    assert_allclose(one.lower_bound_, other.lower_bound_, rtol=rtol)


@pytest.mark.parametrize("covariance_type", ["full", "tied", "diag", "spherical"])
def test_one_pass_ends_close_to_the_batch_fit(covariance_type):
    batch = GaussianMixture(3, covariance_type=covariance_type, random_state=0, tol=1e-6).fit(ROWS)
    model = streamed(covariance_type=covariance_type)
    assert 0 <= batch.score(ROWS) - model.score(ROWS) < 0.005


def test_the_attributes_tell_what_happened():
    model = streamed()
    assert model.n_samples_seen_ == 6000
    assert model.n_features_in_ == 2
    assert model.n_iter_ == 12  # what was left of the first block after the start, and eleven more
    assert model.n_passes_ == 1
    assert model.converged_ is False
    assert [entry["phase"] for entry in model.history_] == ["sample"] + ["stepwise"] * 12
    assert [entry["rows"] for entry in model.history_] == [400, 100] + [500] * 11
    assert model.lower_bounds_[-1] == model.lower_bound_
    assert model.lower_bound_ == pytest.approx(model.score(ROWS), abs=0.05)


def test_the_bound_of_a_block_is_that_before_it_was_learned_from():
    model = streamed(ROWS[:5000])
    before = model.score(ROWS[5000:])
    model.partial_fit(ROWS[5000:])
    assert model.history_[-1]["lower_bound"] == pytest.approx(before, rel=1e-9)


def test_it_waits_for_enough_rows():
    model = GaussianMixture(3, random_state=0)
    for begin in range(0, 29, 1):
        model.partial_fit(ROWS[begin : begin + 1])
    with pytest.raises(NotFittedError):
        model.predict(ROWS)
    with pytest.raises(NotFittedError):
        model.save("never.gmm")
    assert model.n_samples_seen_ == 29
    model.partial_fit(ROWS[29:30])
    assert model.predict(ROWS).shape == (6000,)


def test_more_components_than_rows_wait():
    model = GaussianMixture(50).partial_fit(ROWS[:10])
    assert not hasattr(model, "weights_")
    model.partial_fit(ROWS[10:600])
    assert model.means_.shape == (50, 2)


def test_the_start_is_made_anew_on_twice_the_rows_until_there_are_enough():
    model = streamed(ROWS[:1000], block_rows=50)
    rows = [entry["rows"] for entry in model.history_ if entry["phase"] == "sample"]
    assert rows == [50, 100, 200, 400]
    assert model.n_samples_seen_ == 1000


def test_small_blocks_end_where_large_ones_do():
    small, large = streamed(block_rows=100), streamed(block_rows=1500)
    assert small.score(ROWS) == pytest.approx(large.score(ROWS), abs=0.003)


def test_rows_of_the_start_are_not_the_callers_array():
    rows = ROWS[:200].copy()
    model = mixture().partial_fit(rows)
    rows[:] = np.nan
    model.partial_fit(ROWS[200:600])
    assert_same(model, mixture().partial_fit(ROWS[:200]).partial_fit(ROWS[200:600]))


def test_a_given_start_is_kept_to():
    swapped = {name: value[::-1] for name, value in DRAWN.start.items()}
    one, other = streamed(**DRAWN.start), streamed(**swapped)
    assert_allclose(one.means_, other.means_[::-1], rtol=1e-6)
    assert np.abs(one.means_ - DRAWN.means).max() < 0.3


def test_a_given_start_that_is_not_valid_is_refused_at_once():
    with pytest.raises(ParameterError, match="means_init"):
        GaussianMixture(3, means_init=np.zeros((2, 2))).partial_fit(ROWS[:5])


def test_dask_blocks_are_steps_in_their_order():
    chunks = (450, 50, 1500, 2000, 2000)
    model, begin = mixture(), 0
    for length in chunks:
        model.partial_fit(ROWS[begin : begin + length])
        begin += length
    assert_same(mixture().partial_fit(da.from_array(ROWS, chunks=(chunks, (2,)))), model)


def test_blocks_may_be_empty_and_of_unknown_length():
    present = np.ones(6000, dtype=bool)
    present[1000:2000] = present[2300:2500] = False
    lazy = da.from_array(ROWS, chunks=(1000, 2))[da.from_array(present, chunks=1000)]
    model = mixture()
    for begin in range(0, 6000, 1000):
        part = slice(begin, begin + 1000)
        if present[part].any():
            model.partial_fit(ROWS[part][present[part]])
    assert_same(mixture().partial_fit(lazy), model)


def test_a_large_block_is_several_steps():
    model = mixture().partial_fit(np.tile(ROWS, (8, 1)))
    assert [entry["rows"] for entry in model.history_] == [400, 20_000, 20_000, 7600]


def test_each_block_is_read_once():
    read = []

    def noted(rows, block_info=None):
        read.append(block_info[0]["chunk-location"][0])
        return rows

    lazy = da.from_array(ROWS, chunks=(1000, 2)).map_blocks(noted, dtype=float, meta=np.empty((0, 0)))
    mixture().partial_fit(lazy)
    assert read == [0, 1, 2, 3, 4, 5]


def test_a_zarr_array_is_streamed(tmp_path):
    zarr.create_array(tmp_path / "rows.zarr", data=ROWS, chunks=(100, 2))
    assert_same(mixture().partial_fit(str(tmp_path / "rows.zarr")), mixture().partial_fit(ROWS))


def test_lazy_weights_go_with_lazy_rows():
    weights = np.random.default_rng(0).uniform(0.5, 2.0, size=6000)
    lazy = mixture().partial_fit(da.from_array(ROWS, chunks=(500, 2)), sample_weight=da.from_array(weights, chunks=500))
    assert_same(lazy, streamed(weights=weights))


def test_rows_of_weight_zero_are_absent():
    weights = np.tile([1.0, 0.0], 6000)
    padded = np.repeat(ROWS, 2, axis=0)
    padded[1::2] = np.nan
    model = streamed(padded, block_rows=1000, weights=weights)
    assert_same(model, streamed(weights=np.ones(6000)), rtol=1e-9)
    assert model.n_samples_seen_ == 12_000


def test_a_block_without_weight_changes_nothing():
    model = streamed()
    before = model.means_
    model.partial_fit(ROWS[:10], sample_weight=np.zeros(10))
    assert_array_equal(model.means_, before)
    assert mixture().partial_fit(ROWS[:10], sample_weight=np.zeros(10)).n_samples_seen_ == 10


def test_the_unit_of_weight_does_not_matter():
    one, other = streamed(weights=np.full(6000, 1e-3)), streamed()
    # Which of equal starts is the best is up to rounding, and with it the order of the components.
    assert_allclose(np.sort(one.weights_), np.sort(other.weights_), rtol=1e-5)
    assert_allclose(np.sort(one.means_, axis=0), np.sort(other.means_, axis=0), rtol=1e-5)
    assert_allclose(one.lower_bound_, other.lower_bound_, rtol=1e-6)


def test_it_goes_on_from_a_fit():
    model = GaussianMixture(3, random_state=0).fit(ROWS[:3000])
    n_iter, before = model.n_iter_, model.score(ROWS)
    model.partial_fit(ROWS[3000:])
    assert model.n_samples_seen_ == 6000
    assert model.n_iter_ == n_iter + 1
    assert model.score(ROWS) > before


def test_it_goes_on_from_scikit_learns():
    model = GaussianMixture.from_sklearn(GaussianMixture(3, random_state=0).fit(ROWS).to_sklearn())
    model.partial_fit(ROWS)
    assert model.n_samples_seen_ == 6000


def test_a_fit_forgets_the_stream():
    model = mixture().partial_fit(ROWS[:20])
    model.fit(ROWS)
    assert_same(model, mixture().fit(ROWS))
    model.partial_fit(ROWS[:500])
    assert model.n_samples_seen_ == 6500


@pytest.mark.parametrize("n_rows", [20, 100, 2000])
def test_a_pickle_goes_on(n_rows):
    model = mixture().partial_fit(ROWS[:n_rows])
    other = pickle.loads(pickle.dumps(model))
    assert_same(other.partial_fit(ROWS[n_rows:]), model.partial_fit(ROWS[n_rows:]))


def test_a_clone_begins_anew():
    model = clone(mixture().partial_fit(ROWS[:20]))
    model.partial_fit(ROWS[:20])
    assert model.n_samples_seen_ == 20


def test_a_loaded_model_goes_on(tmp_path):
    weights = np.random.default_rng(0).uniform(5.0, 20.0, size=6000)
    model = streamed(ROWS[:3000], weights=weights[:3000])
    model.save(tmp_path / "stream.gmm")
    other = load(tmp_path / "stream.gmm").partial_fit(ROWS[3000:], sample_weight=weights[3000:])
    assert_same(other, model.partial_fit(ROWS[3000:], sample_weight=weights[3000:]))
    assert other.n_iter_ == model.n_iter_


@pytest.mark.parametrize("weight", [0, -1.0, "many", None])
def test_a_model_file_whose_stream_weighs_nothing_is_refused(tmp_path, weight):
    streamed(ROWS[:1000]).save(tmp_path / "stream.gmm")
    with zipfile.ZipFile(tmp_path / "stream.gmm") as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    header = json.loads(members["model.json"])
    header["fit"]["weight_seen"] = weight
    members["model.json"] = json.dumps(header).encode()
    with zipfile.ZipFile(tmp_path / "changed.gmm", "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    with pytest.raises(ModelFormatError, match="weight_seen"):
        load(tmp_path / "changed.gmm")


def test_changed_attributes_are_what_it_goes_on_with():
    model, other = streamed(ROWS[:3000]), streamed(ROWS[:3000])
    other.means_ = other.means_ + 0.5
    assert np.abs(model.partial_fit(ROWS[3000:]).means_ - other.partial_fit(ROWS[3000:]).means_).max() > 1e-3


@pytest.mark.parametrize("begun", [20, 1000])
def test_another_number_of_features_is_refused(begun):
    model = mixture().partial_fit(ROWS[:begun])
    with pytest.raises(ValueError, match="X has 1 features"):
        model.partial_fit(ROWS[:, :1])
    with pytest.raises(InputDataError, match="X has 1 features"):
        model.partial_fit(da.from_array(ROWS[:, :1], chunks=(500, 1)))
    assert model.n_samples_seen_ == begun


def test_another_number_of_components_is_refused():
    with pytest.raises(ParameterError, match="n_components: expected 3"):
        streamed().set_params(n_components=4).partial_fit(ROWS)


@pytest.mark.parametrize(("begun", "row"), [(0, 30), (100, 30), (3000, 30), (0, 5000)])
def test_a_bad_row_is_named_and_leaves_the_mixture_as_it_was(begun, row):
    model = streamed(ROWS[:begun]) if begun else mixture()
    before = pickle.dumps(model)
    bad = ROWS.copy()
    bad[row, 1] = np.nan
    with pytest.raises(RowError, match=f"row {row} .*feature 1 is nan"):
        model.partial_fit(da.from_array(bad, chunks=(2000, 2)))
    model.n_features_in_ = 2
    if begun:
        assert pickle.dumps(model) == before
    else:
        assert not hasattr(model, "weights_")


def test_a_negative_weight_is_named():
    weights = np.ones(1000)
    weights[700] = -1
    for model in (mixture(), streamed()):
        with pytest.raises(RowError, match="row 700"):
            model.partial_fit(ROWS[:1000], sample_weight=weights)


def test_rows_that_are_all_alike_wait_and_then_fail():
    model = GaussianMixture(2, reg_covar=0.0, init_size=200, random_state=0).partial_fit(np.ones((150, 2)))
    assert not hasattr(model, "weights_")
    with pytest.raises(DegenerateMixtureError):
        model.partial_fit(np.ones((100, 2)))


def test_what_is_kept_of_a_long_stream_has_an_end(monkeypatch):
    monkeypatch.setattr(streaming, "MOST_STEPS", 5)
    model = streamed()
    assert model.n_iter_ == 12
    assert len(model.history_) == len(model.lower_bounds_) == 5
    assert model.lower_bounds_[-1] == model.lower_bound_


def test_the_rows_of_the_start_are_let_go():
    model = streamed(ROWS[:300])
    held = len(pickle.dumps(model))
    assert len(pickle.dumps(model.partial_fit(ROWS[300:1000]))) < held
