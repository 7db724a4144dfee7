"""docker/Dockerfile and what it copies."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.containers.dockerfile import Instruction, environment, last_stage, read_dockerfile
from tests.containers.services import ROOT, Service, unused_port
from tests.containers.variables import THREADS, is_read

DOCKER = ROOT / "docker"


@pytest.fixture(scope="module")
def instructions() -> list[Instruction]:
    return read_dockerfile(DOCKER / "Dockerfile")


def copied(instructions: list[Instruction]) -> list[str]:
    """Return the paths below the root that the image is made of."""
    sources = [one.value.split()[:-1] for one in instructions if one.name == "COPY"]
    return [path.removeprefix("./") for words in sources if "--from=build" not in words for path in words]


def test_a_line_that_is_no_instruction_is_noticed(tmp_path):
    (tmp_path / "Dockerfile").write_text("FROM python:3.12-slim\nCOPPY a b\n")
    with pytest.raises(ValueError, match="COPPY"):
        read_dockerfile(tmp_path / "Dockerfile")


def test_there_are_two_stages_of_the_same_slim_python(instructions):
    first, second = (one.value for one in instructions if one.name == "FROM")
    assert first == f"{second} AS build"
    assert second.startswith("python:3.")
    assert second.endswith("-slim")


def test_what_is_copied_exists_and_reaches_the_builder(instructions):
    assert len(copied(instructions)) > 4
    assert [path for path in copied(instructions) if not (ROOT / path).exists()] == []
    ignored, *exceptions, caches = [
        line for line in (ROOT / ".dockerignore").read_text().splitlines() if not line.startswith("#")
    ]
    assert (ignored, caches) == ("*", "**/__pycache__")
    assert sorted(exceptions) == sorted(f"!{path}" for path in copied(instructions))


def test_the_package_can_be_built_from_what_is_copied(instructions):
    # Files that the build reads by name: hatchling stops without any of them.
    assert {"pyproject.toml", "README.md", "LICENSE", "daskgmm"} <= set(copied(instructions))


def test_the_user_is_a_number_other_than_root(instructions):
    (user,) = last_stage(instructions, "USER")
    assert all(int(part) > 0 for part in user.value.split(":"))
    # Nothing is installed or written after that.
    assert instructions.index(user) > max(instructions.index(one) for one in last_stage(instructions, "RUN"))


def test_threads_of_libraries_are_pinned(instructions):
    values = environment(instructions)
    assert {name: values[name] for name in THREADS} == dict.fromkeys(THREADS, "1")


def test_every_variable_is_one_that_somebody_reads(instructions):
    assert [name for name in environment(instructions) if not is_read(name)] == []


def test_folders_that_are_written_to_are_there_for_everybody(instructions):
    (made,) = (one.value.partition("mkdir --mode 1777 ")[2].split() for one in last_stage(instructions, "RUN"))
    values = environment(instructions)
    assert {values["NUMBA_CACHE_DIR"], values["DASK_TEMPORARY_DIRECTORY"], "/models"} <= set(made)


def test_the_image_runs_daskgmm_and_shows_its_help(instructions):
    (entrypoint,) = last_stage(instructions, "ENTRYPOINT")
    (arguments,) = last_stage(instructions, "CMD")
    assert entrypoint.words() == ["daskgmm"]
    assert arguments.words() == ["--help"]


# The health check: is what runs here well?


def healthcheck(port: int, process: int) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(DOCKER / "healthcheck.py"), "--port", str(port), "--process", str(process)]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)


def test_the_image_asks_its_health_check_and_gives_it_time_to_answer(instructions):
    (check,) = last_stage(instructions, "HEALTHCHECK")
    options, _, words = check.value.partition(" CMD ")
    assert words == '["python", "/opt/healthcheck.py"]'
    # The check's own limit of 4 seconds ends before Docker's.
    assert "--timeout=5s" in options.split()


@pytest.fixture
def scheduler(tmp_path) -> Iterator[tuple[Service, int]]:
    port = unused_port()
    words = ["dask", "scheduler", "--host", "127.0.0.1", "--port", "0", "--dashboard-address", f"127.0.0.1:{port}"]
    with Service(words, folder=tmp_path) as service:
        yield service, port


@pytest.mark.timeout(60)
def test_a_scheduler_is_well_as_soon_as_it_answers(scheduler):
    service, port = scheduler
    service.wait_until_healthy(port)
    assert healthcheck(port, service.pid).returncode == 0


def test_a_scheduler_that_does_not_answer_is_not_well(scheduler):
    service, _ = scheduler
    ended = healthcheck(unused_port(), service.pid)
    assert ended.returncode == 1
    assert "healthcheck: expected an answer from http://127.0.0.1" in ended.stderr


def test_a_job_is_well_while_it_runs():
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as job:
        assert healthcheck(unused_port(), job.pid).returncode == 0
        job.kill()
