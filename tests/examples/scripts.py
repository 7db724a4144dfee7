"""The gallery's scripts, found by their folders, as modules and as commands."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

__all__ = ["EXAMPLES", "GALLERY", "run", "script"]

EXAMPLES = Path(__file__).parents[2] / "examples"
GALLERY = sorted(path.parent.name for path in EXAMPLES.glob("*/*.py") if path.stem == path.parent.name)
"""Names of the examples that have a folder with a script of the same name."""


def script(name: str) -> ModuleType:
    """Return an example's script as a module; its main() has not been run."""
    path = EXAMPLES / name / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"gallery_{name}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # Dataclasses look their module up, and so does what pickles a script's function.
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def run(name: str, *arguments: object, monkeypatch, folder: Path) -> int:
    """Run an example's main() in a folder, as its command would, and return the exit code."""
    module = script(name)
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "argv", [f"{name}.py", *map(str, arguments)])
    status: int = module.main()
    return status
