"""`GaussianMixture.update`: new rows alone are read, and the mixture becomes that of all rows."""

from __future__ import annotations

import json
import pickle
import zipfile

import dask.array as da
import numpy as np
import pytest
import zarr
from numpy.testing import assert_allclose
from sklearn.exceptions import ConvergenceWarning, NotFittedError

from daskgmm import GaussianMixture, load
from daskgmm.drift import keeps_distribution
from daskgmm.errors import InputDataError, ParameterError, RowError
from tests.drawn import Drawn, draw

TYPES = pytest.mark.parametrize("covariance_type", ["full", "tied", "diag", "spherical"])
DAYS = 30


def drawn(covariance_type: str = "full") -> Drawn:
    """9,000 rows of three components in two features, in the order of these."""
    return draw(covariance_type, n_rows=300 * DAYS, n_components=3, n_features=2, spread=2.0, seed=2)


def shuffled(covariance_type: str = "full") -> np.ndarray:
    return np.random.default_rng(0).permutation(drawn(covariance_type).rows)


OLD, NEW = np.split(shuffled(), [6000])


def fitted(rows=OLD, *, sample_weight=None, covariance_type="full", **settings) -> GaussianMixture:
    """A fit from a given start: components keep their order."""
    start = drawn(covariance_type).start
    model = GaussianMixture(3, covariance_type=covariance_type, random_state=0, **start, **settings)
    return model.fit(rows, sample_weight=sample_weight)


def assert_same(one: GaussianMixture, other: GaussianMixture, *, rtol: float = 1e-9) -> None:
    for name in ("weights_", "means_", "covariances_"):
        assert_allclose(getattr(one, name), getattr(other, name), rtol=rtol, atol=rtol)


@TYPES
def test_thirty_updates_end_where_a_fit_of_all_rows_does(covariance_type):
    rows = shuffled(covariance_type)
    days = np.split(rows, DAYS)
    model = fitted(days[0], covariance_type=covariance_type)
    before = model.score(rows)
    for day in days[1:]:
        model.update(day)
        assert {entry["rows"] for entry in model.history_} == {len(day)}
        assert model.n_passes_ <= 5
    whole = fitted(rows, covariance_type=covariance_type, tol=1e-6).score(rows)
    assert before < whole - 0.005  # there was something to learn
    assert abs(whole - model.score(rows)) < 0.003
    assert (model.n_samples_seen_, model.weight_seen_) == (len(rows), len(rows))


def test_only_the_new_rows_are_read():
    read = []

    def noted(rows, block_info=None):
        read.append(block_info[0]["chunk-location"][0])
        return rows

    lazy = da.from_array(NEW, chunks=(1000, 2)).map_blocks(noted, dtype=float, meta=np.empty((0, 0)))
    model = fitted().update(lazy)
    # Decoded blocks stay between the passes.
    assert sorted(read) == [0, 1, 2]
    assert model.n_passes_ >= 2


def test_the_attributes_tell_what_happened():
    model = fitted()
    model.update(NEW)
    assert (model.n_samples_seen_, model.weight_seen_) == (9000, 9000.0)
    assert model.converged_ is True
    assert [entry["phase"] for entry in model.history_] == ["first-look"] + ["update"] * model.n_iter_
    assert {entry["rows"] for entry in model.history_} == {3000}
    assert model.history_[-1]["pass"] == model.n_passes_ == model.n_iter_ + 1
    assert model.lower_bounds_ == [entry["lower_bound"] for entry in model.history_[1:]]
    assert model.lower_bound_ == model.lower_bounds_[-1]
    assert keeps_distribution(model)


def test_the_first_bound_is_that_of_the_new_rows_before_the_update():
    model = fitted()
    before = model.score(NEW)
    assert model.update(NEW).lower_bounds_[0] == pytest.approx(before, rel=1e-9)


@TYPES
def test_rows_like_the_old_ones_change_nothing(covariance_type):
    rows = shuffled(covariance_type)
    model = fitted(rows, covariance_type=covariance_type, tol=1e-6)
    before = pickle.loads(pickle.dumps(model))
    assert_same(model.update(rows, 0.5), before, rtol=3e-3)


def test_decay_forgets():
    moved = NEW + 1.0
    kept, forgot = fitted().update(moved), fitted().update(moved, 0.01)
    assert forgot.score(moved) > kept.score(moved) + 0.05
    assert kept.score(OLD) > forgot.score(OLD) + 0.05
    assert forgot.weight_seen_ == pytest.approx(60 + 3000)
    assert forgot.n_samples_seen_ == 9000


def test_decay_may_be_named():
    assert_same(fitted().update(NEW, decay=0.5), fitted().update(NEW, 0.5), rtol=0)


def test_weights_count_as_numbers_of_rows():
    twice = fitted().update(np.concatenate([NEW, NEW]))
    weighted = fitted().update(NEW, sample_weight=np.full(len(NEW), 2.0))
    assert_same(twice, weighted, rtol=1e-6)
    assert weighted.weight_seen_ == 6000 + 6000


def test_the_weight_of_a_fit_is_kept():
    heavy = fitted(sample_weight=np.full(len(OLD), 3.0))
    assert heavy.weight_seen_ == 18_000
    # Old rows that weigh three times as much are as much as new ones that weigh a third.
    light = fitted().update(NEW, sample_weight=np.full(len(NEW), 1 / 3))
    assert_same(heavy.update(NEW), light, rtol=1e-3)


