"""The instructions of a Dockerfile, as far as this one goes."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

# https://docs.docker.com/reference/dockerfile
INSTRUCTIONS = {"ADD", "ARG", "CMD", "COPY", "ENTRYPOINT", "ENV", "EXPOSE", "FROM", "HEALTHCHECK", "LABEL", "ONBUILD"}
INSTRUCTIONS |= {"RUN", "SHELL", "STOPSIGNAL", "USER", "VOLUME", "WORKDIR"}


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction and the number of the stage that it belongs to."""

    name: str
    value: str
    stage: int

    def words(self) -> list[str]:
        """Return what an instruction in JSON form holds."""
        return [str(word) for word in json.loads(self.value)]


def read_dockerfile(path: Path) -> list[Instruction]:
    """Return the instructions in order; raises ValueError at a line that begins with none."""
    # Docker drops comments, also those between continued lines, before it joins lines.
    lines = [line for line in path.read_text().splitlines() if line.strip() and not line.lstrip().startswith("#")]
    stage, found = -1, []
    for line in re.sub(r"\\\n", " ", "\n".join(lines)).splitlines():
        name, _, value = line.strip().partition(" ")
        if name not in INSTRUCTIONS:
            raise ValueError(f"{path}: expected an instruction; got {line!r}")
        stage += name == "FROM"
        found.append(Instruction(name, " ".join(value.split()), stage))
    return found


def last_stage(instructions: list[Instruction], name: str) -> list[Instruction]:
    """Return the instructions of one name that shape the image."""
    last = instructions[-1].stage
    return [one for one in instructions if one.stage == last and one.name == name]


def environment(instructions: list[Instruction]) -> dict[str, str]:
    """Return the environment that the image sets."""
    values = " ".join(one.value for one in last_stage(instructions, "ENV"))
    return dict(pair.split("=", 1) for pair in values.split())
