"""How far rows lie from those of a fit, held against NumPy, SciPy and scikit-learn on all rows in memory."""

from __future__ import annotations

import pickle
from dataclasses import replace

import dask.array as da
import numpy as np
import pytest
import zarr
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import ks_2samp
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from daskgmm import GaussianMixture, load, select_components
from daskgmm.drift import Drift, keep_distribution, keeps_distribution, measure_drift
from daskgmm.errors import InputDataError, ModelFormatError, NoDistributionError
from daskgmm.fitted import model_of, restore
from daskgmm.fitting import distribution, fit, memory
from daskgmm.kept_distribution import RECORD_KEY
from tests.drawn import draw

pytestmark = pytest.mark.filterwarnings("ignore:EM did not converge")

ROWS = draw("full", n_rows=6000, n_features=2, spread=4.0).rows
PLAIN = {"acceleration": None, "init_params": "random_from_data", "max_iter": 5, "random_state": 0}


def fitted(rows, **settings) -> GaussianMixture:
    weight = settings.pop("sample_weight", None)
    return GaussianMixture(3, **{**PLAIN, **settings}).fit(rows, sample_weight=weight)


def stability_index(before, now) -> float:
    """By the book, of counts in the same bins."""
    shares = [np.maximum(np.asarray(counts) / np.sum(counts), 1e-4) for counts in (before, now)]
    return sum((new - old) * np.log(new / old) for old, new in zip(*shares, strict=True))


def expected_drift(mixture: GaussianMixture, before, now) -> dict[str, float]:
    """What all rows in memory say, by way of scikit-learn's densities and labels."""
    model = mixture.to_sklearn()
    densities = [model.score_samples(rows) for rows in (before, now)]
    labels = [np.bincount(model.predict(rows), minlength=model.n_components) for rows in (before, now)]
    edges = [-np.inf, *np.quantile(densities[0], np.arange(1, 10) / 10), np.inf]
    return {
        "log_density_psi": stability_index(*(np.histogram(values, edges)[0] for values in densities)),
        "component_psi": stability_index(*labels),
        "ks_distance": ks_2samp(*densities).statistic,
        "mean_log_likelihood": densities[1].mean(),
    }


def check(drift: Drift, expected: dict[str, float]) -> None:
    # Deciles lie between two rows, here and in NumPy: a row or two on the other side of each.
    assert_allclose(drift.log_density_psi, expected["log_density_psi"], rtol=0.02, atol=2e-3)
    assert_allclose(drift.component_psi, expected["component_psi"], rtol=1e-9)
    assert expected["ks_distance"] - 0.006 <= drift.ks_distance <= expected["ks_distance"] + 1e-9
    assert_allclose(drift.mean_log_likelihood, expected["mean_log_likelihood"], rtol=1e-9)


def test_drift_is_what_all_rows_in_memory_say(covariance_type):
    drawn = draw(covariance_type, n_rows=3000, spread=3.0)
    mixture = fitted(drawn.rows[:2000], covariance_type=covariance_type)
    for now in (drawn.rows[2000:], drawn.rows[2000:] + 0.7, drawn.rows[2000:] * 2, drawn.rows[:300]):
        check(measure_drift(mixture, now), expected_drift(mixture, drawn.rows[:2000], now))


def test_the_rows_fitted_to_have_not_drifted():
    for rows in (ROWS, np.repeat(ROWS[:40], 20, axis=0)):
        drift = measure_drift(fitted(rows), rows)
        assert (drift.psi, drift.ks_distance) == (0, 0)
        assert_array_equal(drift.shares_before, drift.shares_now)


def test_rows_of_the_same_kind_stay_below_a_hundredth_and_others_do_not(generator):
    mixture = fitted(ROWS[:3000])
    assert measure_drift(mixture, ROWS[3000:]).psi < 0.01
    assert measure_drift(mixture, ROWS[3000:] + 1.0).psi > 0.1


