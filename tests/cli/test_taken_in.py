"""Rows count once, however late the run that took them in is made again."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

import pytest
import zarr

from daskgmm import load
from daskgmm.cli.model_output import RECORD, record_of
from daskgmm.cli.taken_in import MOST_KEPT, TakenIn, rows_taken_in
from daskgmm.storage.model_file import load_model, save_model

DATA = {"store": "rows.zarr", "shape": [3, 2], "metadata": "a", "chunks": "b"}
SETTINGS = {"command": "update", "decay": 1.0, "max_time": None}


@pytest.fixture
def update(invoke, rows, store, tmp_path):
    """A model of one night, and a command that takes one of three later ones into it, in its place."""
    for number in range(2, 5):
        zarr.create_array(tmp_path / f"{number}.zarr", data=rows[::number] + 0.1, chunks=(500, 2))
    assert invoke("fit", store, "-o", tmp_path / "model.gmm", "--components", "2").exit_code == 0

    def run(night, *options, output="model.gmm", exit_code=0):
        words = ("update", tmp_path / "model.gmm", tmp_path / night, "-o", tmp_path / output, "--overwrite")
        result = invoke(*words, "--json", *options)
        assert result.exit_code == exit_code, result.stderr
        return json.loads(result.stdout) if exit_code == 0 else result.stderr

    return run


def test_an_earlier_night_that_is_run_again_is_done(update, tmp_path):
    for night in ("2.zarr", "3.zarr", "4.zarr"):
        assert not update(night)["up_to_date"]
    before = (tmp_path / "model.gmm").read_bytes()
    again = update("2.zarr")
    assert (again["up_to_date"], again["n_new_samples"], again["n_samples"]) == (True, 0, 2000 + 1000 + 667 + 500)
    assert (tmp_path / "model.gmm").read_bytes() == before
    # To other settings, or into another file, it would be another update: nobody wants these rows twice.
    for options, output in (("--decay", "0.5"), "model.gmm"), ((), "other.gmm"):
        assert "2.zarr: expected rows that are new" in update("2.zarr", *options, output=output, exit_code=4)
    assert (tmp_path / "model.gmm").read_bytes() == before
    assert not (tmp_path / "other.gmm").exists()


def test_rows_that_were_fitted_to_are_no_news(update, tmp_path):
    assert "rows.zarr: expected rows that are new" in update("rows.zarr", exit_code=4)
    update("2.zarr")
    assert "rows.zarr: expected rows that are new" in update("rows.zarr", exit_code=4)
    assert load(tmp_path / "model.gmm").n_samples_seen_ == 3000


def test_rows_that_were_written_anew_are_other_rows(update, rows, tmp_path):
    update("2.zarr")
    update("3.zarr")
    zarr.open_array(tmp_path / "2.zarr", mode="r+")[:500] = rows[:500]
    assert update("2.zarr")["n_samples"] == 2000 + 1000 + 667 + 1000


def test_where_chunks_are_not_listed_nothing_tells_rows_from_others():
    assert TakenIn.of({**DATA, "chunks": None}, SETTINGS) is None
    assert rows_taken_in({"data": {**DATA, "chunks": None}, "settings": SETTINGS}) == ()


def test_rows_are_in_when_the_time_ran_out_over_them():
    assert TakenIn.of(DATA, {**SETTINGS, "max_time": "1h"}) == TakenIn.of(DATA, SETTINGS)
    assert TakenIn.of(DATA, {**SETTINGS, "decay": 0.5}) != TakenIn.of(DATA, SETTINGS)


def test_a_model_keeps_the_last_thousand():
    earlier = [asdict(TakenIn(str(number), "run")) for number in range(MOST_KEPT)]
    found = rows_taken_in({"data": DATA, "settings": SETTINGS, "taken_in": earlier})
    assert len(found) == MOST_KEPT == 1000
    assert (found[0].data, found[-1]) == ("1", TakenIn.of(DATA, SETTINGS))


@pytest.mark.parametrize("forged", [3, {"data": "x"}, [3, {"data": 1, "run": 2}, {"data": "x"}, ["x", "y"]]])
def test_what_a_file_says_may_be_anything(forged, update, tmp_path):
    model = load_model(tmp_path / "model.gmm")
    record = {**record_of(model), "taken_in": forged}
    save_model(replace(model, fit={**model.fit, RECORD: record}), tmp_path / "model.gmm")
    assert update("2.zarr")["n_new_samples"] == 1000


def test_the_model_of_another_command_is_told_in_a_word(invoke, update, tmp_path):
    words = ("update", tmp_path / "model.gmm", tmp_path / "2.zarr", "-o", tmp_path / "model.gmm")
    result = invoke(*words)
    assert result.exit_code == 4
    assert "command was fit and is update. Undo" in result.stderr
