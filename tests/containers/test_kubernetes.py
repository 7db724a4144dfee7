"""docker/kubernetes: what the manifests say, held against the commands, the image and Kubernetes' own rules."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from tests.containers.commands import parsed
from tests.containers.dockerfile import last_stage, read_dockerfile
from tests.containers.services import ROOT
from tests.containers.variables import is_read

MANIFESTS = sorted((ROOT / "docker" / "kubernetes").glob("*.yaml"))
# What the Dask operator sets in the pods of a DaskJob.
BY_OPERATOR = {"DASK_SCHEDULER_ADDRESS", "DASK_WORKER_NAME"}
PIPELINE = ROOT / "examples" / "pipelines" / "nightly.sh"


def read(name: str) -> dict[str, Any]:
    (manifest,) = yaml.safe_load_all((ROOT / "docker" / "kubernetes" / name).read_text())
    return dict(manifest)


def pods(value: Any) -> Iterator[dict[str, Any]]:
    """Yield every pod's specification in a manifest, wherever it is."""
    if isinstance(value, dict):
        if "containers" in value:
            yield value
        else:
            for inner in value.values():
                yield from pods(inner)


POD = [
    pytest.param(pod, id=f"{path.stem}-{pod['containers'][0]['name']}")
    for path in MANIFESTS
    for pod in pods(read(path.name))
]


@pytest.fixture(params=POD)
def pod(request) -> dict[str, Any]:
    return dict(request.param)


@pytest.fixture
def container(pod) -> dict[str, Any]:
    (container,) = pod["containers"]
    return dict(container)


@pytest.fixture
def cronjob() -> dict[str, Any]:
    return dict(read("cronjob.yaml")["spec"])


def test_the_pods_are_the_night_and_the_three_of_a_dask_job():
    assert [parameter.id for parameter in POD] == [
        "cronjob-job",
        "daskjob-job",
        "daskjob-worker",
        "daskjob-scheduler",
    ]


def test_nobody_is_root_or_may_become_it_or_talk_to_kubernetes(pod, container):
    assert pod["securityContext"]["runAsNonRoot"] is True
    (user,) = last_stage(read_dockerfile(ROOT / "docker" / "Dockerfile"), "USER")
    assert f"{pod['securityContext']['runAsUser']}:{pod['securityContext']['runAsGroup']}" == user.value
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    # They would set DASKGMM_FIT_SCHEDULER_PORT and its like, which the commands refuse.
    assert pod["enableServiceLinks"] is False
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def test_each_has_what_it_mounts_and_mounts_what_it_writes_to(pod, container):
    mounts = {mount["mountPath"]: mount for mount in container["volumeMounts"]}
    assert {mount["name"] for mount in mounts.values()} == {volume["name"] for volume in pod["volumes"]}
    computes = container["name"] != "scheduler"
    assert {"/tmp", "/scratch", *(["/kernels"] if computes else [])} <= set(mounts)
    assert mounts.get("/data", {"readOnly": True})["readOnly"] is True


def test_each_asks_for_memory_and_gets_no_more(container):
    assert container["resources"]["requests"]["memory"] == container["resources"]["limits"]["memory"]
    assert container["resources"]["requests"].keys() == {"cpu", "memory"}


def test_every_variable_is_one_that_somebody_reads(container):
    for variable in container.get("env", ()):
        name = variable["name"]
        assert is_read(name) or f"${{{name}:-" in PIPELINE.read_text(), name


@pytest.mark.parametrize("part", ["job", "worker", "scheduler"])
def test_every_command_of_the_dask_job_is_a_real_one_with_real_options(part):
    spec = read("daskjob.yaml")["spec"]
    (container,) = (spec["job"] if part == "job" else spec["cluster"]["spec"][part])["spec"]["containers"]
    words = [*container["command"], *container["args"]]
    for name in BY_OPERATOR:
        words = [word.replace(f"$({name})", "x") for word in words]
    assert not any("$(" in word for word in words)
    parsed(words)