def test_rows_that_move_between_components_that_are_as_dense_are_noticed(generator):
    """Log densities alone say nothing of them."""
    centres = np.array([[-6.0, 0.0], [6.0, 0.0]])
    draw_two = lambda n, share: (  # noqa: E731
        centres[(generator.random(n) < share).astype(int)] + generator.normal(size=(n, 2))
    )
    mixture = GaussianMixture(2, random_state=0).fit(draw_two(4000, 0.5))
    drift = measure_drift(mixture, draw_two(4000, 0.9))
    assert drift.log_density_psi < 0.02
    assert drift.psi == drift.component_psi > 0.5


@pytest.mark.parametrize("kind", ["dask", "zarr", "path", "float32"])
def test_data_of_any_kind_tell_the_same(tmp_path, kind):
    array = zarr.create_array(tmp_path / "rows.zarr", data=ROWS, chunks=(700, 2))
    data = {
        "dask": da.from_array(ROWS, chunks=(900, 2)),
        "zarr": array,
        "path": tmp_path / "rows.zarr",
        "float32": ROWS.astype(np.float32),
    }[kind]
    mixture, same = fitted(data), fitted(ROWS)
    one, other = measure_drift(mixture, data), measure_drift(same, ROWS)
    assert one.psi == one.ks_distance == 0
    assert_array_equal(one.shares_below_before, other.shares_below_before)
    assert_allclose(one.log_densities, other.log_densities, rtol=1e-5)


def test_weights_are_numbers_of_rows(generator):
    weights = generator.integers(0, 4, size=len(ROWS))
    repeated = np.repeat(ROWS, weights, axis=0)
    mixture = fitted(ROWS, sample_weight=weights, means_init=ROWS[:3])
    same = fitted(repeated, means_init=ROWS[:3])
    one, other = measure_drift(mixture, repeated), measure_drift(same, repeated)
    assert_allclose(one.shares_below_before, one.shares_below_now, atol=1e-12)
    assert_allclose(one.shares_below_before, other.shares_below_before, atol=1e-12)
    weighted = measure_drift(mixture, ROWS, sample_weight=weights)
    assert_allclose(weighted.shares_below_now, one.shares_below_now, atol=1e-12)
    assert_allclose(weighted.shares_now, one.shares_now)
    assert measure_drift(mixture, ROWS).ks_distance > 0


@pytest.mark.parametrize(
    "settings",
    [
        {"acceleration": "auto"},
        {"acceleration": "auto", "init_size": 1500},
        {"init_size": None},
        {"n_init": 3},
        {"max_iter": 1},
        {"means_init": ROWS[:3], "weights_init": np.full(3, 1 / 3), "precisions_init": np.stack([np.eye(2)] * 3)},
    ],
)
def test_however_a_fit_starts_it_keeps_a_distribution_at_no_pass(settings, monkeypatch):
    def of_nothing(*_):
        return None

    mixture = fitted(ROWS, **settings)
    assert measure_drift(mixture, ROWS).psi == 0
    monkeypatch.setattr(fit, "distribution_on", of_nothing)
    without = fitted(ROWS, **settings)
    assert not keeps_distribution(without)
    assert without.n_passes_ == mixture.n_passes_
    assert_array_equal(without.means_, mixture.means_)


def test_of_many_rows_a_sample_is_kept(monkeypatch):
    """Where the starts have a large enough one, it is theirs; else one that is drawn in passing."""
    for module in (distribution, fit, memory):
        monkeypatch.setattr(module, "DISTRIBUTION_ROWS", 1000)
    for settings in ({"acceleration": "auto", "init_size": 1500}, {"acceleration": "auto", "init_size": 500}, {}):
        mixture = fitted(ROWS, **settings)
        drift = measure_drift(mixture, ROWS)
        assert drift.n_samples_before == 1000
        # Six standard errors of 1,000 rows where they are largest.
        assert 0 < drift.ks_distance < 0.1
        assert drift.expected_psi == pytest.approx(9 * (1 / 1000 + 1 / 6000))


