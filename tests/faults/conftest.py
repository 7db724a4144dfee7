"""What tests of faults use."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from click.testing import CliRunner, Result

from daskgmm.cli import main


@pytest.fixture
def invoke() -> Callable[..., Result]:
    """Run a command in this process; what it raises beyond its exit code is raised here."""

    def run(*arguments: object) -> Result:
        return CliRunner(catch_exceptions=False).invoke(main, [str(argument) for argument in arguments])

    return run
