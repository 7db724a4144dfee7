from __future__ import annotations

import inspect
import pickle
import warnings

import dask
import dask.array as da
import numpy as np
import pytest
import zarr
from numpy.testing import assert_allclose, assert_array_equal
from sklearn import config_context
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.metrics import adjusted_rand_score
from sklearn.mixture import GaussianMixture as SklearnGaussianMixture
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from daskgmm import GaussianMixture, load
from daskgmm.errors import ParameterError
from daskgmm.fitted import SHARED_ATTRIBUTES
from tests.drawn import draw
from tests.watched import bits, watched_computes

PER_ROW = ("predict", "predict_proba", "score_samples")
ON_ALL_ROWS = ("score", "bic", "aic")


@pytest.fixture
def rows():
    return draw("full", n_rows=400, spread=2.5).rows


@pytest.fixture
def pair(drawn):
    """The same mixture in scikit-learn's estimator and in the package's."""
    theirs = SklearnGaussianMixture(3, covariance_type=drawn.covariance_type, random_state=5).fit(drawn.rows)
    return theirs, GaussianMixture.from_sklearn(theirs)


def fitted_quietly(model, *args, **kwargs):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(*args, **kwargs)


def fit_bits(model) -> bytes:
    return bits(model.weights_, model.means_, model.covariances_, model.lower_bounds_)


def elsewhere(rows, kind, path):
    """Rows as something that is not a NumPy array, in blocks of 90."""
    lazy = da.from_array(rows, chunks=(90, -1))
    if kind == "unknown sizes":
        return lazy[lazy[:, 0] > -np.inf]
    if kind == "empty blocks":
        return lazy.rechunk(((0, 90, 90, 0, 220, 0), -1))
    if kind == "cut features":
        return lazy.rechunk((90, 2))
    if kind == "dask":
        return lazy
    zarr.create_array(path, data=rows, chunks=(90, rows.shape[1]))
    return {"zarr": lambda: zarr.open_array(path, mode="r"), "path": lambda: path, "text": lambda: str(path)}[kind]()


KINDS = ("dask", "unknown sizes", "empty blocks", "cut features", "zarr", "path", "text")


def test_the_signature_begins_with_scikit_learns():
    theirs = inspect.signature(SklearnGaussianMixture).parameters
    ours = inspect.signature(GaussianMixture).parameters
    assert list(ours)[: len(theirs)] == list(theirs)
    for name, parameter in theirs.items():
        assert (ours[name].default, ours[name].kind) == (parameter.default, parameter.kind)


