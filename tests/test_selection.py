"""Mixtures fitted together: which one is best, what the table says, and what the data are read for."""

from __future__ import annotations

import warnings

import dask.array as da
import numpy as np
import pytest
import zarr
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.exceptions import ConvergenceWarning

from daskgmm import GaussianMixture, select_components
from daskgmm.errors import DaskGMMError, DegenerateMixtureError, InputDataError, ParameterError, RowError
from daskgmm.fitting import race, rivals, search
from tests.drawn import draw
from tests.watched import WatchedArray, bits

FEW = {"random_state": 0, "init_size": 300}


@pytest.fixture(scope="module")
def rows():
    """Three clusters."""
    return draw("full", n_rows=900, n_features=2, spread=5.0, seed=3).rows


@pytest.fixture(scope="module")
def result(rows):
    return select_components(lazy(rows), [1, 2, 3, 4], covariance_types=["full", "spherical"], **FEW)


def lazy(rows):
    return da.from_array(rows, chunks=(200, -1))


def row_of(result, n_components, covariance_type="full"):
    index = next(
        i
        for i, row in enumerate(result.table)
        if (row["n_components"], row["covariance_type"]) == (n_components, covariance_type)
    )
    return result.table[index], result.models[index]


def test_the_best_is_the_one_with_the_lowest_criterion(result):
    lowest = min(range(8), key=lambda index: result.table[index]["criterion"])
    assert result.best is result.models[lowest]
    assert (result.best.n_components, result.best.covariance_type) == (3, "full")


def test_the_table_has_a_row_for_every_pair_of_settings_in_order(result, rows):
    pairs = [(row["covariance_type"], row["n_components"]) for row in result.table]
    assert pairs == [(kind, k) for kind in ("full", "spherical") for k in (1, 2, 3, 4)]
    for row, model in zip(result.table, result.models, strict=True):
        theirs = model.to_sklearn()
        assert_allclose(row["criterion"], theirs.bic(rows), rtol=1e-10)
        assert_allclose(row["log_likelihood"], theirs.score(rows), rtol=1e-10)
        assert row["n_parameters"] == theirs._n_parameters()
        assert (row["n_passes"], row["converged"]) == (model.n_passes_, model.converged_)


def test_it_is_shown_as_a_table_that_marks_the_best(result):
    title, head, *lines = repr(result).splitlines()
    assert title == f"SelectionResult: bic, {result.n_passes} passes over the data for 8 mixtures"
    assert head.split()[:2] == ["n_components", "covariance_type"]
    (marked,) = [line for line in lines if line.startswith("*")]
    assert marked.split()[1:3] == ["3", "full"]
    assert len(lines) == 8


def test_each_candidate_is_what_it_would_be_alone(result, rows):
    n_went_on = 0
    for row, model in zip(result.table, result.models, strict=True):
        if row["problem"]:
            continue
        n_went_on += 1
        alone = GaussianMixture(row["n_components"], covariance_type=row["covariance_type"], **FEW).fit(lazy(rows))
        assert bits(model.means_, model.covariances_) == bits(alone.means_, alone.covariances_)
        assert model.lower_bounds_ == alone.lower_bounds_
        assert (model.n_passes_, model.n_samples_seen_, model.n_features_in_) == (alone.n_passes_, 900, 2)
        assert [(entry["pass"], entry["phase"], entry["rows"]) for entry in model.history_] == [
            (entry["pass"], entry["phase"], entry["rows"]) for entry in alone.history_
        ]
    assert n_went_on >= 3


def test_plain_candidates_are_scikit_learns_too(rows):
    settings = {"acceleration": None, "n_init": 3, "init_params": "random_from_data", "random_state": 0, "tol": 1e-2}
    result = select_components(lazy(rows), [2, 3], **settings)
    for row, model in zip(result.table, result.models, strict=True):
        alone = GaussianMixture(row["n_components"], **settings).fit(lazy(rows))
        assert bits(model.means_, model.covariances_) == bits(alone.means_, alone.covariances_)
        assert model.n_passes_ == alone.n_passes_


