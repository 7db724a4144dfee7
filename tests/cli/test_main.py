"""The command line as a whole: help, examples, installed names."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys

import click
import pytest

import daskgmm
from daskgmm.cli import main

COMMANDS = pytest.mark.parametrize("name", sorted(main.commands))

ASK_FOR_HELP = """
import sys
from daskgmm.cli import main
for name in ([], *([name] for name in main.commands)):
    main([*name, "--help"], standalone_mode=False)
heavy = {"numpy", "scipy", "sklearn", "dask", "distributed", "zarr", "threadpoolctl", "psutil"} & set(sys.modules)
sys.exit(f"imported {sorted(heavy)}" if heavy else 0)
"""


def test_help_imports_nothing_heavier_than_click():
    run = subprocess.run([sys.executable, "-c", ASK_FOR_HELP], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert "Usage:" in run.stdout


@pytest.mark.parametrize("script", [("daskgmm",), ("dask", "gmm")], ids=" ".join)
def test_installed_commands_list_the_same_subcommands(script, shell):
    run = shell(*script, "--help")
    assert run.returncode == 0, run.stderr
    section = run.stdout.split("Commands:\n")[1].split("\n\n")[0]
    assert [line.split()[0] for line in section.splitlines()] == sorted(main.commands)


def test_the_version_is_the_packages(shell):
    assert daskgmm.__version__ in shell("daskgmm", "--version").stdout


def test_an_unknown_command_is_wrong_usage(invoke):
    assert invoke("fitt").exit_code == 2


@COMMANDS
def test_the_example_of_each_command_is_valid(name):
    command = main.commands[name]
    words = shlex.split(command.epilog.splitlines()[-1])
    assert words[:2] == ["daskgmm", name]
    with command.make_context(name, words[2:]) as context:
        assert context.params


@COMMANDS
def test_each_command_and_option_says_what_it_is_for(name):
    command = main.commands[name]
    assert command.help
    silent = [
        parameter.name for parameter in command.params if isinstance(parameter, click.Option) and not parameter.help
    ]
    assert silent == []


def test_a_shell_completes_options():
    """Without looking into files or the environment, where a slip would end the completion."""
    words = ["daskgmm", "fit", "--config", "no-such.yaml", "--cov"]
    completed = subprocess.run(
        [sys.executable, "-c", "from daskgmm.cli import main; main(prog_name='daskgmm')"],
        env={
            **os.environ,
            "_DASKGMM_COMPLETE": "bash_complete",
            "COMP_WORDS": " ".join(words),
            "COMP_CWORD": "4",
            "DASKGMM_FIT_NONSENSE": "1",
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert completed.stdout.split() == ["plain,--covariance-type"]
