"""Programs of a test's own that stand before the real ones on PATH, and the scripts that are run with them."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]
PIPELINES = ROOT / "examples" / "pipelines"

# Notes down how it was called, does what `daskgmm` would leave, and ends with the next exit code of a list.
COMMAND = """#!/bin/sh
{before}
echo "daskgmm $*" >> {calls}
code=$(sed -n "$(wc -l < {calls})p" {codes})
if [ "${{code:-0}}" -eq 0 ]; then
    while [ $# -gt 0 ]; do
        if [ "$1" = --output ]; then wc -l < {calls} > "$2"; fi
        if [ "$1" = --checkpoint ]; then touch "$2" "$2.sample"; fi
        shift
    done
    echo '{{}}'
fi
exit "${{code:-0}}"
"""
# Says on a pipe that it runs, and waits for a signal, which may be ignored until it says how it ends.
WAITING = """#!/bin/sh
{before}
trap '{on_signal}' TERM
echo ready > {ready}
while :; do sleep 0.05; done
"""


@dataclass(frozen=True)
class Night:
    """A folder with rows that nobody reads, models, and stand-ins that are called in their stead."""

    folder: Path
    environment: dict[str, str] = field(default_factory=dict)
    before: str = ":"
    """What the stand-in for `daskgmm` does before anything else."""

    def __post_init__(self) -> None:
        self.programs.mkdir()
        self.models.mkdir()
        (self.folder / "codes").touch()
        (self.folder / "calls").touch()
        script = COMMAND.format(before=self.before, calls=self.folder / "calls", codes=self.folder / "codes")
        self.stand_in("daskgmm", script)

    @property
    def programs(self) -> Path:
        return self.folder / "programs"

    @property
    def models(self) -> Path:
        return self.folder / "models"

    @property
    def calls(self) -> list[list[str]]:
        """How the stand-in was called, oldest first."""
        return [shlex.split(line) for line in (self.folder / "calls").read_text().splitlines()]

    def stand_in(self, name: str, script: str) -> None:
        path = self.programs / name
        path.write_text(script)
        path.chmod(0o755)

    def ends_with(self, *codes: int) -> None:
        """Set the exit codes of the next calls; later ones end with 0."""
        lines = ["0"] * len(self.calls) + [str(code) for code in codes]
        (self.folder / "codes").write_text("\n".join(lines) + "\n")

    def waits(self, on_signal: str) -> Path:
        """Let the stand-in wait for a signal; returns the pipe on which it says that it does."""
        ready = self.folder / "ready"
        os.mkfifo(ready)
        self.stand_in("daskgmm", WAITING.format(before=self.before, on_signal=on_signal, ready=ready))
        return ready

    def start(self, script: str, *arguments: str, shell: Sequence[str] = ()) -> subprocess.Popen[str]:
        path = f"{self.programs}:{os.environ['PATH']}"
        return subprocess.Popen(
            [*shell, str(PIPELINES / script), *arguments],
            cwd=self.folder,
            env={**os.environ, "PAUSE": "0", **self.environment, "PATH": path},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, script: str, night: str = "2026-11-21", *more: str) -> subprocess.CompletedProcess[str]:
        """Run a script to its end on one night's rows."""
        with self.start(script, f"rows/{night}.zarr", str(self.models), *more) as process:
            output, errors = process.communicate(timeout=60)
        return subprocess.CompletedProcess(process.args, process.returncode, output, errors)
