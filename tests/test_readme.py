"""What README.md shows runs as written: its Python from top to bottom, then its commands, in one empty folder."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import zarr
from click.testing import CliRunner

from daskgmm.cli import main

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
INSTALL = "python3 -m venv .venv && .venv/bin/pip install -e '.[test]' && "


def blocks(language: str) -> list[str]:
    """The code blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", README, flags=re.DOTALL | re.MULTILINE)


def shown_commands() -> list[str]:
    """The lines at a shell, without those that install."""
    lines = [line for block in blocks("sh") for line in block.splitlines()]
    return [line for line in lines if not line.startswith(INSTALL)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A folder in which README's Python has run, as one script."""
    folder = tmp_path_factory.mktemp("readme")
    script = folder / "readme.py"
    script.write_text("\n".join(blocks("python")))
    run = subprocess.run(
        [sys.executable, "-W", "error", script.name],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    return folder


def test_python_runs_from_top_to_bottom(folder):
    labels = zarr.open_array(folder / "labels.zarr", mode="r")
    assert zarr.open_array(folder / "probabilities.zarr", mode="r").shape == (*labels.shape, 2)
    assert (folder / "model.gmm").is_file()


def test_the_main_example_is_about_twenty_lines():
    main_example = next(block for block in blocks("python") if "open_zarr" in block)
    assert len(main_example.splitlines()) <= 22


def test_commands_run_in_the_order_shown(folder, monkeypatch):
    """In this process, which has loaded already what each would load for seconds."""
    monkeypatch.chdir(folder)
    commands = [line for line in shown_commands() if line.startswith("daskgmm ")]
    assert len(commands) >= 4
    for command in commands:
        run = CliRunner().invoke(main, shlex.split(command)[1:])
        assert run.exit_code == 0, f"{command}\n{run.output}"


def test_every_command_of_a_shell_block_is_one_that_is_run_here():
    assert [line for line in shown_commands() if line and not line.startswith("daskgmm ")] == []


@pytest.mark.parametrize("last", [".venv/bin/daskgmm demo", ".venv/bin/pytest"])
def test_each_of_the_two_commands_stands_alone_on_one_line(last):
    assert README.splitlines().count(INSTALL + last) == 1


def test_nothing_else_looks_like_one_of_the_two_commands():
    assert README.count("python3 -m venv .venv &&") == 2


def test_options_in_the_text_exist():
    options = {
        option for command in main.commands.values() for parameter in command.params for option in parameter.opts
    }
    assert set(re.findall(r"`(--[a-z-]+)", README)) <= options


def test_markers_in_the_text_exist():
    markers = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["pytest"]["ini_options"]["markers"]
    assert set(re.findall(r"pytest -m (\w+)", README)) == {marker.split(":")[0] for marker in markers}


def test_files_in_the_text_exist():
    named = [*re.findall(r"`((?:examples|tests|daskgmm|docker)/[\w./-]+)`", README), "LICENSE", "CHANGELOG.md"]
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_the_configuration_shown_is_one(tmp_path):
    (block,) = blocks("yaml")
    (tmp_path / "job.yaml").write_text(block)
    run = CliRunner().invoke(main, ["fit", "--config", str(tmp_path / "job.yaml"), "--print-config", "--json"])
    assert run.exit_code == 0, run.output
    assert json.loads(run.stdout)["max-time"]["value"] == "2h"