def test_the_data_are_read_once_a_pass_however_many_candidates_there_are(rows):
    watched = WatchedArray(rows)
    result = select_components(watched.as_dask(200), range(1, 5), cache=None, **FEW)
    assert watched.n_reads == 5 * result.n_passes
    slowest = max(row["n_passes"] for row in result.table)
    assert result.n_passes == slowest + 1 <= 1.5 * slowest
    assert sum(entry["rows"] for entry in result.best.history_ if entry["phase"] != "sample") <= 900 * result.n_passes


@pytest.mark.parametrize("criterion", ["bic", "aic", "icl", "held-out"])
def test_every_criterion_prefers_no_fewer_than_the_clusters_there_are(rows, criterion):
    result = select_components(rows, [1, 2, 3, 4], criterion=criterion, random_state=0)
    assert result.criterion == criterion
    assert result.best.n_components in ((3,) if criterion in ("bic", "icl") else (3, 4))
    assert row_of(result, 3)[0]["criterion"] < row_of(result, 2)[0]["criterion"] < row_of(result, 1)[0]["criterion"]


def test_held_out_rows_are_not_fitted_to(rows):
    result = select_components(lazy(rows), [2, 3], criterion="held-out", random_state=0)
    assert 750 < result.best.n_samples_seen_ < 860
    assert sum(entry["rows"] for entry in result.best.history_ if entry["phase"] == "em") < 860 * result.n_passes


@pytest.mark.parametrize("seed", range(2))
def test_bic_finds_the_number_of_separated_clusters(seed):
    generator = np.random.default_rng(seed)
    n_components = 2 + seed
    centres = np.stack([np.arange(n_components) * 9.0, generator.normal(size=n_components)], axis=1)
    rows = centres[np.arange(600) % n_components] + generator.normal(size=(600, 2))
    assert select_components(rows, range(1, 5), random_state=0).best.n_components == n_components


def test_candidates_that_cannot_win_stop_and_the_winner_stays_the_same(result, rows, monkeypatch):
    stopped = [row for row in result.table if row["problem"]]
    assert stopped
    for row in stopped:
        assert row["problem"].startswith("stopped after 2 passes")
        assert (row["n_passes"], row["converged"]) == (3, False)
    monkeypatch.setattr(race, "FEWEST_PASSES", 1_000)
    whole = select_components(lazy(rows), [1, 2, 3, 4], covariance_types=["full", "spherical"], **FEW)
    assert not any(row["problem"] for row in whole.table)
    assert bits(whole.best.means_, whole.best.covariances_) == bits(result.best.means_, result.best.covariances_)
    for row, longer in zip(result.table, whole.table, strict=True):
        assert longer["criterion"] <= row["criterion"] + 1e-9 * abs(row["criterion"])


def test_the_same_seed_gives_the_same_bits_and_stops_on_threads_and_on_a_cluster(result, rows, client):
    again = select_components(lazy(rows), [1, 2, 3, 4], covariance_types=["full", "spherical"], **FEW)
    assert [row["problem"] for row in again.table] == [row["problem"] for row in result.table]
    for one, other in zip(again.models, result.models, strict=True):
        assert bits(one.means_, one.covariances_, one.lower_bounds_) == bits(
            other.means_, other.covariances_, other.lower_bounds_
        )


def test_a_generator_goes_on_from_search_to_search(rows):
    generator = np.random.RandomState(0)
    settings = {"init_params": "random", "acceleration": None, "max_iter": 1, "random_state": generator}
    with pytest.warns(ConvergenceWarning, match="did not converge in 1 iterations"):
        one, other = (select_components(rows, [3], **settings).best for _ in range(2))
    assert not np.array_equal(one.means_, other.means_)


def collapsing(counts):
    """A start on the sample that fails for some numbers of components."""
    sampled_starts = search.sampled_starts

    def start(sample, given, settings, random_state, **others):
        if settings.n_components in counts:
            raise DegenerateMixtureError("every component collapsed")
        return sampled_starts(sample, given, settings, random_state, **others)

    return start


