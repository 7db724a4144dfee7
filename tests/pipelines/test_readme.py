"""examples/pipelines/README.md names every recipe, and no file that is not there."""

from __future__ import annotations

import re

from tests.pipelines.stand_ins import PIPELINES, ROOT

README = (PIPELINES / "README.md").read_text()


def test_every_recipe_is_described():
    recipes = {path.name for path in PIPELINES.iterdir() if path.suffix in (".sh", ".py")}
    assert recipes == set(re.findall(r"`(\w+\.(?:sh|py))`", README))


def test_files_of_other_places_exist():
    named = re.findall(r"`(docker/[\w./-]+)`", README)
    assert named
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_readers_of_the_examples_find_them():
    assert "pipelines/README.md" in (ROOT / "examples" / "README.md").read_text()
