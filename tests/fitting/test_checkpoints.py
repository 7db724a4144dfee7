"""A fit that was stopped goes on from its checkpoint and ends in the bits of one that was not."""

from __future__ import annotations

import uuid
from collections import Counter

import dask.array as da
import numpy as np
import pytest
import zarr

from daskgmm import GaussianMixture
from daskgmm.errors import CheckpointError, ParameterError
from daskgmm.fitting import passes
from tests.drawn import draw
from tests.watched import bits

pytestmark = pytest.mark.filterwarnings("ignore:EM did not converge")

ATTRIBUTES = ("weights_", "means_", "covariances_", "precisions_cholesky_", "lower_bound_", "lower_bounds_")
ROWS = draw("full", n_rows=6000, n_components=4, n_features=2, spread=2.0, seed=1).rows
KINDS = {
    "accelerated": {"init_size": 1500, "tol": 1e-7, "random_state": 1},
    "from all rows": {"tol": 1e-6},
    "plain": {"acceleration": None, "init_size": 1500, "tol": 1e-5},
    "several plain runs": {"acceleration": None, "init_size": 1500, "tol": 1e-5, "n_init": 3},
}


UNDISTURBED: dict[str, tuple[GaussianMixture, int]] = {}


class Stopped(Exception):
    """The process would have ended here."""


@pytest.fixture
def store(tmp_path) -> str:
    path = tmp_path / "rows.zarr"
    zarr.create_array(path, shape=ROWS.shape, chunks=(1000, 2), dtype="f8")[:] = ROWS
    return str(path)


@pytest.fixture
def stop_at(monkeypatch):
    """Make the pass of a number fail, counted from the first E-step, and count them."""
    sweep, calls = passes.sweep, []

    def watched(*args):
        calls.append(args)
        if len(calls) == watched.stop:
            raise Stopped
        return sweep(*args)

    def arm(stop: int) -> list:
        calls.clear()
        watched.stop = stop
        return calls

    watched.stop = 0
    monkeypatch.setattr(passes, "sweep", watched)
    return arm


def fit(X, checkpoint=None, **settings) -> GaussianMixture:
    settings = {"random_state": 0, "max_iter": 60, **settings}
    return GaussianMixture(4, checkpoint=checkpoint, **settings).fit(X)


def fit_bits(mixture: GaussianMixture) -> bytes:
    return bits(*(np.asarray(getattr(mixture, name)) for name in ATTRIBUTES))


def steps(mixture: GaussianMixture) -> list:
    return [{key: value for key, value in step.items() if key != "seconds"} for step in mixture.history_]


@pytest.fixture
def undisturbed(store, stop_at):
    """Fits of each kind that nothing stopped, made once, and how many E-steps they took."""

    def fitted(kind: str) -> tuple[GaussianMixture, int]:
        if kind not in UNDISTURBED:
            calls = stop_at(0)
            UNDISTURBED[kind] = fit(store, **KINDS[kind]), len(calls)
        return UNDISTURBED[kind]

    return fitted


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("stop", [1, 2, 4, 7])
def test_a_fit_that_was_stopped_ends_in_the_same_bits(store, tmp_path, stop_at, undisturbed, kind, stop):
    expected, n_passes = undisturbed(kind)
    stop = min(stop, n_passes)
    stop_at(stop)
    with pytest.raises(Stopped):
        fit(store, tmp_path / "state", **KINDS[kind])
    calls = stop_at(0)
    resumed = fit(store, tmp_path / "state", **KINDS[kind])
    assert fit_bits(resumed) == fit_bits(expected)
    assert steps(resumed) == steps(expected)
    assert (resumed.n_passes_, resumed.n_iter_) == (expected.n_passes_, expected.n_iter_)
    assert len(calls) == n_passes - stop + 1


def test_a_fit_goes_on_from_an_object_store(store, stop_at):
    url = f"memory://{uuid.uuid4().hex}/state"
    expected = fit(store, **KINDS["accelerated"])
    stop_at(3)
    with pytest.raises(Stopped):
        fit(store, url, **KINDS["accelerated"])
    stop_at(0)
    assert fit_bits(fit(store, url, **KINDS["accelerated"])) == fit_bits(expected)