def test_candidates_that_collapse_stay_in_the_table_with_the_reason(rows, monkeypatch):
    monkeypatch.setattr(search, "sampled_starts", collapsing({3}))
    result = select_components(lazy(rows), [2, 3, 4], **FEW)
    row, model = row_of(result, 3)
    assert model is None
    assert row["problem"] == "every component collapsed"
    assert np.isnan(row["criterion"])
    assert (row["n_parameters"], row["n_passes"], row["converged"]) == (None, None, False)
    assert result.best.n_components == 4
    assert "every component collapsed" in repr(result)


def test_no_candidate_at_all_is_an_error(rows, monkeypatch):
    monkeypatch.setattr(search, "sampled_starts", collapsing({2, 3}))
    with pytest.raises(DegenerateMixtureError, match=r"found none\. every component collapsed"):
        select_components(rows, [2, 3])


def test_a_collapse_on_the_way_is_the_candidates_own(rows, monkeypatch):
    run_from = rivals.run_from

    def run(start, sample, settings, journal, number, sweep, *, note):
        if settings.n_components == 4:
            sweep(start.parameters)
            raise DegenerateMixtureError("every component collapsed")
        return run_from(start, sample, settings, journal, number, sweep, note=note)

    monkeypatch.setattr(rivals, "run_from", run)
    result = select_components(lazy(rows), [3, 4], **FEW)
    assert [row["problem"] for row in result.table] == ["", "every component collapsed"]
    alone = GaussianMixture(3, **FEW).fit(lazy(rows))
    assert bits(result.best.means_) == bits(alone.means_)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_components": []}, "n_components: expected at least one to try; got none"),
        ({"covariance_types": []}, "covariance_types: expected at least one to try; got none"),
        ({"n_components": None}, "n_components: expected one value or several to try; got None"),
        ({"n_components": [2, -1]}, "n_components: expected an integer >= 1; got -1"),
        ({"n_components": 0}, "n_components: expected an integer >= 1; got 0"),
        ({"n_components": 2.5}, r"n_components: expected an integer >= 1; got 2\.5"),
        ({"covariance_types": ["round"]}, "covariance_type: expected one of .*; got 'round'"),
        ({"criterion": "best"}, "criterion: expected one of 'bic', 'aic', 'icl', 'held-out'; got 'best'"),
        ({"learning_rate": 1}, "learning_rate: not a setting of this search"),
        ({"covariance_type": "full"}, "covariance_type: not a setting of this search"),
        ({"warm_start": True}, "warm_start: not a setting of this search"),
        ({"means_init": np.zeros((2, 2))}, "means_init: a start fits one number of components"),
        ({"tol": -1.0}, "tol: expected a finite number >= 0"),
    ],
)
def test_what_cannot_be_searched_is_an_error_before_anything_is_read(rows, arguments, message):
    watched = WatchedArray(rows)
    with pytest.raises(ParameterError, match=message):
        select_components(watched.as_dask(200), **{"n_components": [1, 2], **arguments})
    assert watched.n_reads == 0


@pytest.mark.parametrize("n_components", [3, np.int64(3), [3], (3, 3)])
def test_one_number_will_do_and_repetitions_are_tried_once(rows, n_components):
    result = select_components(rows, n_components, covariance_types="diag", random_state=0)
    assert [(row["n_components"], row["covariance_type"]) for row in result.table] == [(3, "diag")]


def test_more_components_than_rows_are_an_error(rows):
    with pytest.raises(InputDataError, match="n_components = 10, n_samples = 5"):
        select_components(rows[:5])


def test_too_few_rows_to_hold_some_out_are_an_error(rows):
    with pytest.raises(InputDataError, match="to hold out"):
        select_components(rows[:3], [1, 2], criterion="held-out", random_state=0)


