"""docker/README.md: its commands are real ones, and its exit codes those of the manifest."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator

import pytest

from tests.containers.commands import parsed
from tests.containers.services import ROOT

README = (ROOT / "docker" / "README.md").read_text()


def shown() -> Iterator[list[str]]:
    """Yield what `daskgmm` is given where a line runs the image or the job."""
    for block in re.findall(r"^```sh\n(.*?)^```$", README, flags=re.DOTALL | re.MULTILINE):
        for line in block.replace("\\\n", " ").splitlines():
            words = shlex.split(line)
            image = "daskgmm" if words[:2] == ["docker", "run"] else "job"
            if "run" in words and image in words:
                yield words[words.index(image) + 1 :]


def test_there_are_commands():
    assert [words[0] for words in shown()] == ["fit", "update", "score"]


@pytest.mark.parametrize("words", list(shown()), ids=lambda words: words[0])
def test_every_command_is_a_real_one_with_real_options(words):
    parsed(["daskgmm", *words])


def test_files_that_it_names_exist():
    named = set(re.findall(r"(?:docker|kubernetes|examples|tests)/[\w./-]*\w", README))
    assert len(named) > 5
    missing = [name for name in named if not (ROOT / name).exists() and not (ROOT / "docker" / name).exists()]
    assert missing == []