def test_the_sample_is_written_once(store, tmp_path, stop_at):
    stop_at(4)
    with pytest.raises(Stopped):
        fit(store, tmp_path / "state", **KINDS["accelerated"])
    written = (tmp_path / "state.sample").stat()
    assert written.st_size > 1500 * 2 * 8
    assert (tmp_path / "state").stat().st_size < 100_000
    stop_at(0)
    fit(store, tmp_path / "state", **KINDS["accelerated"])
    assert (tmp_path / "state.sample").stat().st_mtime_ns == written.st_mtime_ns


@pytest.mark.parametrize("damage", ["missing", "cut", "of another fit"])
def test_a_checkpoint_without_its_sample_is_refused(store, tmp_path, damage):
    fit(store, tmp_path / "state", **KINDS["accelerated"])
    fit(store, tmp_path / "other", **{**KINDS["accelerated"], "random_state": 2})
    sample = tmp_path / "state.sample"
    if damage == "missing":
        sample.unlink()
    else:
        sample.write_bytes(sample.read_bytes()[:-1] if damage == "cut" else (tmp_path / "other.sample").read_bytes())
    with pytest.raises(CheckpointError, match=r"expected the sample .* Remove state, state.previous and state.sample"):
        fit(store, tmp_path / "state", **KINDS["accelerated"])


def test_several_optima_are_fitted_and_dropped_before_the_last_stop(store):
    """Above, the kind "accelerated" is stopped while three runs share passes, and when one is left."""
    runs = Counter(step["pass"] for step in fit(store, **KINDS["accelerated"]).history_ if step["phase"] != "sample")
    assert [runs[number] for number in (2, 3, 5)] == [3, 3, 2]
    assert runs[8] == 1


def test_keeping_checkpoints_changes_nothing(store, tmp_path):
    assert fit_bits(fit(store, tmp_path / "state", **KINDS["plain"])) == fit_bits(fit(store, **KINDS["plain"]))


def test_a_fit_that_had_ended_is_not_made_again(store, tmp_path, stop_at):
    first = fit(store, tmp_path / "state", **KINDS["accelerated"])
    calls = stop_at(0)
    assert fit_bits(fit(store, tmp_path / "state", **KINDS["accelerated"])) == fit_bits(first)
    assert calls == []


def test_checkpoints_may_be_kept_less_often(store, tmp_path, stop_at, monkeypatch):
    from daskgmm.fitting import checkpoints

    kept = []
    monkeypatch.setattr(checkpoints, "write_checkpoint", lambda path, value, classes: kept.append(value))
    stop_at(7)
    with pytest.raises(Stopped):
        fit(store, tmp_path / "state", checkpoint_every=3, acceleration=None, init_size=1500, tol=1e-9)
    assert [one.journal.n_passes for one in kept] == [1, 4, 7]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tol": 1e-2}, "tol was 1e-05 and is 0.01"),
        ({"random_state": 1}, "random_state was"),
        ({"covariance_type": "diag"}, "covariance_type was 'full' and is 'diag'"),
        ({"means_init": np.zeros((4, 2))}, "means_init was None"),
    ],
)
def test_other_settings_are_refused(store, tmp_path, changes, message):
    fit(store, tmp_path / "state", **KINDS["plain"])
    with pytest.raises(CheckpointError, match=f"state: expected a checkpoint of the same settings; .*{message}"):
        fit(store, tmp_path / "state", **{**KINDS["plain"], **changes})


def test_settings_that_change_no_bits_are_not_compared(store, tmp_path, stop_at):
    fit(store, tmp_path / "state", **KINDS["plain"])
    calls = stop_at(0)
    fit(store, tmp_path / "state", cache=None, checkpoint_every=2, **KINDS["plain"])
    assert calls == []


