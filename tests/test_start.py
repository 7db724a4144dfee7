from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.mixture import GaussianMixture as SklearnGaussianMixture

from daskgmm.engine.schedule import one_thread_per_task
from daskgmm.errors import ParameterError
from daskgmm.start import INIT_PARAMS, GivenStart, start_parameters

GIVEN = ("weights", "means", "precisions")


@pytest.fixture(autouse=True)
def as_in_a_fit():
    """Starts are found with numerical libraries on one thread."""
    with one_thread_per_task():
        yield


def started(rows, given=None, *, covariance_type="full", n_components=3, init_params="kmeans", seed=0, weights=None):
    return start_parameters(
        rows,
        weights,
        given or GivenStart(),
        n_components=n_components,
        covariance_type=covariance_type,
        reg_covar=1e-6,
        init_params=init_params,
        random_state=np.random.RandomState(seed),
    )


def given_of(drawn, names=GIVEN) -> GivenStart:
    return GivenStart(**{name: drawn.start[f"{name}_init"] for name in names})


def sklearns_start(rows, **settings):
    """scikit-learn's own initialisation, which is what max_iter = 0 leaves."""
    return SklearnGaussianMixture(max_iter=0, **settings).fit(rows)


@pytest.mark.parametrize("init_params", INIT_PARAMS)
@pytest.mark.parametrize("seed", [0, 1])
def test_starts_are_scikit_learns(drawn, init_params, seed):
    if drawn.covariance_type == "tied" and init_params in ("k-means++", "random_from_data"):
        pytest.skip("scikit-learn's tied covariance counts all rows here though few are assigned")
    settings = {"covariance_type": drawn.covariance_type, "init_params": init_params}
    expected = sklearns_start(drawn.rows, n_components=3, random_state=seed, **settings)
    start = started(drawn.rows, seed=seed, **settings)
    # scikit-learn divides by all rows though some starts assign only a few: its first weights need not sum to 1.
    assert_allclose(start.weights, expected.weights_ / expected.weights_.sum(), rtol=1e-9)
    assert_allclose(start.means, expected.means_, rtol=1e-9)
    assert_allclose(start.covariances, expected.covariances_, rtol=1e-7, atol=1e-12)


@pytest.mark.parametrize("init_params", INIT_PARAMS)
def test_a_seed_gives_one_start_and_another_seed_another(drawn, init_params):
    one, again, other = (
        started(drawn.rows, covariance_type=drawn.covariance_type, init_params=init_params, seed=seed)
        for seed in (0, 0, 3)
    )
    assert_array_equal(one.means, again.means)
    assert not np.array_equal(one.means, other.means)


@pytest.mark.parametrize("names", [GIVEN[:1], GIVEN[1:2], GIVEN[2:], GIVEN[:2], GIVEN[1:], GIVEN], ids="+".join)
def test_what_is_given_replaces_what_is_found(drawn, names):
    given = given_of(drawn, names)
    start = started(drawn.rows, given, covariance_type=drawn.covariance_type)
    found = started(drawn.rows, covariance_type=drawn.covariance_type)
    for name in GIVEN:
        expected = getattr(given if name in names else found, name)
        assert_allclose(getattr(start, name), expected, rtol=1e-12)


def test_a_complete_start_needs_no_rows(drawn):
    start = started(np.empty((0, 3)), given_of(drawn), covariance_type=drawn.covariance_type)
    assert_array_equal(start.means, drawn.start["means_init"])


@pytest.mark.parametrize("names", [(), GIVEN[:1], GIVEN[:2], GIVEN])
def test_only_a_whole_start_is_complete(drawn, names):
    assert given_of(drawn, names).is_complete == (names == GIVEN)


@pytest.mark.parametrize("init_params", INIT_PARAMS)
def test_rows_of_weight_zero_start_nothing(generator, init_params):
    rows = np.concatenate([generator.normal(size=(60, 2)), np.full((20, 2), 1e6)])
    start = started(rows, init_params=init_params, weights=np.repeat([1.0, 0.0], [60, 20]))
    assert np.abs(start.means).max() < 10


@pytest.mark.parametrize("init_params", ["k-means++", "random_from_data"])
def test_rows_of_more_weight_are_chosen_more_often(generator, init_params):
    rows = generator.normal(size=(10, 1))
    weights = np.full(10, 1e-3)
    weights[4] = 1e3
    starts = [started(rows, n_components=1, init_params=init_params, seed=seed, weights=weights) for seed in range(20)]
    assert all(start.means[0, 0] == pytest.approx(rows[4, 0]) for start in starts)


# With weights, random_from_data draws from NumPy in another way, and therefore other rows.
@pytest.mark.parametrize("init_params", ["kmeans", "k-means++", "random"])
def test_weights_of_one_make_no_difference(drawn, init_params):
    plain = started(drawn.rows, init_params=init_params)
    weighted = started(drawn.rows, init_params=init_params, weights=np.ones(len(drawn.rows)))
    assert_allclose(weighted.means, plain.means, rtol=1e-12)


@pytest.mark.parametrize("init_params", INIT_PARAMS)
def test_as_many_rows_as_components_are_enough(generator, init_params, covariance_type):
    start = started(generator.normal(size=(3, 2)), init_params=init_params, covariance_type=covariance_type)
    assert start.means.shape == (3, 2)
    assert np.isfinite(start.precisions_cholesky).all()


@pytest.mark.parametrize("init_params", INIT_PARAMS)
def test_fewer_distinct_rows_than_components_still_give_a_start(init_params):
    rows = np.repeat([[0.0, 0.0], [5.0, 5.0]], 10, axis=0)
    start = started(rows, init_params=init_params)
    assert start.means.shape == (3, 2)
    assert np.isfinite(start.precisions_cholesky).all()


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("weights", [0.5, 0.5]),
        ("weights", [[0.2, 0.3, 0.5]]),
        ("weights", [0.5, 0.4, 0.3]),
        ("weights", [1.5, -0.2, -0.3]),
        ("weights", [np.nan, 0.5, 0.5]),
        ("weights", "heavy"),
        ("means", np.zeros((3, 2))),
        ("means", np.zeros(3)),
        ("means", np.full((3, 3), np.inf)),
        ("means", [["a"] * 3] * 3),
    ],
    ids=str,
)
def test_a_start_that_does_not_fit_is_an_error_that_names_it(drawn, name, wrong):
    with pytest.raises(ParameterError, match=name):
        GivenStart(**{name: wrong}).check(n_components=3, n_features=3, covariance_type=drawn.covariance_type)


def wrong_precisions(covariance_type):
    sound = {
        "full": np.tile(np.eye(3), (3, 1, 1)),
        "tied": np.eye(3),
        "diag": np.ones((3, 3)),
        "spherical": np.ones(3),
    }[covariance_type]
    flat = sound.copy()
    flat[-1] = 0.0
    yield "one more dimension", sound[None]
    yield "one component fewer", sound[:-1]
    yield "negative", -sound
    yield "singular", flat
    yield "nan", sound * np.nan
    if covariance_type in ("full", "tied"):
        skew = sound.copy()
        skew[..., 0, 1] = 0.5
        yield "not symmetric", skew


def test_precisions_that_do_not_fit_are_an_error_that_names_them(covariance_type):
    for kind, wrong in wrong_precisions(covariance_type):
        with pytest.raises(ParameterError, match="precisions") as caught:
            GivenStart(precisions=wrong).check(n_components=3, n_features=3, covariance_type=covariance_type)
        assert "expected" in str(caught.value), kind
