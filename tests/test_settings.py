from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest

from daskgmm import GaussianMixture
from daskgmm.errors import ParameterError
from daskgmm.settings import FitSettings, sample_size

WRONG = [
    *[("n_components", value) for value in (0, -1, 1.0, 1.5, "2", None, True, np.nan)],
    *[("max_iter", value) for value in (-1, 1.0, None, "10")],
    *[("n_init", value) for value in (0, -1, 2.0, None)],
    *[("tol", value) for value in (-1e-9, np.nan, np.inf, "0", None, True)],
    *[("reg_covar", value) for value in (-1e-9, np.nan, np.inf, "0", None)],
    *[("covariance_type", value) for value in ("Full", "", None, 1, ["full"])],
    *[("init_params", value) for value in ("k-means", None, 0, ["kmeans"])],
    *[("acceleration", value) for value in ("none", "", 0, True, ["auto"])],
    *[("kernel", value) for value in ("fast", None, 0, ["auto"])],
    *[("init_size", value) for value in ("all", 0, -5, 100.0, True, [10])],
]


def test_the_defaults_are_the_estimators():
    settings = GaussianMixture().get_params()
    assert {field.name: field.default for field in fields(FitSettings)} == {
        field.name: settings[field.name] for field in fields(FitSettings)
    }


@pytest.mark.parametrize(("name", "value"), WRONG, ids=[f"{name}={value!r}" for name, value in WRONG])
def test_a_wrong_value_is_an_error_that_names_the_setting_and_the_value(name, value):
    with pytest.raises(ParameterError, match=rf"^{name}: expected .*; got ") as caught:
        FitSettings(**{name: value})
    assert repr(value) in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("n_components", np.int64(3)),
        ("tol", 0),
        ("tol", np.float32(0.5)),
        ("reg_covar", 0.0),
        ("max_iter", 0),
        ("init_size", None),
        ("init_size", np.int32(20)),
        ("acceleration", None),
        ("kernel", "blas"),
    ],
)
def test_values_at_the_edge_are_accepted(name, value):
    assert getattr(FitSettings(**{name: value}), name) == value


@pytest.mark.parametrize("init_size", [9, np.int64(9)])
def test_a_sample_smaller_than_the_components_is_refused(init_size):
    with pytest.raises(ParameterError, match=r"init_size: expected at least n_components = 10 .*got 9"):
        FitSettings(n_components=10, init_size=init_size)


def test_settings_cannot_be_changed():
    with pytest.raises(AttributeError):
        FitSettings().tol = 1.0


def test_all_rows_are_the_sample_when_no_size_is_set():
    assert sample_size(FitSettings(init_size=None), 10, 2) is None


def test_the_size_asked_for_is_the_size():
    assert sample_size(FitSettings(init_size=1_234), 10**9, 10**6) == 1_234


def test_the_automatic_size_grows_with_the_parameters():
    small, large = (sample_size(FitSettings(), n_free, 2) for n_free in (10, 10_000))
    assert small == 100_000
    assert large == 500_000


@pytest.mark.parametrize("n_features", [1, 100, 10_000, 10**7])
def test_the_automatic_sample_fits_in_memory(n_features):
    assert sample_size(FitSettings(), 10**7, n_features) * n_features * 8 <= max(2**28, n_features * 8)


def test_the_automatic_sample_has_a_row_for_each_component():
    assert sample_size(FitSettings(n_components=50), 10**6, 10**8) == 50
