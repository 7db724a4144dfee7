"""An Airflow DAG: each night's rows make a new model, which is published unless the rows have drifted.

Put this file into Airflow's folder of DAGs; the workers need daskgmm on their PATH. Settings come from the environment:
DAILY_ROWS is a folder of stores named 2026-11-21.zarr, DAILY_MODELS the folder of models. With Airflow 3; `python
airflow_dag.py` runs it once, here.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from airflow.sdk import dag, task
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

ROWS = Path(os.environ.get("DAILY_ROWS", "/srv/rows"))
MODELS = Path(os.environ.get("DAILY_MODELS", "/srv/models"))
COMPONENTS = os.environ.get("DAILY_COMPONENTS", "8")
MOST_DRIFT = os.environ.get("DAILY_MOST_DRIFT", "0.2")
CURRENT = MODELS / "current.gmm"
# The day that had ended when the run was due, however late it runs.
NIGHT = "{{ macros.ds_add(dag_run.run_after | ds, -1) }}"
# Where the commands run. On a cluster: ["--scheduler", "tls://scheduler:8786", "--require-tls"].
WHERE = ["--n-workers", "2"]
# Cluster or storage failed; interrupted, and the checkpoint is valid; interrupted where there is none.
WORTH_A_RETRY = {5, 75, 143}
IN_USE = 6


def files_of(night: str) -> tuple[Path, Path, Path]:
    """Return a night's rows, the model that it makes, and the name of that model once it has passed."""
    return ROWS / f"{night}.zarr", MODELS / f"{night}.candidate.gmm", MODELS / f"{night}.gmm"


def daskgmm(*arguments: object) -> dict[str, Any]:
    """Run a command and return its result, which becomes the task's XCom."""
    ended = subprocess.run(["daskgmm", *map(str, arguments), "--json"], stdout=subprocess.PIPE, text=True, check=False)
    if ended.returncode == 0:
        return json.loads(ended.stdout)
    said = f"daskgmm {arguments[0]} ended with exit code {ended.returncode}; its log is above"
    if ended.returncode in WORTH_A_RETRY:
        raise RuntimeError(said)
    if ended.returncode == IN_USE:
        raise AirflowSkipException(f"{said}: another run is writing the model")
    # Bad input, drift, wrong usage: the same again would end the same.
    raise AirflowFailException(said)


@dag(
    schedule="@daily",
    start_date=datetime(2026, 1, 1),
    catchup=False,
    # A night starts from the model of the night before.
    max_active_runs=1,
    default_args={"retries": 3, "retry_delay": timedelta(minutes=5), "execution_timeout": timedelta(hours=4)},
)
def nightly_mixture() -> None:
    @task
    def make_model(night: str) -> dict[str, Any]:
        """Fit the first night's rows; update the current model with those of each later one."""
        rows, candidate, published = files_of(night)
        if published.exists() or candidate.exists():
            return {"up_to_date": True}
        if CURRENT.exists():
            return daskgmm("update", CURRENT, rows, "--output", candidate, *WHERE)
        checkpoint = MODELS / f"{night}.checkpoint"
        start = ["--components", COMPONENTS, "--checkpoint", checkpoint]
        return daskgmm("fit", rows, "--output", candidate, *start, *WHERE)

    @task
    def check_drift(night: str) -> dict[str, Any]:
        """Compare the new rows with those of the current model; fails when they have drifted."""
        rows, candidate, published = files_of(night)
        if published.exists() or not CURRENT.exists():
            return {"up_to_date": True}
        return daskgmm("score", candidate, rows, "--against", CURRENT, "--fail-on-drift", MOST_DRIFT, *WHERE)

    @task
    def publish(night: str) -> None:
        """Give the new model the name that others read, by renaming, so that nobody reads half of it."""
        _, candidate, published = files_of(night)
        if published.exists():
            return
        copy = MODELS / f"{night}.publishing"
        shutil.copyfile(candidate, copy)
        copy.replace(CURRENT)
        candidate.replace(published)
        for part in MODELS.glob(f"{night}.checkpoint*"):
            part.unlink()

    make_model(NIGHT) >> check_drift(NIGHT) >> publish(NIGHT)


nightly = nightly_mixture()

if __name__ == "__main__":
    nightly.test()
