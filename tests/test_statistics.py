"""The public `SufficientStatistics`: sites fit together without moving rows."""

from __future__ import annotations

import itertools
import json
import zipfile
from dataclasses import replace

import numpy as np
import pytest
import zarr
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.exceptions import NotFittedError

from daskgmm import GaussianMixture, SufficientStatistics
from daskgmm.errors import InputDataError, ModelFormatError, ParameterError, StoreNotFoundError
from tests.drawn import draw

TYPES = pytest.mark.parametrize("covariance_type", ["full", "tied", "diag", "spherical"])
DRAWN = draw("full", n_rows=1500, n_features=2, spread=2.0)
ROWS = np.random.default_rng(0).permutation(DRAWN.rows)
WEIGHTS = np.random.default_rng(1).uniform(0.5, 2.0, size=len(ROWS))
SITES = [slice(0, 100), slice(100, 700), slice(700, 1500)]


def shared(covariance_type: str = "full", **settings) -> GaussianMixture:
    """A mixture on which sites agree: their rows have more to say."""
    start = draw(covariance_type, n_features=2, spread=2.0).start
    model = GaussianMixture(3, covariance_type=covariance_type, random_state=0, **start, **settings)
    return model.fit(ROWS[:300])


def of_sites(mixture: GaussianMixture) -> list[SufficientStatistics]:
    return [SufficientStatistics.of(mixture, ROWS[site], sample_weight=WEIGHTS[site]) for site in SITES]


def merged(statistics) -> SufficientStatistics:
    first, *others = statistics
    for other in others:
        first = first.merge(other)
    return first


def assert_same(one: SufficientStatistics, other: SufficientStatistics, *, rtol: float) -> None:
    assert (one.mixture, one.n_samples) == (other.mixture, other.n_samples)
    for name in ("reference", "counts", "first", "second", "weight", "log_likelihood"):
        ours, theirs = getattr(one.record, name), getattr(other.record, name)
        assert_allclose(ours, theirs, rtol=rtol, atol=rtol * np.abs(theirs).max())


@TYPES
def test_merged_statistics_are_those_of_all_rows_in_any_order(covariance_type):
    mixture = shared(covariance_type)
    whole = SufficientStatistics.of(mixture, ROWS, sample_weight=WEIGHTS)
    for order in itertools.permutations(of_sites(mixture)):
        assert_same(merged(order), whole, rtol=1e-12)
    assert whole.n_samples == 1500
    assert whole.weight == pytest.approx(WEIGHTS.sum())
    assert whole.lower_bound == pytest.approx(mixture.score(ROWS, sample_weight=WEIGHTS), rel=1e-12)


def plain_em(mixture: GaussianMixture, *, n_iter: int) -> GaussianMixture:
    """So many iterations over all rows in one place."""
    model = GaussianMixture(
        3,
        covariance_type=mixture.covariance_type,
        acceleration=None,
        max_iter=n_iter,
        tol=0.0,
        weights_init=mixture.weights_,
        means_init=mixture.means_,
        precisions_init=mixture.precisions_,
    )
    with pytest.warns(match="did not converge"):
        return model.fit(ROWS, sample_weight=WEIGHTS)


@TYPES
def test_sites_together_go_where_a_fit_of_all_rows_does(covariance_type):
    mixture = shared(covariance_type)
    whole = plain_em(mixture, n_iter=4)
    for n_iter in range(4):
        bound = mixture.score(ROWS, sample_weight=WEIGHTS)
        mixture = merged(of_sites(mixture)).next_mixture(mixture)
        assert mixture.lower_bound_ == pytest.approx(bound, rel=1e-12)
        assert mixture.lower_bound_ == pytest.approx(whole.lower_bounds_[n_iter], rel=1e-9)
    for name in ("weights_", "means_", "covariances_"):
        assert_allclose(getattr(mixture, name), getattr(whole, name), rtol=1e-6, atol=1e-9)


def test_the_next_mixture_tells_what_it_is():
    mixture = shared()
    after = SufficientStatistics.of(mixture, ROWS).next_mixture(mixture)
    assert (after.n_samples_seen_, after.weight_seen_, after.n_passes_, after.n_iter_) == (1500, 1500.0, 1, 1)
    assert after.predict(ROWS).shape == (1500,)
    assert after is not mixture


def test_it_has_converged_when_a_step_gains_little():
    mixture = shared()
    statistics = SufficientStatistics.of(mixture, ROWS)
    gain = statistics.next_mixture(mixture).score(ROWS) - mixture.score(ROWS)
    assert gain > 0
    assert statistics.next_mixture(mixture.set_params(tol=2 * gain)).converged_ is True
    assert statistics.next_mixture(mixture.set_params(tol=gain / 100)).converged_ is False