def test_rows_of_weight_zero_are_absent():
    padded, weights = np.repeat(NEW, 2, axis=0), np.tile([1.0, 0.0], len(NEW))
    padded[1::2] = np.nan
    assert_same(fitted().update(padded, sample_weight=weights), fitted().update(NEW), rtol=1e-6)


def test_fewer_new_rows_than_components_are_enough():
    model = fitted().update(NEW[:2])
    assert model.n_samples_seen_ == 6002


def test_zarr_and_numpy_rows_give_the_same(tmp_path):
    zarr.create_array(tmp_path / "new.zarr", data=NEW, chunks=(500, 2))
    assert_same(fitted().update(str(tmp_path / "new.zarr")), fitted().update(NEW), rtol=1e-6)


def test_a_loaded_model_goes_on(tmp_path):
    weights = np.random.default_rng(0).uniform(5.0, 20.0, size=len(OLD))
    model = fitted(sample_weight=weights)
    model.save(tmp_path / "model.gmm")
    again = load(tmp_path / "model.gmm")
    assert again.weight_seen_ == model.weight_seen_ == pytest.approx(weights.sum())
    assert_same(again.update(NEW), model.update(NEW), rtol=1e-12)
    assert again.weight_seen_ == model.weight_seen_ == pytest.approx(weights.sum() + len(NEW))


def test_a_fit_that_its_checkpoint_ends_tells_its_weight(tmp_path):
    weights = np.full(len(OLD), 3.0)
    settings = {"sample_weight": weights, "acceleration": None, "checkpoint": tmp_path / "fit.checkpoint", "tol": 0.1}
    assert fitted(**settings).weight_seen_ == 18_000
    # No pass is made any more: the checkpoint has what the last one told.
    assert fitted(**settings).weight_seen_ == 18_000


def test_a_model_file_that_tells_no_weight_counts_its_rows(tmp_path):
    fitted().save(tmp_path / "model.gmm")
    with zipfile.ZipFile(tmp_path / "model.gmm") as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    header = json.loads(members["model.json"])
    del header["fit"]["weight_seen"]
    members["model.json"] = json.dumps(header).encode()
    with zipfile.ZipFile(tmp_path / "old.gmm", "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    old = load(tmp_path / "old.gmm")
    assert not hasattr(old, "weight_seen_")
    assert_same(old.update(NEW), fitted().update(NEW), rtol=1e-12)
    assert old.weight_seen_ == 9000


def test_it_goes_on_from_a_stream_and_a_stream_from_it():
    model = GaussianMixture(3, random_state=0, init_size=400, **drawn().start)
    for block in np.split(OLD, 12):
        model.partial_fit(block)
    assert model.weight_seen_ == 6000
    assert model.update(NEW[:1500]).weight_seen_ == 7500
    assert model.partial_fit(NEW[1500:]).weight_seen_ == 9000


def test_a_mixture_from_scikit_learn_does_not_tell_its_weight():
    model = GaussianMixture.from_sklearn(fitted().to_sklearn())
    with pytest.raises(ParameterError, match="weight_seen_: expected a positive number"):
        model.update(NEW)
    model.weight_seen_ = 6000.0
    assert_same(model.update(NEW), fitted().update(NEW), rtol=1e-12)


@pytest.mark.parametrize("decay", [0.0, -0.5, 1.5, np.nan, True, "0.9", None])
def test_a_decay_out_of_range_is_refused(decay):
    with pytest.raises(ParameterError, match="decay: expected a number above 0 and up to 1"):
        fitted().update(NEW, decay)


def test_a_mixture_that_is_not_fitted_is_refused():
    with pytest.raises(NotFittedError):
        GaussianMixture(3).update(NEW)
    with pytest.raises(NotFittedError):
        GaussianMixture(3).partial_fit(NEW[:5]).update(NEW)


def test_another_number_of_components_is_refused():
    with pytest.raises(ParameterError, match="n_components: expected 3"):
        fitted().set_params(n_components=4).update(NEW)


def _with_nan(row: int) -> np.ndarray:
    rows = NEW.copy()
    rows[row, 1] = np.nan
    return rows


@pytest.mark.parametrize(
    ("rows", "weights", "error", "reason"),
    [
        (NEW[:, :1], None, ValueError, "X has 1 features"),
        (da.from_array(NEW[:, :1], chunks=(500, 1)), None, InputDataError, "X has 1 features"),
        (NEW[:0], None, ValueError, "0 sample"),
        (da.from_array(NEW[:0], chunks=(500, 2)), None, InputDataError, "0 sample"),
        (da.from_array(_with_nan(1700), chunks=(500, 2)), None, RowError, "row 1700 .*feature 1 is nan"),
        (NEW, np.zeros(len(NEW)), InputDataError, "weights are zero"),
    ],
)
def test_new_rows_that_cannot_be_used_leave_the_mixture_as_it_was(rows, weights, error, reason):
    model = fitted()
    before = pickle.dumps(model)
    with pytest.raises(error, match=reason):
        model.update(rows, sample_weight=weights)
    assert pickle.dumps(model) == before


def test_other_feature_names_are_refused():
    pandas = pytest.importorskip("pandas")
    model = fitted(pandas.DataFrame(OLD, columns=["tall", "wide"]))
    with pytest.raises(ValueError, match="feature names"):
        model.update(pandas.DataFrame(NEW, columns=["tall", "deep"]))


def test_an_update_that_is_cut_short_says_so():
    model = fitted().set_params(tol=1e-12, max_iter=1)
    with pytest.warns(ConvergenceWarning, match="did not converge"):
        model.update(NEW + 2.0)
    assert model.converged_ is False
    assert model.n_iter_ == 1