@pytest.mark.parametrize("criterion", ["bic", "held-out"])
def test_a_row_with_nan_is_an_error_whichever_part_it_is_in(rows, criterion):
    for bad in range(200, 220):
        spoiled = rows.copy()
        spoiled[bad, 0] = np.nan
        with pytest.raises(RowError, match=f"row {bad} "):
            select_components(lazy(spoiled), [1], criterion=criterion, random_state=0)


@pytest.mark.parametrize(
    "degenerate",
    [
        lambda rows: np.c_[rows[:100], np.ones(100)],
        lambda rows: np.repeat(rows[:4], 10, axis=0),
        lambda rows: np.ones((20, 2)),
    ],
    ids=["constant feature", "repeated rows", "one point"],
)
def test_degenerate_data_give_a_mixture_and_a_warning_that_says_so(rows, degenerate, covariance_type):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        result = select_components(degenerate(rows), [1, 2, 5], covariance_types=covariance_type, random_state=0)
    assert np.isfinite(result.best.covariances_).all()
    thin = np.abs(result.best.covariances_).min() < 1e-5 or covariance_type in ("full", "tied")
    said = [str(one.message) for one in caught if "degenerate: " in str(one.message)]
    assert len(said) == thin
    assert all("hardly more than reg_covar = 1e-06" in message for message in said)


def test_sound_data_give_no_warning(rows):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        select_components(rows, [1, 3], random_state=0)


def test_weights_count_as_numbers_of_rows(rows, generator):
    weights = generator.integers(0, 3, size=900)
    spoiled = rows.copy()
    spoiled[weights == 0] = np.nan
    settings = {"random_state": 0, "tol": 1e-7, "max_iter": 500}
    weighted = select_components(lazy(spoiled), [2, 3, 4], sample_weight=weights, **settings)
    repeated = select_components(lazy(np.repeat(rows, weights, axis=0)), [2, 3, 4], **settings)
    assert weighted.best.n_components == repeated.best.n_components == 3
    assert_allclose(row_of(weighted, 3)[0]["criterion"], row_of(repeated, 3)[0]["criterion"], rtol=1e-6)
    assert_allclose(row_of(weighted, 2)[0]["criterion"], row_of(repeated, 2)[0]["criterion"], rtol=1e-4)


@pytest.mark.parametrize("kind", ["numpy", "dask", "unknown sizes", "zarr", "path", "data frame"])
def test_rows_may_come_as_anything_a_fit_takes(rows, kind, tmp_path):
    path = tmp_path / "rows.zarr"
    zarr.create_array(path, data=rows, chunks=(200, 2))
    X = {
        "numpy": lambda: rows,
        "dask": lambda: lazy(rows),
        "unknown sizes": lambda: lazy(rows)[lazy(rows)[:, 0] > -np.inf],
        "zarr": lambda: zarr.open_array(path, mode="r"),
        "path": lambda: str(path),
        "data frame": lambda: pytest.importorskip("pandas").DataFrame(rows, columns=["red", "green"]),
    }[kind]()
    best = select_components(X, [2, 3], random_state=0).best
    assert (best.n_components, best.n_samples_seen_, best.n_features_in_) == (3, 900, 2)
    if kind == "data frame":
        assert_array_equal(best.feature_names_in_, ["red", "green"])
    assert len(best.predict(X)) == len(X) if kind == "numpy" else True


def test_a_mixture_found_is_saved_and_loaded_as_any_other(result, rows, tmp_path):
    from daskgmm import load

    result.best.save(tmp_path / "best.gmm")
    again = load(tmp_path / "best.gmm")
    assert again.get_params() == result.best.get_params()
    assert_array_equal(again.predict(rows), result.best.predict(rows))


def test_a_failing_pass_ends_the_search_with_its_own_error(rows):
    def read(block):
        raise DaskGMMError("the store is gone")

    with pytest.raises(DaskGMMError, match="the store is gone"):
        select_components(lazy(rows).map_blocks(read, meta=np.empty((0, 0))), [1, 2])
