from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.mixture import GaussianMixture as SklearnGaussianMixture

from daskgmm import GaussianMixture
from daskgmm.errors import DegenerateMixtureError, ModelFormatError, ParameterError
from daskgmm.fitted import (
    FIT_RECORD,
    SHARED_ATTRIBUTES,
    SHARED_SETTINGS,
    copy_fitted,
    model_of,
    parameters_of,
    restore,
    shared_settings,
)

PARAMETERS = ("weights_", "means_", "covariances_", "precisions_", "precisions_cholesky_")


@pytest.fixture
def model(drawn):
    return GaussianMixture(3, covariance_type=drawn.covariance_type, random_state=0, init_size=150).fit(drawn.rows)


def test_shared_settings_are_all_of_scikit_learns():
    assert set(SHARED_SETTINGS) == set(SklearnGaussianMixture().get_params())


def test_shared_attributes_are_all_of_scikit_learns(drawn):
    fitted = SklearnGaussianMixture(3, covariance_type=drawn.covariance_type, random_state=0).fit(drawn.rows)
    public = {name for name in vars(fitted) if name.endswith("_") and not name.startswith("_")}
    assert public <= set(SHARED_ATTRIBUTES)


def test_attributes_have_scikit_learns_shapes_and_types(model, drawn):
    fitted = SklearnGaussianMixture(3, covariance_type=drawn.covariance_type, random_state=0).fit(drawn.rows)
    for name in SHARED_ATTRIBUTES:
        if hasattr(fitted, name):
            expected, value = getattr(fitted, name), getattr(model, name)
            assert type(value) is type(expected) or isinstance(value, float | int), name
            assert np.shape(value) == np.shape(expected) or name == "lower_bounds_", name


def test_attributes_are_the_users_own_arrays(model):
    before = model.score_samples(model.means_)
    model.means_ += 100.0
    model.weights_[:] = 1 / 3
    assert (model.score_samples(model.means_ - 100.0) < before - 10).all()


def test_parameters_are_those_of_the_attributes(model):
    parameters = parameters_of(model)
    for name in PARAMETERS:
        assert_array_equal(getattr(parameters, name.rstrip("_")), getattr(model, name))


def test_attributes_made_unsound_are_an_error(model):
    model.weights_ = model.weights_ * 2
    with pytest.raises(ParameterError, match="weights"):
        parameters_of(model)


def test_a_factor_made_unsound_is_an_error(model):
    model.precisions_cholesky_ = -model.precisions_cholesky_
    with pytest.raises((ParameterError, DegenerateMixtureError), match="precisions_cholesky"):
        parameters_of(model)


def test_history_is_plain_data_under_public_keys(model):
    keys = {"pass", "phase", "lower_bound", "change", "seconds", "rows", "bytes", "reseeded"}
    assert [set(entry) for entry in model.history_] == [keys] * len(model.history_)
    assert json.loads(json.dumps(model.history_)) == model.history_
    assert model.history_[-1]["pass"] == model.n_passes_


def test_a_model_of_an_estimator_restores_it(model):
    kept = model_of(model)
    again = restore(GaussianMixture(**kept.settings), kept)
    for name in PARAMETERS:
        assert_array_equal(getattr(again, name), getattr(model, name))
    for name in FIT_RECORD:
        assert getattr(again, name) == getattr(model, name), name
    assert again.get_params() == model.get_params()
    assert again.n_features_in_ == 3
    assert not hasattr(again, "feature_names_in_")


def test_feature_names_are_kept(model):
    model.feature_names_in_ = np.array(["a", "b", "c"], dtype=object)
    kept = model_of(model)
    assert kept.feature_names == ("a", "b", "c")
    assert_array_equal(restore(GaussianMixture(**kept.settings), kept).feature_names_in_, model.feature_names_in_)


def test_the_state_of_a_generator_is_not_kept(drawn):
    generator = np.random.RandomState(0)
    model = GaussianMixture(3, covariance_type=drawn.covariance_type, random_state=generator).fit(drawn.rows)
    assert model_of(model).settings["random_state"] is None


@pytest.mark.parametrize("name", FIT_RECORD)
def test_a_fit_record_that_is_wrong_is_an_error_that_names_it(model, name):
    kept = model_of(model)
    key = name.rstrip("_")
    for value in (None, "text", {}):
        broken = replace(kept, fit={**kept.fit, key: value})
        with pytest.raises(ModelFormatError, match=rf"fit\.{key}: expected"):
            restore(GaussianMixture(**kept.settings), broken)


def test_scikit_learns_settings_are_shared(model):
    assert SklearnGaussianMixture(**shared_settings(model)).get_params() == shared_settings(model)


def test_fitted_attributes_are_copied_as_far_as_there_are_any(model):
    target = copy_fitted(model, SklearnGaussianMixture())
    assert_array_equal(target.means_, model.means_)
    assert target.n_iter_ == model.n_iter_
    assert not hasattr(target, "history_")
    assert not hasattr(target, "feature_names_in_")