def test_a_search_keeps_what_a_fit_would(generator):
    result = select_components(ROWS, [2, 3], random_state=0)
    for model in result.models:
        alone = GaussianMixture(model.n_components, random_state=0).fit(ROWS)
        one, other = measure_drift(model, ROWS + 0.1), measure_drift(alone, ROWS + 0.1)
        assert_array_equal(one.log_densities, other.log_densities)
        assert one.as_dict() == other.as_dict()


def test_a_model_file_and_a_pickle_keep_it_and_a_clone_does_not(tmp_path):
    mixture = fitted(ROWS)
    mixture.save(tmp_path / "model.gmm")
    before = measure_drift(mixture, ROWS + 0.5)
    for again in (load(tmp_path / "model.gmm"), pickle.loads(pickle.dumps(mixture))):
        assert measure_drift(again, ROWS + 0.5).as_dict() == before.as_dict()
        again.save(tmp_path / "again.gmm")
        assert (tmp_path / "again.gmm").read_bytes() == (tmp_path / "model.gmm").read_bytes()
    with pytest.raises(NotFittedError):
        measure_drift(clone(mixture), ROWS)


def test_a_mixture_that_was_changed_keeps_nothing_until_it_is_told(tmp_path):
    mixture = fitted(ROWS)
    mixture.means_ = mixture.means_ + 0.5
    with pytest.raises(NoDistributionError, match="keep_distribution"):
        measure_drift(mixture, ROWS)
    mixture.save(tmp_path / "model.gmm")
    assert RECORD_KEY not in model_of(mixture).fit
    assert not keeps_distribution(load(tmp_path / "model.gmm"))
    keep_distribution(mixture, ROWS)
    assert measure_drift(mixture, ROWS).psi == 0
    assert RECORD_KEY in model_of(mixture).fit


def test_streams_and_scikit_learns_mixtures_keep_nothing_until_they_are_told():
    mixture = fitted(ROWS)
    for other in (GaussianMixture.from_sklearn(mixture.to_sklearn()), fitted(ROWS).partial_fit(ROWS[:500])):
        assert not keeps_distribution(other)
        keep_distribution(other, da.from_array(ROWS, chunks=(900, 2)))
        drift = measure_drift(other, ROWS)
        assert (drift.psi, drift.n_samples_before) == (0, len(ROWS))


@pytest.mark.parametrize("decay", [1.0, 0.25])
def test_an_update_keeps_what_old_and_new_rows_say(decay):
    mixture = fitted(ROWS[:4000])
    mixture.update(ROWS[4000:], decay=decay)
    share_now = 2000 / (2000 + decay * 4000)
    model = mixture.to_sklearn()
    drift = measure_drift(mixture, ROWS)
    old, new = model.score_samples(ROWS[:4000]), model.score_samples(ROWS[4000:])
    expected = [(1 - share_now) * (old < one).mean() + share_now * (new < one).mean() for one in drift.log_densities]
    # The mixture has moved a little under the old rows.
    assert_allclose(drift.shares_below_before, expected, atol=0.01)
    labels = [np.bincount(model.predict(rows), minlength=3) / len(rows) for rows in (ROWS[:4000], ROWS[4000:])]
    assert_allclose(drift.shares_before, (1 - share_now) * labels[0] + share_now * labels[1], atol=0.005)


def test_an_update_of_a_mixture_that_keeps_nothing_keeps_nothing():
    mixture = fitted(ROWS[:4000])
    mixture.weights_ = np.full(3, 1 / 3)
    assert not keeps_distribution(mixture.update(ROWS[4000:]))


def test_a_fit_that_finds_nothing_forgets_what_was_kept():
    mixture = fitted(ROWS)
    mixture.set_params(max_iter=0, warm_start=True).fit(ROWS)
    assert not keeps_distribution(mixture)
    mixture.set_params(max_iter=3).fit(ROWS[:2000])
    assert measure_drift(mixture, ROWS).n_samples_before == 2000


def test_a_fit_from_a_finished_checkpoint_keeps_it_without_a_pass(tmp_path):
    for settings in ({}, {"acceleration": "auto", "init_size": 1500}):
        folder = tmp_path / settings.get("acceleration", "plain")
        first, again = (fitted(ROWS, checkpoint=folder, **settings) for _ in range(2))
        assert again.n_passes_ == first.n_passes_
        assert measure_drift(again, ROWS + 1).as_dict() == measure_drift(first, ROWS + 1).as_dict()