@TYPES
def test_a_file_gives_back_the_same_bits(tmp_path, covariance_type):
    statistics = SufficientStatistics.of(shared(covariance_type), ROWS, sample_weight=WEIGHTS)
    statistics.save(tmp_path / "site.statistics")
    loaded = SufficientStatistics.load(tmp_path / "site.statistics")
    assert_same(loaded, statistics, rtol=0)
    for name in ("reference", "counts", "first", "second"):
        assert_array_equal(getattr(loaded.record, name), getattr(statistics.record, name))
    loaded.save(tmp_path / "again.statistics")
    assert (tmp_path / "again.statistics").read_bytes() == (tmp_path / "site.statistics").read_bytes()


def test_a_file_holds_no_rows(tmp_path):
    SufficientStatistics.of(shared(), ROWS).save(tmp_path / "few.statistics")
    SufficientStatistics.of(shared(), np.tile(ROWS, (4, 1))).save(tmp_path / "many.statistics")
    sizes = [(tmp_path / f"{name}.statistics").stat().st_size for name in ("few", "many")]
    assert abs(sizes[0] - sizes[1]) < 10
    assert sizes[1] < 4096


def test_rows_may_be_stored(tmp_path):
    zarr.create_array(tmp_path / "rows.zarr", data=ROWS, chunks=(200, 2))
    mixture = shared()
    stored = SufficientStatistics.of(mixture, str(tmp_path / "rows.zarr"))
    assert_same(stored, SufficientStatistics.of(mixture, ROWS), rtol=1e-12)


def test_fewer_rows_than_components_are_enough():
    assert SufficientStatistics.of(shared(), ROWS[:2]).n_samples == 2


def test_statistics_of_different_mixtures_are_not_merged():
    mixture = shared()
    other = shared()
    # The same means, and so the same reference points: only the digest tells.
    other.weights_ = other.weights_[::-1].copy()
    with pytest.raises(ParameterError, match="merge: expected statistics under one mixture"):
        SufficientStatistics.of(mixture, ROWS).merge(SufficientStatistics.of(other, ROWS))
    with pytest.raises(ParameterError, match=r"full, 3 components .* and diag, 3 components"):
        SufficientStatistics.of(mixture, ROWS).merge(SufficientStatistics.of(shared("diag"), ROWS))


def test_another_mixture_gets_no_step():
    statistics = SufficientStatistics.of(shared(), ROWS)
    with pytest.raises(ParameterError, match="next_mixture: expected the mixture that the statistics"):
        statistics.next_mixture(shared("tied"))


def test_a_mixture_that_is_not_fitted_has_no_statistics():
    with pytest.raises(NotFittedError):
        SufficientStatistics.of(GaussianMixture(3), ROWS)


def test_rows_of_other_features_are_refused():
    with pytest.raises(ValueError, match="X has 1 features"):
        SufficientStatistics.of(shared(), ROWS[:, :1])
    with pytest.raises(InputDataError, match="weights are zero"):
        SufficientStatistics.of(shared(), ROWS, sample_weight=np.zeros(len(ROWS)))


def changed(path, **changes):
    """Write a file again with other facts; arrays keep their digests."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    header = json.loads(members["statistics.json"])
    members["statistics.json"] = json.dumps({**header, **changes}).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"format": "daskgmm-model"}, "expected the format 'daskgmm-statistics'"),
        ({"version": 2}, "reads version 1 .*save the statistics with the version"),
        ({"covariance_type": "round"}, "covariance_type"),
        ({"covariance_type": "diag"}, "second: expected shape"),
        ({"mixture": "abc"}, "64 hexadecimal digits"),
        ({"n_samples": 0}, "rows of positive weight"),
        ({"n_samples": True}, "n_samples: expected int"),
        ({"weight": -1.0}, "rows of positive weight"),
        ({"weight": 1.0}, "counts: expected numbers"),
        ({"weight": "heavy"}, "weight: expected float"),
        ({"more": 1}, "expected the keys"),
    ],
)
def test_a_file_that_contradicts_itself_is_refused(tmp_path, changes, reason):
    path = tmp_path / "site.statistics"
    SufficientStatistics.of(shared(), ROWS).save(path)
    changed(path, **changes)
    with pytest.raises(ModelFormatError, match=reason) as caught:
        SufficientStatistics.load(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("name", ["reference", "counts", "first", "second"])
def test_numbers_that_no_rows_have_are_refused(tmp_path, name):
    statistics = SufficientStatistics.of(shared(), ROWS)
    array = getattr(statistics.record, name).copy()
    array.flat[0] = np.nan
    replace(statistics, record=replace(statistics.record, **{name: array})).save(tmp_path / "bad.statistics")
    with pytest.raises(ModelFormatError, match=f"{name}: expected finite numbers"):
        SufficientStatistics.load(tmp_path / "bad.statistics")


def test_damaged_and_other_files_are_refused(tmp_path):
    path = tmp_path / "site.statistics"
    mixture = shared()
    SufficientStatistics.of(mixture, ROWS).save(path)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(ModelFormatError, match="expected a statistics file of daskgmm"):
        SufficientStatistics.load(path)
    mixture.save(path)
    with pytest.raises(ModelFormatError, match="expected the members"):
        SufficientStatistics.load(path)
    with pytest.raises(StoreNotFoundError, match="no such statistics file"):
        SufficientStatistics.load(tmp_path / "absent.statistics")
