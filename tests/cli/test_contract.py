"""What a scheduler relies on: done is done, outputs are replaced whole, one run at a time, nothing half done."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import fsspec
import numpy as np
import pytest
import zarr
from fsspec.implementations.memory import MemoryFileSystem

from daskgmm import GaussianMixture, load, open_zarr

# Fits of one component, which have nothing to search for, are enough for all but what they find.
pytestmark = pytest.mark.filterwarnings("ignore:EM did not converge")

HOLD = """
import sys, time
from pathlib import Path
from daskgmm.storage.lock import hold
with hold(Path(sys.argv[1]), "model"):
    print("held", flush=True)
    time.sleep(100)
"""


@pytest.fixture
def fit(invoke, store, tmp_path):
    """Run `daskgmm fit` with one component and further options; JSON comes back parsed."""

    def run(*options, components=1, exit_code=0):
        words = ("fit", store, "-o", tmp_path / "new.gmm", "--components", components, "--json", *options)
        result = invoke(*words)
        assert result.exit_code == exit_code, result.stderr
        return json.loads(result.stdout) if exit_code == 0 and "--print-config" not in options else result

    return run


def folder(path):
    """The names in a folder, and what is in its files."""
    return {one.name: one.read_bytes() if one.is_file() else None for one in path.iterdir()}


def damaged_unseen(chunk):
    """Make a chunk unreadable, so that nothing but reading it would tell."""
    before = chunk.stat()
    chunk.write_bytes(b"\0" * before.st_size)
    os.utime(chunk, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_the_same_fit_again_is_done_without_reading_a_chunk(fit, store, tmp_path):
    first = fit()
    before = folder(tmp_path)
    damaged_unseen(store / "c" / "1" / "0")
    assert fit() == {**first, "up_to_date": True}
    assert fit("--overwrite") == {**first, "up_to_date": True}
    assert folder(tmp_path) == before
    assert not first["up_to_date"]


def test_where_and_how_a_fit_runs_does_not_make_another_one(fit):
    fit()
    assert fit("--cache", "disk", "--timeout", "3s", "--max-time", "2h", "--strict")["up_to_date"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"components": 2}, "components was 1 and is 2"),
        ({"options": ["--random-state", "1"]}, "random_state was 0 and is 1"),
        ({"options": ["--missing-chunks", "fill"]}, "missing_chunks was raise and is fill"),
    ],
)
def test_a_model_of_other_settings_is_refused_and_replaced_when_told(options, words, fit, tmp_path):
    fit()
    before = folder(tmp_path)
    more = options.pop("options", [])
    refused = fit(*more, **options, exit_code=4)
    assert words in refused.stderr
    assert "--overwrite" in refused.stderr
    assert folder(tmp_path) == before
    fit(*more, "--overwrite", **options)
    assert (tmp_path / "new.gmm").read_bytes() != before["new.gmm"]


def test_a_model_of_other_rows_is_refused_and_replaced_when_told(fit, store, tmp_path, rows):
    fit()
    before = (tmp_path / "new.gmm").read_bytes()
    zarr.open_array(store, mode="r+")[:500] = rows[:500] + 1
    assert "the stored chunks are others" in fit(exit_code=4).stderr
    assert (tmp_path / "new.gmm").read_bytes() == before
    assert not fit("--overwrite")["up_to_date"]
    expected = GaussianMixture(1, random_state=0).fit(open_zarr(store))
    np.testing.assert_array_equal(load(tmp_path / "new.gmm").means_, expected.means_)


def test_a_model_that_does_not_say_what_it_was_made_from(fit, model, tmp_path):
    model.rename(tmp_path / "new.gmm")
    assert "does not say what it was made from" in fit(exit_code=2).stderr
    assert not fit("--overwrite")["up_to_date"]
    assert fit()["up_to_date"]


def test_what_is_no_model_is_never_replaced(fit, tmp_path):
    (tmp_path / "new.gmm").write_text("mine")
    assert "is no model" in fit("--overwrite", exit_code=2).stderr
    assert (tmp_path / "new.gmm").read_text() == "mine"


def test_a_fit_that_has_to_converge_and_does_not_leaves_the_output_as_it_was(fit, tmp_path):
    options = ("--max-iter", "1", "--strict")
    assert "--strict" in fit(*options, exit_code=3).stderr
    assert not (tmp_path / "new.gmm").exists()
    fit()
    before = folder(tmp_path)
    fit(*options, "--overwrite", exit_code=3)
    assert folder(tmp_path) == before


def test_strict_holds_for_a_model_that_is_up_to_date(fit):
    fit("--max-iter", "1")
    fit("--max-iter", "1", "--strict", exit_code=3)


SHORT = ("--max-time", "1ms", "--tol", "0", "--max-iter", "6")


def test_a_fit_that_runs_out_of_time_keeps_the_best_so_far(fit, tmp_path):
    result = fit(*SHORT)
    assert result["out_of_time"]
    assert not result["converged"]
    assert load(tmp_path / "new.gmm").n_passes_ == result["n_passes"] == 2
    assert fit(*SHORT)["up_to_date"]
    # More time gives another mixture.
    assert "max_time was 1ms" in fit("--max-time", "2h", *SHORT[2:], exit_code=4).stderr


def test_with_a_checkpoint_it_goes_on_and_ends_in_the_same_bits(fit, invoke, store, tmp_path):
    words = ("fit", store, "--components", "3", *SHORT, "--checkpoint", tmp_path / "fit.state", "-o")
    stopped = invoke(*words, tmp_path / "new.gmm")
    assert stopped.exit_code == 75
    assert stopped.stdout == ""
    assert stopped.stderr.splitlines()[-1].endswith(f"start it again to go on from {tmp_path / 'fit.state'}")
    assert not (tmp_path / "new.gmm").exists()
    # Each run makes a pass at least, whatever the time: it ends.
    codes = [invoke(*words, tmp_path / "new.gmm").exit_code for _ in range(5)]
    assert codes == [75, 75, 75, 75, 0]
    whole = GaussianMixture(3, random_state=0, tol=0, max_iter=6)
    whole.fit(open_zarr(store))
    np.testing.assert_array_equal(load(tmp_path / "new.gmm").means_, whole.means_)
    # Other rows, tomorrow, must not find it.
    assert [name for name in folder(tmp_path) if name.startswith("fit.state")] == []


def test_a_warm_start_goes_on_from_a_model(fit, model, tmp_path):
    warm = fit("--warm-start", model, "--tol", "0.1", components=3)
    assert warm["n_passes"] < load(model).n_passes_
    assert warm["lower_bound"] == pytest.approx(load(model).lower_bound_, abs=1e-3)
    assert load(tmp_path / "new.gmm").warm_start is False
    assert "model to start from is another one" in fit("--tol", "0.1", components=3, exit_code=4).stderr


def test_a_model_that_starts_from_itself_is_made_once(fit, tmp_path):
    fit()
    assert not fit("--warm-start", tmp_path / "new.gmm", "--overwrite")["up_to_date"]
    assert fit("--warm-start", tmp_path / "new.gmm", "--overwrite")["up_to_date"]


@pytest.mark.parametrize(
    ("features", "options", "code", "words"),
    [
        (2, ["--covariance-type", "diag"], 2, "1 full ones"),
        (3, [], 4, "expected 2 features"),
    ],
)
def test_a_warm_start_of_another_shape(features, options, code, words, fit, tmp_path):
    other = np.random.default_rng(0).normal(size=(100, features))
    GaussianMixture(1, random_state=0).fit(other).save(tmp_path / "other.gmm")
    assert words in fit("--warm-start", tmp_path / "other.gmm", *options, exit_code=code).stderr
    assert not (tmp_path / "new.gmm").exists()


def test_a_dry_run_prints_the_plan_and_writes_nothing(fit, store, tmp_path):
    before = folder(tmp_path)
    planned = fit("--dry-run", "--checkpoint", tmp_path / "fit.state", "--summary", tmp_path / "result.json")
    assert (planned["n_samples"], planned["dry_run"], planned["up_to_date"]) == (2000, True, False)
    assert folder(tmp_path) == before
    fit()
    assert fit("--dry-run") == {"model": str(tmp_path / "new.gmm"), "dry_run": True, "up_to_date": True}
    fit("--dry-run", components=2, exit_code=4)


def test_the_summary_is_the_result_and_strict_json(fit, tmp_path):
    result = fit("--summary", tmp_path / "return.json", "--max-iter", "0")
    assert json.loads((tmp_path / "return.json").read_text(), parse_constant=pytest.fail) == result
    assert result["lower_bound"] is None


def test_a_summary_in_place_of_the_output_is_refused(fit, tmp_path):
    fit("--summary", tmp_path / "new.gmm", exit_code=2)
    fit("--summary", tmp_path / "no-such-folder" / "result.json", exit_code=4)
    assert not (tmp_path / "new.gmm").exists()


def test_select_is_done_once_too(invoke, store, tmp_path):
    words = ("select", store, "-o", tmp_path / "best.gmm", "--components", "1:2", "--json")
    first = json.loads(invoke(*words, "--summary", tmp_path / "return.json").stdout)
    damaged_unseen(store / "c" / "0" / "0")
    assert json.loads(invoke(*words).stdout) == {**first, "up_to_date": True}
    assert json.loads((tmp_path / "return.json").read_text()) == first
    other = invoke("select", store, "-o", tmp_path / "best.gmm", "--components", "1")
    assert other.exit_code == 4
    assert "components was [1, 2] and is [1]" in other.stderr


def test_predict_has_a_summary(invoke, model, store, tmp_path):
    out = tmp_path / "labels.zarr"
    result = invoke("predict", model, store, "-o", out, "--json", "--summary", tmp_path / "return.json")
    assert json.loads(result.stdout) == {"output": str(out), "what": "labels", "n_samples": 2000}
    assert json.loads((tmp_path / "return.json").read_text()) == json.loads(result.stdout)


@pytest.mark.parametrize("command", ["fit", "select"])
def test_a_second_run_to_the_same_output_ends_at_once(command, invoke, store, tmp_path):
    lock = tmp_path / ".new.gmm.lock"
    words = (command, store, "-o", tmp_path / "new.gmm", "--components", "1")
    with subprocess.Popen([sys.executable, "-c", HOLD, lock], stdout=subprocess.PIPE, text=True) as owner:
        try:
            assert owner.stdout.readline() == "held\n"
            second = invoke(*words)
            assert second.exit_code == 6
            assert f"process {owner.pid}" in second.stderr
            assert not (tmp_path / "new.gmm").exists()
        finally:
            owner.kill()
    # What a dead owner left holds nobody up.
    assert lock.exists()
    assert invoke(*words).exit_code == 0
    assert not lock.exists()


class LockedFileSystem(MemoryFileSystem):
    """Memory that opens for those who have the key."""

    protocol = "locked"

    def __init__(self, *arguments, key=None, **options):
        if key != "open sesame":
            raise PermissionError("no key")
        super().__init__(*arguments, **options)

    @classmethod
    def _strip_protocol(cls, path):
        return MemoryFileSystem._strip_protocol(str(path).replace("locked://", "memory://"))


def test_storage_options_open_the_store(invoke, rows, tmp_path):
    zarr.create_array("memory://contract/rows.zarr", data=rows, chunks=(500, 2))
    fsspec.register_implementation("locked", LockedFileSystem, clobber=True)
    words = ("fit", "locked://contract/rows.zarr", "-o", tmp_path / "new.gmm", "--components", "1", "--json")
    assert invoke(*words).exit_code == 5
    options = ("--storage-options", '{"key": "open sesame"}')
    assert not json.loads(invoke(*words, *options).stdout)["up_to_date"]
    assert json.loads(invoke(*words, *options).stdout)["up_to_date"]
    assert b"sesame" not in (tmp_path / "new.gmm").read_bytes()
    zarr.open_array("memory://contract/rows.zarr", mode="r+")[:500] = rows[:500] + 1
    assert invoke(*words, *options).exit_code == 4


def test_storage_options_for_a_path_are_wrong_usage(invoke, store, tmp_path):
    words = ("fit", store, "-o", tmp_path / "new.gmm", "--components", "2", "--storage-options")
    assert "has no use for them" in invoke(*words, '{"key": "x"}').stderr
    wrong = invoke(*words, "secret-key")
    assert wrong.exit_code == 2
    assert "secret-key" not in wrong.output


def test_score_has_a_summary(invoke, model, store, tmp_path):
    result = invoke("score", model, store, "--json", "--summary", tmp_path / "return.json")
    assert json.loads((tmp_path / "return.json").read_text()) == json.loads(result.stdout)
    assert invoke("score", model, store, "--summary", model).exit_code == 2