def test_other_data_are_refused(store, tmp_path):
    fit(store, tmp_path / "state", **KINDS["plain"])
    for other in (ROWS[:-1], da.from_array(ROWS, chunks=(500, 2))):
        with pytest.raises(CheckpointError, match="expected a checkpoint of the same data"):
            fit(other, tmp_path / "state", **KINDS["plain"])


def test_a_store_that_was_written_anew_in_another_layout_is_refused(store, tmp_path):
    fit(store, tmp_path / "state", **KINDS["plain"])
    zarr.create_array(store, shape=ROWS.shape, chunks=(1500, 2), dtype="f8", overwrite=True)[:] = ROWS
    with pytest.raises(CheckpointError, match=r"expected a checkpoint of the same data; .*metadata was"):
        fit(store, tmp_path / "state", **KINDS["plain"])


def test_rows_that_were_written_anew_in_their_place_are_refused(store, tmp_path, stop_at):
    stop_at(3)
    with pytest.raises(Stopped):
        fit(store, tmp_path / "state", **KINDS["accelerated"])
    stop_at(0)
    zarr.open_array(store, mode="r+")[:1000] = ROWS[:1000] + 0.1
    with pytest.raises(CheckpointError, match=r"of the same data; chunks_written was '.*Undo the change"):
        fit(store, tmp_path / "state", **KINDS["accelerated"])


def test_another_kind_of_file_is_left_alone(store, tmp_path):
    (tmp_path / "state").write_text("something of the user's")
    with pytest.raises(CheckpointError, match="another kind of file"):
        fit(store, tmp_path / "state")
    assert (tmp_path / "state").read_text() == "something of the user's"


def test_other_versions_are_told(store, tmp_path, monkeypatch, caplog):
    from daskgmm.fitting import checkpoints

    fit(store, tmp_path / "state", **KINDS["plain"])
    monkeypatch.setattr(checkpoints, "PACKAGES", (*checkpoints.PACKAGES, "dask"))
    fit(store, tmp_path / "state", **KINDS["plain"])
    assert "state was written by" in caplog.text


@pytest.mark.parametrize(
    "settings", [{"checkpoint": 3}, {"checkpoint": "x", "checkpoint_every": 0}, {"checkpoint_every": 1.5}]
)
def test_settings_that_make_no_sense_are_refused(settings):
    with pytest.raises(ParameterError, match="checkpoint"):
        GaussianMixture(2, **settings).fit(ROWS)


def test_weights_and_numpy_rows_go_on_as_well(tmp_path, stop_at):
    weights = np.linspace(0.0, 2.0, len(ROWS))

    def weighted(checkpoint=None):
        mixture = GaussianMixture(4, random_state=0, checkpoint=checkpoint, acceleration=None, tol=1e-5)
        return mixture.fit(ROWS, sample_weight=weights)

    expected = weighted()
    stop_at(3)
    with pytest.raises(Stopped):
        weighted(tmp_path / "state")
    stop_at(0)
    assert fit_bits(weighted(tmp_path / "state")) == fit_bits(expected)


def test_a_checkpoint_of_another_start_is_refused(tmp_path, stop_at):
    def warm(seed):
        settings = {"acceleration": None, "init_params": "random_from_data", "tol": 0.0, "warm_start": True}
        mixture = GaussianMixture(4, random_state=seed, max_iter=1, **settings).fit(ROWS[:1000])
        return mixture.set_params(random_state=0, max_iter=5, checkpoint=tmp_path / "state")

    stop_at(2)
    with pytest.raises(Stopped):
        warm(1).fit(ROWS)
    stop_at(0)
    with pytest.raises(CheckpointError, match=r"same settings; warm_start was '[0-9a-f]{16}' and is '[0-9a-f]{16}'"):
        warm(2).fit(ROWS)
    with pytest.raises(CheckpointError, match=r"warm_start was '[0-9a-f]{16}' and is None"):
        warm(1).set_params(warm_start=False).fit(ROWS)
    assert warm(1).fit(ROWS).n_iter_ == 5
