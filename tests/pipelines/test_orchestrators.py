"""The Airflow DAG and the Prefect flow, without the packages that they are for and, where installed, with them."""

from __future__ import annotations

import importlib.util
import os
import runpy
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import zarr

from daskgmm import load
from tests.containers.commands import parsed
from tests.containers.services import clean_environment
from tests.drawn import draw
from tests.pipelines.stand_ins import PIPELINES, Night

DAG, FLOW = PIPELINES / "airflow_dag.py", PIPELINES / "prefect_flow.py"
NIGHTS = ("2026-11-21", "2026-11-22")
needs_airflow = pytest.mark.skipif(
    importlib.util.find_spec("airflow") is None, reason="apache-airflow is not installed: pip install apache-airflow"
)
needs_prefect = pytest.mark.skipif(
    importlib.util.find_spec("prefect") is None, reason="prefect is not installed: pip install prefect"
)


@pytest.fixture
def night(tmp_path) -> Night:
    return Night(tmp_path)


# Without the packages: which commands they run. Tasks are plain functions here, run one after another.


class Ran:
    """A task that has run; the next one has run after it."""

    def __rshift__(self, other: Ran) -> Ran:
        return other


def run_dag(night: str) -> None:
    """Run the DAG's tasks where `airflow` is these few lines."""

    def task(function: Callable[[str], object]) -> Callable[[str], Ran]:
        def run(template: str) -> Ran:
            assert template.startswith("{{")
            function(night)
            return Ran()

        return run

    module: Any = ModuleType("airflow.sdk")
    module.task, module.dag = task, lambda **settings: lambda function: function
    errors: Any = ModuleType("airflow.sdk.exceptions")
    errors.AirflowFailException = errors.AirflowSkipException = RuntimeError
    stubs = {"airflow": ModuleType("airflow"), "airflow.sdk": module, "airflow.sdk.exceptions": errors}
    with pytest.MonkeyPatch.context() as patch:
        for name, stub in stubs.items():
            patch.setitem(sys.modules, name, stub)
        runpy.run_path(str(DAG), run_name="dag")


def run_flow(night: str) -> None:
    """Run the flow where `prefect` is these few lines."""

    def same(function: Callable[..., object] | None = None, **settings: object) -> Callable[..., Any]:
        return (lambda decorated: decorated) if function is None else function

    module: Any = ModuleType("prefect")
    module.task = module.flow = same
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "prefect", module)
        names = runpy.run_path(str(FLOW), run_name="flow")
        names["nightly_mixture"](Path("rows") / f"{night}.zarr", Path(os.environ["DAILY_MODELS"]))


@pytest.fixture(params=[run_dag, run_flow], ids=["airflow", "prefect"])
def run(request, night, monkeypatch) -> Callable[[str], None]:
    monkeypatch.setenv("PATH", f"{night.programs}:{os.environ['PATH']}")
    monkeypatch.setenv("DAILY_ROWS", "rows")
    monkeypatch.setenv("DAILY_MODELS", str(night.models))
    return request.param


def commands(night: Night) -> list[str]:
    """Return which commands were run; raises if `daskgmm` would have refused one."""
    return [parsed(call).info_name or "" for call in night.calls]


def test_the_first_night_is_fitted_and_later_ones_update_and_are_checked(run, night):
    for name in NIGHTS:
        run(name)
    assert commands(night) == ["fit", "update", "score"]
    score = parsed(night.calls[-1]).params
    assert score["against"] == f"{night.models}/current.gmm"
    assert score["model"] == f"{night.models}/{NIGHTS[1]}.candidate.gmm"
    assert sorted(path.name for path in night.models.iterdir()) == [f"{name}.gmm" for name in NIGHTS] + ["current.gmm"]


def test_a_night_that_is_done_is_not_done_again(run, night):
    run(NIGHTS[0])
    run(NIGHTS[0])
    assert commands(night) == ["fit"]


def test_drifted_rows_leave_the_model_of_the_night_before(run, night):
    run(NIGHTS[0])
    before = (night.models / "current.gmm").read_text()
    night.ends_with(0, 3)
    with pytest.raises(RuntimeError, match="daskgmm score ended with exit code 3"):
        run(NIGHTS[1])
    assert (night.models / "current.gmm").read_text() == before


# With the packages.


@pytest.fixture
def environment(tmp_path) -> dict[str, str]:
    """Folders of the packages' own, and nothing that leaves this machine."""
    return clean_environment(
        {
            "AIRFLOW_HOME": str(tmp_path / "airflow"),
            "AIRFLOW__CORE__DAGS_FOLDER": str(PIPELINES),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "PREFECT_HOME": str(tmp_path / "prefect"),
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "DO_NOT_TRACK": "1",
            "RETRY_DELAY_SECONDS": "0",
            "PYTHONDONTWRITEBYTECODE": "1",
            "DAILY_ROWS": str(tmp_path / "rows"),
            "DAILY_MODELS": str(tmp_path / "models"),
            "DAILY_COMPONENTS": "2",
        }
    )


def python(environment: dict[str, str], *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *map(str, arguments)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=280, check=False)


@needs_prefect
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_prefect_runs_a_night(environment, tmp_path):
    (tmp_path / "rows").mkdir()
    (tmp_path / "models").mkdir()
    store = tmp_path / "rows" / f"{NIGHTS[0]}.zarr"
    zarr.create_array(store, data=draw("full", n_rows=4000, n_features=2, spread=4.0).rows, chunks=(500, 2))
    ended = python(environment, FLOW, store, tmp_path / "models")
    assert ended.returncode == 0, ended.stderr
    assert load(tmp_path / "models" / "current.gmm").n_samples_seen_ == 4000


@needs_prefect
@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize(("codes", "calls"), [((5, 75, 0), 3), ((4, 0), 1), ((2, 0), 1)])
def test_prefect_tries_again_what_may_pass_and_nothing_else(environment, night, codes, calls):
    night.ends_with(*codes)
    environment["PATH"] = f"{night.programs}:{environment['PATH']}"
    ended = python(environment, FLOW, f"rows/{NIGHTS[0]}.zarr", night.models)
    assert len(night.calls) == calls, ended.stderr
    assert (ended.returncode == 0) == (calls == len(codes))


@needs_airflow
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_airflow_runs_a_night(environment, night):
    made = python(environment, "-m", "airflow", "db", "migrate")
    assert made.returncode == 0, made.stderr
    environment["PATH"] = f"{night.programs}:{environment['PATH']}"
    ended = python(environment, DAG)
    assert ended.returncode == 0, ended.stderr
    (fit,) = night.calls
    assert parsed(fit).info_name == "fit"
    # Yesterday's, which the template says.
    (published,) = night.models.glob("20*.gmm")
    assert Path(parsed(fit).params["store"]).stem == published.stem


@needs_airflow
@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("code", "error"),
    [
        (5, "RuntimeError"),
        (75, "RuntimeError"),
        (6, "AirflowSkipException"),
        (2, "AirflowFailException"),
        (3, "AirflowFailException"),
        (4, "AirflowFailException"),
    ],
)
def test_airflow_is_told_what_to_try_again(environment, night, code, error):
    night.ends_with(code)
    environment["PATH"] = f"{night.programs}:{environment['PATH']}"
    environment["PYTHONPATH"] = str(PIPELINES)
    program = "import airflow_dag\ntry: airflow_dag.daskgmm('fit')\nexcept Exception as e: print(type(e).__name__)"
    assert python(environment, "-c", program).stdout.splitlines()[-1] == error
