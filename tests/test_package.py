"""The front door: public names, what importing them costs, and the tour in the package's docstring."""

from __future__ import annotations

import doctest
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import daskgmm

PACKAGE = Path(daskgmm.__file__).parent
WITH_EXAMPLES = [
    ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")
    for path in sorted(PACKAGE.rglob("*.py"))
    if ">>> " in path.read_text()
]


def test_every_public_name_resolves():
    missing = [name for name in daskgmm.__all__ if getattr(daskgmm, name, None) is None]
    assert missing == []


def test_public_names_are_listed_before_they_are_imported():
    assert set(daskgmm.__all__) <= set(dir(daskgmm))


def test_unknown_name_is_an_attribute_error_that_names_it():
    with pytest.raises(AttributeError, match="'daskgmm' has no attribute 'Mixture'"):
        _ = daskgmm.Mixture


@pytest.mark.parametrize("module", ["daskgmm", "daskgmm.errors", "daskgmm.mixture.em", "daskgmm.kernels.blas"])
def test_what_a_worker_imports_stays_light(module):
    program = f"import sys, {module}; print(*sorted({{'sklearn', 'dask', 'zarr'}} & set(sys.modules)))"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == ""


@pytest.mark.parametrize("name", WITH_EXAMPLES)
def test_examples_in_docstrings_run_as_written(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = doctest.testmod(import_module(name))
    assert result.attempted > 5
    assert result.failed == 0


def test_the_tour_has_examples():
    assert "daskgmm" in WITH_EXAMPLES