@pytest.mark.parametrize("method", PER_ROW)
@pytest.mark.parametrize("as_input", [np.asarray, lambda rows: da.from_array(rows, chunks=(70, -1))], ids=["np", "da"])
def test_per_row_results_are_scikit_learns(pair, drawn, method, as_input):
    theirs, ours = pair
    result = np.asarray(getattr(ours, method)(as_input(drawn.rows)))
    expected = getattr(theirs, method)(drawn.rows)
    assert result.dtype == expected.dtype
    assert_allclose(result, expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("method", ON_ALL_ROWS)
@pytest.mark.parametrize("as_input", [np.asarray, lambda rows: da.from_array(rows, chunks=(70, -1))], ids=["np", "da"])
def test_scores_of_all_rows_are_scikit_learns(pair, drawn, method, as_input):
    theirs, ours = pair
    value = getattr(ours, method)(as_input(drawn.rows))
    assert isinstance(value, float)
    assert_allclose(value, getattr(theirs, method)(drawn.rows), rtol=1e-10)


@pytest.mark.parametrize("n_samples", [1, 7, 1_000])
def test_drawn_rows_are_scikit_learns(pair, n_samples):
    theirs, ours = pair
    (rows, labels), (expected_rows, expected_labels) = ours.sample(n_samples), theirs.sample(n_samples)
    assert_allclose(rows, expected_rows, rtol=1e-10, atol=1e-10)
    assert_array_equal(labels, expected_labels)


def test_fit_predict_is_scikit_learns(drawn):
    settings = {"covariance_type": drawn.covariance_type, "random_state": 0}
    ours = GaussianMixture(3, acceleration=None, init_size=None, **settings).fit_predict(drawn.rows)
    assert_array_equal(ours, SklearnGaussianMixture(3, **settings).fit_predict(drawn.rows))


def test_from_and_to_scikit_learn_round_trip(pair):
    theirs, ours = pair
    again = ours.to_sklearn()
    assert again.get_params() == theirs.get_params()
    for name in SHARED_ATTRIBUTES:
        assert hasattr(again, name) == hasattr(theirs, name), name
        if hasattr(theirs, name):
            assert_array_equal(getattr(again, name), getattr(theirs, name))


def test_a_fit_of_ours_works_in_scikit_learn(rows):
    model = GaussianMixture(3, random_state=0).fit(rows)
    assert_allclose(model.to_sklearn().score_samples(rows), model.score_samples(rows), rtol=1e-10)


def test_converting_what_is_not_fitted_is_an_error():
    with pytest.raises(NotFittedError):
        GaussianMixture.from_sklearn(SklearnGaussianMixture())
    with pytest.raises(NotFittedError):
        GaussianMixture().to_sklearn()


@pytest.mark.parametrize("method", [*PER_ROW, *ON_ALL_ROWS])
@pytest.mark.parametrize("as_input", [np.asarray, da.from_array], ids=["np", "da"])
def test_using_what_is_not_fitted_is_an_error(rows, method, as_input):
    with pytest.raises(NotFittedError):
        getattr(GaussianMixture(), method)(as_input(rows))


def test_drawing_from_or_saving_what_is_not_fitted_is_an_error(tmp_path):
    with pytest.raises(NotFittedError):
        GaussianMixture().sample()
    with pytest.raises(NotFittedError):
        GaussianMixture().save(tmp_path / "model.gmm")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("n_samples", [0, -1])
def test_drawing_no_rows_is_an_error(rows, n_samples):
    with pytest.raises(ParameterError, match=f"n_samples: expected an integer >= 1; got {n_samples}"):
        GaussianMixture().fit(rows).sample(n_samples)


@pytest.mark.parametrize("method", PER_ROW)
def test_arrays_here_give_arrays(rows, method):
    result = getattr(GaussianMixture(2, random_state=0).fit(rows), method)(rows)
    assert type(result) is np.ndarray
    assert len(result) == len(rows)


@pytest.mark.parametrize("method", PER_ROW)
@pytest.mark.parametrize("kind", KINDS)
def test_rows_elsewhere_give_lazy_arrays_in_their_blocks(rows, method, kind, tmp_path):
    model = GaussianMixture(2, random_state=0).fit(rows)
    X = elsewhere(rows, kind, tmp_path / "rows.zarr")
    with watched_computes() as computes:
        result = getattr(model, method)(X)
    assert computes == []
    assert isinstance(result, da.Array)
    if isinstance(X, da.Array):
        assert_array_equal(result.chunks[0], X.chunks[0])
    assert all(len(lengths) == 1 for lengths in result.chunks[1:])
    assert_allclose(result.compute(), getattr(model, method)(rows), rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("kind", KINDS)
def test_rows_are_fitted_wherever_they_are(rows, kind, tmp_path):
    settings = {"random_state": 0, "tol": 1e-4, "acceleration": None}
    here = GaussianMixture(3, **settings).fit(rows)
    there = GaussianMixture(3, **settings).fit(elsewhere(rows, kind, tmp_path / "rows.zarr"))
    assert there.n_iter_ == here.n_iter_
    assert there.n_samples_seen_ == len(rows)
    assert there.n_features_in_ == 3
    assert_allclose(there.means_, here.means_, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_rows_lead_to_the_same_optimum_wherever_they_are(rows, kind, tmp_path):
    # Blocks decide which rows the starts see, and so the order of the components.
    settings = {"random_state": 0, "tol": 1e-6}
    here = GaussianMixture(3, **settings).fit(rows)
    there = GaussianMixture(3, **settings).fit(elsewhere(rows, kind, tmp_path / "rows.zarr"))
    assert_allclose(there.lower_bound_, here.lower_bound_, rtol=0, atol=1e-6)
    order, other = np.argsort(here.means_[:, 0]), np.argsort(there.means_[:, 0])
    assert_allclose(there.means_[other], here.means_[order], rtol=0, atol=0.01)


@pytest.mark.parametrize("kind", ["unknown sizes", "empty blocks", "path"])
def test_rows_are_scored_wherever_they_are(rows, kind, tmp_path):
    model = GaussianMixture(3, random_state=0).fit(rows)
    X = elsewhere(rows, kind, tmp_path / "rows.zarr")
    for method in ON_ALL_ROWS:
        assert_allclose(getattr(model, method)(X), getattr(model, method)(rows), rtol=1e-12)


def test_lazy_results_keep_the_parameters_they_were_asked_with(rows):
    model = GaussianMixture(2, random_state=0).fit(rows)
    lazy, expected = model.score_samples(da.from_array(rows)), model.score_samples(rows)
    model.fit(rows[:50] + 5.0)
    assert_allclose(lazy.compute(), expected, rtol=1e-12)


@pytest.mark.parametrize("dtype", ["f4", ">f8", "i2", "u1", "bool", "f2"])
def test_rows_of_any_real_type_are_fitted_as_their_float64(rows, dtype):
    values = np.abs(rows * 20).astype(dtype)
    wide = values.astype(float)
    if dtype == "bool":
        values, wide = rows > 0.5, (rows > 0.5).astype(float)
    settings = {"n_components": 2, "random_state": 0, "reg_covar": 1e-2}
    there, here = (
        fitted_quietly(GaussianMixture(**settings), da.from_array(array, chunks=(90, 3))) for array in (values, wide)
    )
    # float32 rows may be computed in float32.
    rtol = 1e-6 if dtype == "f4" else 1e-10
    assert_allclose(there.means_, here.means_, rtol=rtol, atol=rtol)
    plain, plain_here = (
        fitted_quietly(GaussianMixture(acceleration=None, **settings), array)
        for array in (values, da.from_array(wide, chunks=(90, 3)))
    )
    assert_allclose(plain.means_, plain_here.means_, rtol=rtol, atol=1e-10)


def test_the_same_seed_gives_the_same_bits_on_every_scheduler(client, rows):
    lazy = da.from_array(rows, chunks=(90, 3))
    settings = {"random_state": 3, "init_size": 150, "n_init": 2, "init_params": "k-means++"}
    on_cluster = fit_bits(GaussianMixture(3, **settings).fit(lazy))
    for scheduler in ("synchronous", "threads"):
        with dask.config.set(scheduler=scheduler):
            assert fit_bits(GaussianMixture(3, **settings).fit(lazy)) == on_cluster


def test_one_block_has_the_same_bits_here_and_there(rows):
    settings = {"random_state": 3, "init_size": 150}
    here = GaussianMixture(3, **settings).fit(rows)
    there = GaussianMixture(3, **settings).fit(da.from_array(rows, chunks=-1))
    assert fit_bits(there) == fit_bits(here)


def test_another_seed_starts_elsewhere(rows):
    one, other = (
        fitted_quietly(GaussianMixture(3, init_params="random", random_state=seed, max_iter=1), rows) for seed in (0, 1)
    )
    assert not np.array_equal(one.means_, other.means_)


def test_a_generator_as_seed_goes_on_as_scikit_learns_does(rows):
    settings = {"init_params": "random", "max_iter": 2}
    ours, theirs = np.random.RandomState(0), np.random.RandomState(0)
    for _ in range(2):
        model = GaussianMixture(3, random_state=ours, acceleration=None, init_size=None, **settings)
        expected = SklearnGaussianMixture(3, random_state=theirs, **settings)
        assert_allclose(fitted_quietly(model, rows).means_, fitted_quietly(expected, rows).means_, rtol=1e-9)


def weighted_fits(drawn, rows, sample_weight, other_rows):
    settings = {"covariance_type": drawn.covariance_type, "tol": 1e-4, **drawn.start}
    weighted = fitted_quietly(
        GaussianMixture(3, **settings), da.from_array(rows, chunks=(70, 3)), sample_weight=sample_weight
    )
    return weighted, fitted_quietly(GaussianMixture(3, **settings), da.from_array(other_rows, chunks=(70, 3)))


def assert_same_mixture(one, other):
    assert one.n_iter_ == other.n_iter_
    assert_allclose(one.lower_bound_, other.lower_bound_, rtol=0, atol=1e-10)
    assert_allclose(one.weights_, other.weights_, rtol=1e-10)
    assert_allclose(one.means_, other.means_, rtol=1e-10, atol=1e-10)
    assert_allclose(one.covariances_, other.covariances_, rtol=1e-10, atol=1e-10)


def test_a_row_of_weight_two_is_that_row_twice(drawn, generator):
    sample_weight = generator.integers(1, 4, size=300)
    assert_same_mixture(*weighted_fits(drawn, drawn.rows, sample_weight, np.repeat(drawn.rows, sample_weight, axis=0)))


@pytest.mark.parametrize("filler", [0.0, 1e200, np.nan])
def test_a_row_of_weight_zero_is_not_there(drawn, filler):
    sample_weight = np.ones(300)
    sample_weight[::3] = 0.0
    rows = drawn.rows.copy()
    rows[::3] = filler
    assert_same_mixture(*weighted_fits(drawn, rows, sample_weight, drawn.rows[sample_weight > 0]))


def test_starts_are_found_without_the_rows_of_weight_zero(drawn):
    sample_weight = np.repeat([1.0, 0.0], [300, 20])
    rows = np.concatenate([drawn.rows, np.full((20, 3), np.nan)])
    # With acceleration other starts are drawn, and the draws know of weights.
    settings = {"covariance_type": drawn.covariance_type, "random_state": 0, "acceleration": None}
    weighted = fitted_quietly(GaussianMixture(3, **settings), rows, sample_weight=sample_weight)
    assert_same_mixture(weighted, fitted_quietly(GaussianMixture(3, **settings), drawn.rows))


def test_weights_of_any_scale_give_the_same_mixture(drawn):
    one, other = (
        fitted_quietly(
            GaussianMixture(3, covariance_type=drawn.covariance_type, **drawn.start),
            drawn.rows,
            sample_weight=np.full(300, scale),
        )
        for scale in (1.0, 1e-6)
    )
    assert_same_mixture(one, other)


@pytest.mark.parametrize("kind", ["numpy", "list", "dask", "dask in other blocks", "float32", "int"])
def test_weights_may_come_as_anything(rows, kind):
    values = np.arange(400) % 3 + 1.0
    sample_weight = {
        "numpy": lambda: values,
        "list": lambda: values.tolist(),
        "dask": lambda: da.from_array(values, chunks=90),
        "dask in other blocks": lambda: da.from_array(values, chunks=37),
        "float32": lambda: values.astype(np.float32),
        "int": lambda: values.astype(int),
    }[kind]()
    lazy = da.from_array(rows, chunks=(90, 3))
    expected = GaussianMixture(3, random_state=0).fit(lazy, sample_weight=values)
    assert fit_bits(GaussianMixture(3, random_state=0).fit(lazy, sample_weight=sample_weight)) == fit_bits(expected)


def test_score_weighs(rows):
    model = GaussianMixture(3, random_state=0).fit(rows)
    sample_weight = np.arange(400.0)
    expected = np.average(model.score_samples(rows), weights=sample_weight)
    assert model.score(rows, sample_weight=sample_weight) == pytest.approx(expected, rel=1e-12)


def test_not_converging_is_a_warning(rows):
    with pytest.warns(ConvergenceWarning, match=r"iteration 2 .* tol = 1e-12"):
        model = GaussianMixture(3, max_iter=2, tol=1e-12, random_state=0, acceleration=None).fit(rows)
    assert not model.converged_
    assert model.n_iter_ == 2


def test_no_iterations_are_no_reason_to_warn(rows):
    model = GaussianMixture(3, max_iter=0, random_state=0, acceleration=None).fit(rows)
    expected = SklearnGaussianMixture(3, max_iter=0, random_state=0).fit(rows)
    assert model.n_iter_ == expected.n_iter_ == 0
    assert model.lower_bound_ == expected.lower_bound_
    assert_allclose(model.means_, expected.means_, rtol=1e-9)


@pytest.mark.parametrize("n_fits", [2, 4])
def test_warm_start_goes_on_as_scikit_learns_does(rows, n_fits):
    settings = {"warm_start": True, "max_iter": 3, "tol": 1e-9, "random_state": 0}
    ours = GaussianMixture(3, acceleration=None, init_size=None, **settings)
    theirs = SklearnGaussianMixture(3, **settings)
    for _ in range(n_fits):
        fitted_quietly(ours, rows)
        fitted_quietly(theirs, rows)
        assert ours.n_iter_ == theirs.n_iter_
        assert_allclose(ours.lower_bound_, theirs.lower_bound_, rtol=0, atol=1e-9)
        assert_allclose(ours.means_, theirs.means_, rtol=1e-8)


def test_without_warm_start_fits_begin_anew(rows):
    model = GaussianMixture(3, random_state=0)
    assert fit_bits(model.fit(rows)) == fit_bits(model.fit(rows))


def test_refitting_drops_what_the_first_fit_left(rows):
    model = GaussianMixture(3, random_state=0).fit(rows)
    model.fit(da.from_array(rows[:100, :2]))
    assert model.n_features_in_ == 2
    assert model.n_samples_seen_ == 100
    assert model.means_.shape == (3, 2)


def test_clones_have_the_settings_and_no_fit(rows):
    model = GaussianMixture(2, covariance_type="diag", means_init=np.zeros((2, 3)), init_size=50).fit(rows)
    copy = clone(model)
    assert set(copy.get_params()) == set(model.get_params())
    assert_array_equal(copy.means_init, model.means_init)
    assert not hasattr(copy, "means_")


def test_fitting_does_not_change_the_settings(rows):
    model = GaussianMixture(2, random_state=0)
    before = model.get_params()
    assert model.fit(rows) is model
    assert model.get_params() == before


def test_every_setting_can_be_set_and_read():
    settings = GaussianMixture().get_params()
    changed = GaussianMixture().set_params(n_components=4, covariance_type="tied", acceleration=None, kernel="blas")
    assert changed.get_params() == {
        **settings, "n_components": 4, "covariance_type": "tied", "acceleration": None, "kernel": "blas",
    }  # fmt: skip


def test_a_fitted_mixture_can_be_pickled(rows):
    model = GaussianMixture(2, random_state=0).fit(rows)
    assert_array_equal(pickle.loads(pickle.dumps(model)).predict_proba(rows), model.predict_proba(rows))


def test_it_works_in_a_pipeline(rows):
    pipeline = make_pipeline(StandardScaler(), GaussianMixture(3, random_state=0))
    labels = pipeline.fit_predict(rows)
    assert adjusted_rand_score(labels, GaussianMixture(3, random_state=0).fit_predict(rows)) > 0.5
    assert_array_equal(pipeline.predict(rows), labels)


def test_it_works_in_a_search(rows):
    search = GridSearchCV(GaussianMixture(random_state=0), {"n_components": [1, 3]}, cv=3).fit(rows)
    assert search.best_params_ == {"n_components": 3}


def test_sample_weights_are_routed_to_fit_and_score(rows):
    sample_weight = np.arange(400) % 4 + 0.5
    with config_context(enable_metadata_routing=True):
        model = GaussianMixture(2, random_state=0)
        model.set_fit_request(sample_weight=True).set_score_request(sample_weight=True)
        pipeline = make_pipeline(StandardScaler().set_fit_request(sample_weight=False), model).fit(
            rows, sample_weight=sample_weight
        )
        scores = cross_val_score(model, rows, cv=3, params={"sample_weight": sample_weight})
    scaled = StandardScaler().fit_transform(rows)
    expected = GaussianMixture(2, random_state=0).fit(scaled, sample_weight=sample_weight)
    assert_array_equal(pipeline[-1].means_, expected.means_)
    assert np.isfinite(scores).all()


def test_weights_that_nobody_asked_for_are_not_routed(rows):
    with config_context(enable_metadata_routing=True), pytest.raises(ValueError, match="sample_weight"):
        cross_val_score(GaussianMixture(), rows, cv=3, params={"sample_weight": np.ones(400)})


def test_names_of_a_data_frame_are_kept_and_checked(rows):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(rows, columns=["red", "green", "blue"])
    model = GaussianMixture(2, random_state=0).fit(frame)
    assert_array_equal(model.feature_names_in_, ["red", "green", "blue"])
    with pytest.raises(ValueError, match="feature names should match"):
        model.predict(frame[["green", "red", "blue"]])


def test_data_without_names_have_none(rows):
    assert not hasattr(GaussianMixture(2, random_state=0).fit(rows), "feature_names_in_")


def test_a_saved_mixture_is_loaded_as_it_was(pair, drawn, tmp_path):
    _, model = pair
    fitted_quietly(model, drawn.rows)
    model.save(tmp_path / "model.gmm")
    again = load(tmp_path / "model.gmm")
    assert again.get_params() == model.get_params()
    assert again.history_ == model.history_
    assert (again.n_iter_, again.converged_, again.lower_bounds_) == (
        model.n_iter_,
        model.converged_,
        model.lower_bounds_,
    )
    assert_array_equal(again.predict_proba(drawn.rows), model.predict_proba(drawn.rows))


def test_a_mixture_from_scikit_learn_can_be_saved(pair, drawn, tmp_path):
    theirs, ours = pair
    ours.save(tmp_path / "model.gmm")
    assert_allclose(
        load(tmp_path / "model.gmm").score_samples(drawn.rows), theirs.score_samples(drawn.rows), rtol=1e-10
    )


def test_starts_given_in_the_settings_are_saved(drawn, tmp_path):
    model = fitted_quietly(GaussianMixture(3, covariance_type=drawn.covariance_type, **drawn.start), drawn.rows)
    model.save(tmp_path / "model.gmm")
    assert_array_equal(load(tmp_path / "model.gmm").means_init, model.means_init)


def test_every_row_gets_finite_probabilities_however_far_it_lies(covariance_type):
    model = GaussianMixture(3, covariance_type=covariance_type, random_state=0).fit(draw(covariance_type).rows)
    far = np.array([[1e3, -1e3, 1e3], [1e7, 1e7, 1e7], [-1e12, 0.0, 0.0]])
    proba = model.predict_proba(far)
    assert_allclose(proba.sum(axis=1), 1.0, rtol=1e-12)
    assert np.isfinite(model.score_samples(far)).all()
    assert_array_equal(proba.argmax(axis=1), model.predict(far))


@pytest.mark.parametrize(
    "rows",
    [
        np.zeros((50, 2)),
        np.repeat([[0.0, 0.0], [1.0, 1.0]], 25, axis=0),
        np.column_stack([np.linspace(0, 1, 50), np.full(50, 3.0)]),
        np.column_stack([np.linspace(0, 1, 50), np.linspace(0, 2, 50)]),
    ],
    ids=["one point", "two points", "a constant feature", "a dependent feature"],
)
def test_degenerate_rows_give_finite_mixtures(rows, covariance_type):
    model = fitted_quietly(GaussianMixture(3, covariance_type=covariance_type, random_state=0), rows)
    assert np.isfinite(model.precisions_cholesky_).all()
    assert np.isfinite(model.score_samples(rows)).all()
