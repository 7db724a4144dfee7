"""What a command found, on standard output and in the file that a scheduler reads."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from daskgmm.cli.logging_options import end_bar
from daskgmm.errors import ParameterError
from daskgmm.storage.new_file import check_parent, whole_file

__all__ = ["check_summary", "deliver", "json_text"]


def check_summary(summary: str | None, *others: str | None) -> None:
    """Make sure, before any work, that a summary can be written, and in place of none of the command's other files.

    Raises ParameterError, StoreNotFoundError or StorageError.
    """
    if summary is None:
        return
    target = Path(summary).absolute()
    if target.is_dir() or target in {Path(other).absolute() for other in others if other is not None}:
        raise ParameterError(f"--summary {summary}: expected the name of a file of its own")
    check_parent(target)


def deliver(result: Mapping[str, Any], text: str, *, as_json: bool, summary: str | None) -> None:
    """Print a result, as text or as one JSON object, and write it to the summary, whole or not at all."""
    line = json_text(result)
    if summary is not None:
        with whole_file(summary) as file:
            file.write(f"{line}\n".encode())
    end_bar()
    click.echo(line if as_json else text)


def json_text(result: Mapping[str, Any]) -> str:
    """Return a result as one JSON object on one line; what JSON has no number for is null."""
    return json.dumps(_finite(result), allow_nan=False)


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _finite(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
