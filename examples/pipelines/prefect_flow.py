"""A Prefect flow: each night's rows make a new model, which is published unless the rows have drifted.

    python prefect_flow.py /srv/rows/2026-11-21.zarr /srv/models     runs it once, here

`nightly_mixture.serve(cron="30 2 * * *")` or a deployment runs it every night. The process that runs it needs daskgmm
on its PATH.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prefect import flow, task

if TYPE_CHECKING:
    from prefect.client.schemas.objects import State, TaskRun
    from prefect.tasks import Task

# Where the commands run. On a cluster: ["--scheduler", "tls://scheduler:8786", "--require-tls"].
WHERE = ["--n-workers", "2"]
# Cluster or storage failed; interrupted, and the checkpoint is valid; interrupted where there is none.
WORTH_A_RETRY = {5, 75, 143}


class CommandFailedError(RuntimeError):
    """A command ended with another exit code than 0."""

    def __init__(self, command: str, exit_code: int) -> None:
        super().__init__(f"daskgmm {command} ended with exit code {exit_code}; its log is above")
        self.exit_code = exit_code


def is_worth_a_retry(task: Task[..., Any], run: TaskRun, state: State[Any]) -> bool:
    """Return whether the same command may succeed later; bad input, drift and wrong usage stay what they are."""
    try:
        state.result()
    except CommandFailedError as error:
        return error.exit_code in WORTH_A_RETRY
    except Exception:  # noqa: BLE001  (whatever else went wrong, such as the time limit)
        return False
    return False


@task(
    task_run_name="{command}",
    retries=3,
    retry_delay_seconds=float(os.environ.get("RETRY_DELAY_SECONDS", "300")),
    retry_condition_fn=is_worth_a_retry,
    timeout_seconds=4 * 3600,
)
def daskgmm(command: str, *arguments: str) -> dict[str, Any]:
    """Run a command and return its result."""
    words = ["daskgmm", command, *arguments, "--json"]
    ended = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=False)
    if ended.returncode != 0:
        raise CommandFailedError(command, ended.returncode)
    return json.loads(ended.stdout)


@task
def publish(candidate: Path, current: Path, published: Path) -> None:
    """Give the new model the name that others read, by renaming, so that nobody reads half of it."""
    copy = published.with_suffix(".publishing")
    shutil.copyfile(candidate, copy)
    copy.replace(current)
    candidate.replace(published)
    for part in published.parent.glob(f"{published.stem}.checkpoint*"):
        part.unlink()


@flow
def nightly_mixture(rows: Path, models: Path, components: int = 8, most_drift: float = 0.2) -> None:
    """Fit the first night's rows, or update the current model with the new ones; check them, and publish."""
    night = rows.stem
    candidate, published, current = models / f"{night}.candidate.gmm", models / f"{night}.gmm", models / "current.gmm"
    if published.exists():
        return
    if not candidate.exists() and current.exists():
        daskgmm("update", str(current), str(rows), "--output", str(candidate), *WHERE)
    elif not candidate.exists():
        start = ["--components", str(components), "--checkpoint", str(models / f"{night}.checkpoint")]
        daskgmm("fit", str(rows), "--output", str(candidate), *start, *WHERE)
    if current.exists():
        gate = ["--against", str(current), "--fail-on-drift", str(most_drift)]
        daskgmm("score", str(candidate), str(rows), *gate, *WHERE)
    publish(candidate, current, published)


if __name__ == "__main__":
    nightly_mixture(Path(sys.argv[1]), Path(sys.argv[2]))