def test_a_model_file_of_before_there_was_drift_says_what_to_do(tmp_path):
    mixture = fitted(ROWS)
    kept = model_of(mixture)
    old = replace(kept, fit={name: value for name, value in kept.fit.items() if name != RECORD_KEY})
    again = restore(GaussianMixture(**kept.settings), old)
    assert again.score(ROWS) == mixture.score(ROWS)
    with pytest.raises(NoDistributionError, match=r"Fit it again, or use daskgmm\.drift\.keep_distribution"):
        measure_drift(again, ROWS)


@pytest.mark.parametrize(
    "record",
    [
        None,
        [],
        {},
        {"n_rows": 3},
        {"more": 1},
        {"n_rows": 0},
        {"log_densities": [1.0]},
        {"log_densities": np.array([[1.0]])},
        {"shares_below": np.array([2.0])},
        {"component_shares": np.array([1.0])},
        {"component_shares": np.array([0.5, 0.5, 0.5])},
    ],
)
def test_a_forged_record_is_refused(record):
    kept = model_of(fitted(ROWS))
    if isinstance(record, dict) and record and record != {"n_rows": 3}:
        record = {**kept.fit[RECORD_KEY], **record}
    with pytest.raises(ModelFormatError, match=rf"fit\.{RECORD_KEY}: "):
        restore(GaussianMixture(**kept.settings), replace(kept, fit={**kept.fit, RECORD_KEY: record}))


def test_rows_of_other_features_and_rows_without_weight_are_refused():
    mixture = fitted(ROWS)
    for three in (np.ones((5, 3)), da.ones((5, 3))):
        with pytest.raises(ValueError, match="3 features"):
            measure_drift(mixture, three)
    with pytest.raises(InputDataError, match="positive weight"):
        measure_drift(mixture, ROWS, sample_weight=np.zeros(len(ROWS)))
    with pytest.raises(InputDataError, match="positive weight"):
        keep_distribution(mixture, ROWS, sample_weight=np.zeros(len(ROWS)))
    assert keeps_distribution(mixture)


def test_the_record_reads_well():
    drift = measure_drift(fitted(ROWS), ROWS[:1500])
    lines = repr(drift).splitlines()
    assert lines[0] == "Drift of 1500 rows from 6000 that were fitted to"
    assert f"stability index {drift.psi:.4f}: {drift.log_density_psi:.4f} of log densities" in lines[1]
    assert lines[2].endswith(f"{drift.ks_distance:.4f}")
    heaviest = int(drift.shares_before.argmax())
    assert lines[5].split() == [
        str(heaviest), f"{drift.shares_before[heaviest]:.4f}", f"{drift.shares_now[heaviest]:.4f}"
    ]  # fmt: skip
    assert len(lines) == 5 + 3


def test_of_many_components_the_heaviest_are_shown():
    mixture = GaussianMixture(25, **PLAIN).fit(ROWS)
    assert repr(measure_drift(mixture, ROWS)).splitlines()[-1] == "... and 5 lighter ones"


@pytest.mark.slow
def test_workers_of_a_cluster_keep_and_tell_the_same_bits(tmp_path, request):
    rows = draw("full", n_rows=50_000, n_features=2, spread=4.0).rows
    zarr.create_array(tmp_path / "rows.zarr", data=rows, chunks=(7000, 2))
    here, now = fitted(tmp_path / "rows.zarr"), da.from_array(rows + 0.1, chunks=(900, 2))
    told_here = measure_drift(here, now)
    request.getfixturevalue("client")
    there = fitted(tmp_path / "rows.zarr")
    told_there = measure_drift(there, now)
    assert told_there.as_dict() == told_here.as_dict()
    assert_array_equal(told_there.log_densities, told_here.log_densities)
    assert_array_equal(told_there.shares_below_before, told_here.shares_below_before)
    assert told_here.n_samples_before == 40_000
