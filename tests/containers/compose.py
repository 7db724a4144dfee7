"""Compose files, read as `docker compose` reads them: variables filled in, one file on top of another."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

# The later file replaces these; other lists grow (https://docs.docker.com/reference/compose-file/merge).
REPLACED = {"command", "entrypoint"}
VARIABLE = re.compile(r"\$\{(?P<name>\w+)(?::(?P<kind>[-?])(?P<rest>[^}]*))?\}")


def read_compose(*files: Path, variables: Mapping[str, str]) -> dict[str, Any]:
    """Return the services, secrets and so on of compose files, the later ones on top of the earlier ones.

    Raises KeyError where a variable is asked for that has no value.
    """
    merged: dict[str, Any] = {}
    for file in files:
        merged = _merged(merged, _filled(yaml.safe_load(file.read_text()), variables))
    return merged


def _filled(content: Any, variables: Mapping[str, str]) -> Any:
    if isinstance(content, dict):
        return {key: _filled(inner, variables) for key, inner in content.items()}
    if isinstance(content, list):
        return [_filled(inner, variables) for inner in content]
    return _text(content, variables) if isinstance(content, str) else content


def _text(text: str, variables: Mapping[str, str]) -> str:
    def value(match: re.Match[str]) -> str:
        if match["name"] in variables:
            return variables[match["name"]]
        if match["kind"] == "-":
            return match["rest"]
        raise KeyError(match["name"])

    return VARIABLE.sub(value, text)


def _merged(below: Any, above: Any, name: str = "") -> Any:
    if isinstance(below, dict) and isinstance(above, dict):
        common = {key: _merged(below[key], above[key], key) for key in below.keys() & above.keys()}
        return {**below, **above, **common}
    if isinstance(below, list) and isinstance(above, list) and name not in REPLACED:
        return [*below, *above]
    return above
