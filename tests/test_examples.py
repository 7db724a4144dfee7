"""Every script in examples/ runs as its reader would run it, and leaves what it says it leaves."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import zarr
from PIL import Image

from daskgmm import load

EXAMPLES = Path(__file__).parents[1] / "examples"
# What each script leaves in the folder given by --output.
LEAVES = {"quickstart.py": {"pixels.zarr", "labels.zarr", "colours.gmm", "colours.png"}}


def run(script: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "error", str(script), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=110, check=False)


@pytest.fixture(scope="module", params=sorted(EXAMPLES.glob("*.py")), ids=lambda script: script.name)
def example(request, tmp_path_factory) -> tuple[Path, Path, subprocess.CompletedProcess[str]]:
    """A script that has been run, the folder that it wrote to, and how it ended."""
    folder = tmp_path_factory.mktemp("examples") / request.param.stem
    return request.param, folder, run(request.param, "--output", folder)


def test_the_script_succeeds_and_leaves_what_it_should(example):
    script, folder, ended = example
    assert ended.returncode == 0, ended.stderr
    assert ended.stderr == ""
    assert {path.name for path in folder.iterdir()} == LEAVES[script.name]


def test_the_script_is_listed_for_readers(example):
    script, _, _ = example
    assert f"`{script.name}`" in (EXAMPLES / "README.md").read_text()


def test_the_script_refuses_a_folder_that_holds_files(example):
    script, folder, _ = example
    assert run(script, "--output", folder).returncode == 2


def test_the_quickstarts_picture_has_the_colours_of_its_labels(example):
    script, folder, _ = example
    if script.name != "quickstart.py":
        pytest.skip("another example")
    labels = zarr.open_array(folder / "labels.zarr", mode="r")[:]
    means = load(folder / "colours.gmm").means_
    with Image.open(folder / "colours.png") as picture:
        painted = np.asarray(picture)[:, picture.width // 2 :].reshape(-1, 3)
    np.testing.assert_allclose(painted, 255 * means[labels], atol=0.51)
    # More than one colour, or the picture would show nothing.
    assert np.unique(labels).size == len(means)
