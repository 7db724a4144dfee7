"""examples/pipelines/slurm.sh with Slurm's variables, and stand-ins for its commands."""

from __future__ import annotations

import re
import signal

import pytest

from tests.containers.commands import parsed
from tests.pipelines.stand_ins import PIPELINES, Night

SLURM = {
    "SLURM_JOB_ID": "4711",
    "SLURM_NTASKS": "2",
    "SLURM_CPUS_PER_TASK": "1",
    "SLURM_MEM_PER_CPU": "1000",
    "SLURM_SUBMIT_DIR": str(PIPELINES),
}
# Runs its command as often as there are tasks, as Slurm does on the nodes of a job.
SRUN = """#!/bin/sh
for word in "$@"; do case $word in --*) shift ;; *) break ;; esac; done
tasks= stopped=
trap 'stopped=yes; kill $tasks' TERM
for task in $(seq "$SLURM_NTASKS"); do "$@" & tasks="$tasks $!"; done
[ -z "$stopped" ] || kill $tasks
wait
wait
"""
SCONTROL = """#!/bin/sh
echo "$*" >> {folder}/requeued
"""
# The scheduler writes its file at once; both wait for their end.
DASK = """#!/bin/sh
echo "dask $*" >> {folder}/servers
env | grep ^DASK_ | sort > {folder}/environment.$1
while [ $# -gt 0 ]; do if [ "$1" = --scheduler-file ]; then file=$2; fi; shift; done
[ -e "$file" ] || echo '{{}}' > "$file"
trap 'exit 0' TERM
while :; do sleep 0.05; done
"""


# As --wait-workers does.
WAIT = 'while [ "$(cat {folder}/servers | wc -l)" -lt 3 ]; do sleep 0.05; done'


@pytest.fixture
def night(tmp_path) -> Night:
    night = Night(tmp_path, dict(SLURM), before=WAIT.format(folder=tmp_path))
    night.stand_in("srun", SRUN)
    night.stand_in("scontrol", SCONTROL.format(folder=tmp_path))
    night.stand_in("dask", DASK.format(folder=tmp_path))
    return night


def requeued(night: Night) -> list[str]:
    log = night.folder / "requeued"
    return log.read_text().splitlines() if log.exists() else []


def test_it_runs_a_scheduler_workers_and_the_night(night):
    ended = night.run("slurm.sh")
    assert ended.returncode == 0, ended.stderr
    servers = [line.split() for line in (night.folder / "servers").read_text().splitlines()]
    assert sorted(words[1] for words in servers) == ["scheduler", "worker", "worker"]
    contexts = {words[1]: parsed(words).params for words in servers}
    (fit,) = night.calls
    given = parsed(fit).params
    # All three meet through one file.
    places = {params["scheduler_file"] for params in contexts.values()}
    assert places == {given["cluster"].scheduler_file if "cluster" in given else given["scheduler_file"]}
    assert contexts["worker"]["nthreads"] == 1
    assert contexts["worker"]["memory_limit"] == "1000MiB"
    # Nothing is left but the model.
    assert sorted(path.name for path in night.models.iterdir()) == ["2026-11-21.gmm", "current.gmm"]


def test_its_connections_are_encrypted_with_a_key_of_its_own(night):
    night.run("slurm.sh")
    for server in ("scheduler", "worker"):
        lines = (night.folder / f"environment.{server}").read_text()
        assert "DASK_DISTRIBUTED__COMM__REQUIRE_ENCRYPTION=true" in lines
        assert lines.count("/certificate.pem") == 4
        assert lines.count("/key.pem") == 3


@pytest.mark.parametrize(("code", "expected"), [(5, ["requeue 4711"]), (75, ["requeue 4711"]), (4, [])])
def test_what_may_pass_is_queued_again_and_nothing_else(night, code, expected):
    night.ends_with(code)
    assert night.run("slurm.sh").returncode == code
    assert requeued(night) == expected


def test_it_is_not_queued_again_for_ever(night):
    night.environment["SLURM_RESTART_COUNT"] = "3"
    night.ends_with(75)
    assert night.run("slurm.sh").returncode == 75
    assert requeued(night) == []


@pytest.mark.timeout(60)
def test_when_time_is_nearly_up_the_night_ends_and_is_queued_again(night):
    ready = night.waits("exit 75")
    with night.start("slurm.sh", "rows/2026-11-21.zarr", str(night.models)) as process:
        ready.read_text()
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)
    assert process.returncode == 75
    assert requeued(night) == ["requeue 4711"]
    assert list(night.models.iterdir()) == []


def test_slurm_is_asked_to_say_so_in_time_and_for_one_at_a_time():
    asked = dict(re.findall(r"^#SBATCH --(\S+?)=(\S+)$", (PIPELINES / "slurm.sh").read_text(), re.MULTILINE))
    who, _, seconds = asked["signal"].partition("@")
    assert who == "B:TERM"
    # Commands end within 5 seconds of a signal; Slurm may send it a minute late.
    assert int(seconds) > 65
    assert asked["dependency"] == "singleton"