def test_the_dask_jobs_ports_are_those_of_its_commands_and_its_service():
    cluster = read("daskjob.yaml")["spec"]["cluster"]["spec"]
    (scheduler,) = cluster["scheduler"]["spec"]["containers"]
    given = parsed([*scheduler["command"], *scheduler["args"]]).params
    ports = {port["name"]: port["containerPort"] for port in scheduler["ports"]}
    assert ports == {"tcp-comm": int(given["port"]), "http-dashboard": int(given["dashboard_address"].strip(":"))}
    # The operator asks for both by these names, at these numbers.
    service = cluster["scheduler"]["service"]
    assert {port["name"]: port["port"] for port in service["ports"]} == {"tcp-comm": 8786, "http-dashboard": 8787}
    assert all(port["targetPort"] == port["name"] for port in service["ports"])
    assert service["selector"] == {
        "dask.org/cluster-name": read("daskjob.yaml")["metadata"]["name"],
        "dask.org/component": "scheduler",
    }
    (worker,) = cluster["worker"]["spec"]["containers"]
    (port,) = worker["ports"]
    assert parsed([*worker["command"], *worker["args"]]).params["dashboard_address"] == f":{port['containerPort']}"


def test_the_dask_job_waits_for_all_its_workers():
    spec = read("daskjob.yaml")["spec"]
    (job,) = spec["job"]["spec"]["containers"]
    waits_for = parsed([*job["command"], *job["args"]]).params["wait_workers"]
    assert waits_for == spec["cluster"]["spec"]["worker"]["replicas"]


def test_a_dask_job_is_tried_once():
    assert read("daskjob.yaml")["spec"]["job"]["spec"]["restartPolicy"] == "Never"


# The night.


def test_nights_do_not_overlap_and_end(cronjob):
    assert cronjob["concurrencyPolicy"] == "Forbid"
    job = cronjob["jobTemplate"]["spec"]
    assert 0 < job["backoffLimit"] < 10
    assert 0 < job["activeDeadlineSeconds"] < 24 * 3600
    # Kubernetes takes a podFailurePolicy with no other.
    assert job["template"]["spec"]["restartPolicy"] == "Never"


def action(rules: list[dict[str, Any]], code: int) -> str:
    """Return what the first rule that fits an exit code says; Kubernetes counts what no rule fits."""
    by_code = (rule for rule in rules if "onExitCodes" in rule)
    fits = (rule["action"] for rule in by_code if code in rule["onExitCodes"]["values"])
    return next(fits, "Count")


@pytest.mark.parametrize(
    ("code", "expected"),
    [(1, "FailJob"), (2, "FailJob"), (3, "FailJob"), (4, "FailJob"), (5, "Count"), (6, "Count"), (75, "Count")],
)
def test_what_may_pass_is_tried_again_and_nothing_else(cronjob, code, expected):
    rules = cronjob["jobTemplate"]["spec"]["podFailurePolicy"]["rules"]
    assert action(rules, code) == expected
    (container,) = cronjob["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    for rule in rules:
        assert rule.get("onExitCodes", {"containerName": container["name"]})["containerName"] == container["name"]
        assert rule.get("onExitCodes", {"operator": "In"})["operator"] == "In"


def test_a_drained_node_is_no_try(cronjob):
    (rule,) = [
        rule for rule in cronjob["jobTemplate"]["spec"]["podFailurePolicy"]["rules"] if "onPodConditions" in rule
    ]
    assert rule == {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}


def test_the_night_runs_the_pipeline_that_the_image_holds(cronjob):
    (container,) = cronjob["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    assert container["command"] == ["sh", "-c"]
    copied = [one.value for one in last_stage(read_dockerfile(ROOT / "docker" / "Dockerfile"), "COPY")]
    assert any(PIPELINE.relative_to(ROOT).as_posix() in value and value.endswith(" /opt/") for value in copied)
    (script,) = container["args"]
    words = shlex.split(script)
    assert words[:3] == ["exec", "sh", "/opt/nightly.sh"]
    assert words[4] == "/models"
    # The pipeline hands its options on to each of these.
    where = words[5:]
    parsed(["daskgmm", "fit", "rows.zarr", "--output", "x.gmm", "--components", "2", *where])
    parsed(["daskgmm", "score", "x.gmm", "rows.zarr", *where])
