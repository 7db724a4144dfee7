"""examples/pipelines/*.sh: what they run, what they do with its exit code, and what they do with a signal."""

from __future__ import annotations

import fcntl
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from tests.containers.commands import parsed
from tests.pipelines.stand_ins import PIPELINES, Night

SCRIPTS = sorted(PIPELINES.glob("*.sh"))
WHERE = ("--n-workers", "2")


@pytest.fixture
def night(tmp_path) -> Night:
    return Night(tmp_path)


def commands(night: Night) -> list[str]:
    """Return which commands were run; raises if `daskgmm` would have refused one."""
    return [parsed(call).info_name or "" for call in night.calls]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_the_shell_can_read_it(script):
    shell = script.read_text().splitlines()[0].split("/")[-1].split()[-1]
    ended = subprocess.run([shell, "-n", str(script)], capture_output=True, text=True, timeout=30, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="shellcheck is not installed")
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)
def test_shellcheck_finds_nothing(script):
    ended = subprocess.run(["shellcheck", str(script)], capture_output=True, text=True, timeout=60, check=False)
    assert ended.stdout == ""


# A night.


def test_the_first_night_is_fitted_and_published(night):
    assert night.run("nightly.sh", "2026-11-21", *WHERE).returncode == 0
    assert commands(night) == ["fit"]
    (fit,) = night.calls
    assert fit[-2:] == list(WHERE)
    assert sorted(path.name for path in night.models.iterdir()) == ["2026-11-21.gmm", "current.gmm"]


def test_a_later_night_updates_is_checked_against_the_night_before_and_published(night):
    night.run("nightly.sh", "2026-11-21", *WHERE)
    before = (night.models / "current.gmm").read_text()
    assert night.run("nightly.sh", "2026-11-22", *WHERE).returncode == 0
    assert commands(night) == ["fit", "update", "score"]
    update, score = (parsed(call).params for call in night.calls[1:])
    assert update["model"] == f"{night.models}/current.gmm"
    assert update["output"] == score["model"] == f"{night.models}/2026-11-22.candidate.gmm"
    assert score["against"] == f"{night.models}/current.gmm"
    assert score["fail_on_drift"] == 0.2
    current = (night.models / "current.gmm").read_text()
    assert current == (night.models / "2026-11-22.gmm").read_text() != before


def test_a_night_that_is_done_is_not_done_again(night):
    night.run("nightly.sh")
    again = night.run("nightly.sh")
    assert again.returncode == 0
    assert "done already" in again.stderr
    assert commands(night) == ["fit"]


def test_an_earlier_night_that_is_done_does_not_replace_a_later_one(night):
    night.run("nightly.sh", "2026-11-21")
    night.run("nightly.sh", "2026-11-22")
    current = (night.models / "current.gmm").read_text()
    assert night.run("nightly.sh", "2026-11-21").returncode == 0
    assert (night.models / "current.gmm").read_text() == current


def test_a_night_that_was_cut_off_while_it_published_ends_published(night):
    night.run("nightly.sh")
    (night.models / "2026-11-21.gmm").rename(night.models / "2026-11-21.candidate.gmm")
    assert night.run("nightly.sh").returncode == 0
    assert sorted(path.name for path in night.models.iterdir()) == ["2026-11-21.gmm", "current.gmm"]


def test_drifted_rows_leave_the_model_of_the_night_before(night):
    night.run("nightly.sh", "2026-11-21")
    before = (night.models / "current.gmm").read_text()
    night.ends_with(0, 3)
    assert night.run("nightly.sh", "2026-11-22").returncode == 3
    assert (night.models / "current.gmm").read_text() == before
    # Told that this drift is fine, it does what is left to do.
    assert night.run("nightly.sh", "2026-11-22").returncode == 0
    assert commands(night) == ["fit", "update", "score", "score"]
    assert (night.models / "current.gmm").read_text() != before


@pytest.mark.parametrize("code", [1, 2, 4, 5, 6, 75])
def test_the_exit_code_is_the_failed_steps(night, code):
    night.ends_with(code)
    assert night.run("nightly.sh").returncode == code
    assert list(night.models.iterdir()) == []


@pytest.mark.parametrize("script", ["nightly.sh", "cron.sh"])
def test_too_few_arguments_are_wrong_usage(night, script):
    with night.start(script, "rows.zarr") as process:
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 2
    assert errors.startswith(f"usage: {script}")


@pytest.mark.timeout(60)
@pytest.mark.parametrize("script", ["nightly.sh", "cron.sh"])
@pytest.mark.parametrize("shell", ["sh", "bash"])
@pytest.mark.parametrize(
    ("on_signal", "code"),
    [("exit 75", 75), ("exit 4", 4), ("trap - TERM; kill -TERM $$", 75)],
    ids=["saves", "fails", "is killed"],
)
def test_a_signal_reaches_the_command_and_its_end_is_waited_for(night, script, shell, on_signal, code):
    ready = night.waits(on_signal)
    with night.start(script, "rows.zarr", str(night.models), shell=[shell]) as process:
        # Opens when the stand-in opens it too.
        ready.read_text()
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)
    assert process.returncode == code
    assert not list(night.models.glob("*.gmm"))


# cron.


@pytest.mark.parametrize("code", [5, 75])
def test_cron_tries_again_after_failures_that_pass(night, code):
    night.ends_with(code, code, 0)
    assert night.run("cron.sh").returncode == 0
    assert commands(night) == ["fit"] * 3
    assert (night.models / "current.gmm").exists()


def test_cron_gives_up_after_some_attempts(night):
    night.environment["ATTEMPTS"] = "2"
    night.ends_with(5, 75, 0)
    assert night.run("cron.sh").returncode == 75
    assert commands(night) == ["fit"] * 2


@pytest.mark.parametrize("code", [1, 2, 4])
def test_cron_stops_at_failures_that_stay(night, code):
    night.ends_with(code, 0)
    assert night.run("cron.sh").returncode == code
    assert commands(night) == ["fit"]


def test_cron_leaves_a_model_alone_that_another_run_is_writing(night):
    night.ends_with(6, 0)
    ended = night.run("cron.sh")
    assert (ended.returncode, commands(night)) == (0, ["fit"])
    assert "another run is writing the model" in ended.stderr


def test_cron_runs_one_at_a_time(night):
    with Path(night.models / "nightly.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        ended = night.run("cron.sh")
    assert (ended.returncode, night.calls) == (0, [])
    assert "already running" in ended.stderr
    assert night.run("cron.sh").returncode == 0
