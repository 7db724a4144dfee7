"""Every example of the gallery runs from the folder its reader is in, and leaves its picture and nothing else."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
from PIL import Image

from tests.examples.scripts import EXAMPLES, GALLERY, run

# What a reader downloads with a clone: all pictures together, and the largest of them.
ALL_PICTURES, ONE_PICTURE = 2 * 2**20, 200 * 2**10
# Narrower than this a picture of several panels cannot be read; wider, a page shrinks it until its text cannot be.
WIDTHS = range(400, 1601)


def picture_of(name: str, folder: Path) -> Path:
    found = [path for suffix in ("png", "svg") if (path := folder / f"{name}.{suffix}").exists()]
    assert len(found) == 1, f"expected {name}.png or {name}.svg in {folder}; found {found}"
    return found[0]


def width_of(picture: Path) -> float:
    if picture.suffix == ".svg":
        root = ElementTree.parse(picture).getroot()
        assert root.tag == "{http://www.w3.org/2000/svg}svg"
        return float(root.attrib["width"].removesuffix("pt")) * 96 / 72
    with Image.open(picture) as image:
        image.verify()
        return image.width


def commands_of(name: str) -> list[list[str]]:
    """The commands in the example's README, as lists of words."""
    lines = (EXAMPLES / name / "README.md").read_text().splitlines()
    return [line.split() for line in lines if line.strip().startswith("python ")]


@pytest.mark.parametrize("name", GALLERY)
def test_the_example_keeps_its_promise_and_leaves_its_picture(name, tmp_path, monkeypatch, capfd):
    assert run(name, monkeypatch=monkeypatch, folder=tmp_path) == 0
    printed = capfd.readouterr()
    assert printed.out
    assert printed.err == ""
    drawn = picture_of(name, tmp_path)
    assert list(tmp_path.iterdir()) == [drawn]
    # The picture that readers see is of the same size, so it was made by this script at its default size.
    assert width_of(drawn) == pytest.approx(width_of(picture_of(name, EXAMPLES / name)), abs=1)


@pytest.mark.slow
@pytest.mark.parametrize("name", GALLERY)
def test_the_example_runs_from_a_store_and_keeps_it(name, tmp_path, monkeypatch):
    source = (EXAMPLES / name / f"{name}.py").read_text()
    if '"--rows"' not in source or '"--store"' not in source:
        pytest.skip("this example has no larger form by rows")
    store, picture = tmp_path / "rows.zarr", tmp_path / "picture.png"
    arguments = ("--rows", 100_000, "--store", store, "--picture", picture)
    assert run(name, *arguments, monkeypatch=monkeypatch, folder=tmp_path) == 0
    assert {path.name for path in tmp_path.iterdir()} == {"rows.zarr", "picture.png"}


@pytest.mark.parametrize("name", ["dinosaur_weights", "few_labels", "one_dimension", "stretched_blobs", "three_blobs"])
def test_a_store_that_exists_is_refused_before_anything_is_drawn(name, tmp_path, monkeypatch, capsys):
    store = tmp_path / "rows.zarr"
    store.mkdir()
    with pytest.raises(SystemExit, match="2"):
        run(name, "--rows", 100, "--store", store, monkeypatch=monkeypatch, folder=tmp_path)
    assert f"expected a path where nothing is yet; {store} exists" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == [store]


@pytest.mark.parametrize("name", GALLERY)
def test_the_picture_is_valid_and_small(name):
    picture = picture_of(name, EXAMPLES / name)
    assert picture.stat().st_size <= ONE_PICTURE
    assert int(width_of(picture)) in WIDTHS


def test_the_pictures_together_are_small():
    assert sum(picture_of(name, EXAMPLES / name).stat().st_size for name in GALLERY) <= ALL_PICTURES


@pytest.mark.parametrize("name", GALLERY)
def test_the_readme_shows_the_picture_and_commands_that_exist(name):
    readme = (EXAMPLES / name / "README.md").read_text()
    assert f"]({picture_of(name, EXAMPLES / name).name})" in readme
    commands = commands_of(name)
    # A small one and a large one, or one with another option.
    assert len(commands) >= 2
    source = (EXAMPLES / name / f"{name}.py").read_text()
    for command in commands:
        assert command[1] == f"examples/{name}/{name}.py"
        for option in (word for word in command if word.startswith("--")):
            assert f'"{option}"' in source, f"{option} is not an option of {name}.py"


@pytest.mark.parametrize("name", GALLERY)
def test_the_gallery_lists_the_example_with_its_picture(name):
    listed = (EXAMPLES / "README.md").read_text()
    assert f"]({name}/{picture_of(name, EXAMPLES / name).name})" in listed
    assert re.search(rf"\]\({name}/(README\.md)?\)", listed)


def test_the_gallery_is_found():
    assert len(GALLERY) >= 5
