"""docker/compose.yaml and its variant with TLS: what they say, and that their commands do it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import zarr

from daskgmm import load
from tests.containers.cluster import LocalNetwork, cluster_of, run_job
from tests.containers.commands import parsed
from tests.containers.compose import read_compose
from tests.containers.dockerfile import environment, read_dockerfile
from tests.containers.services import ROOT, unused_port
from tests.containers.variables import is_read
from tests.drawn import draw

DOCKER = ROOT / "docker"
PLAIN = (DOCKER / "compose.yaml",)
TLS = (DOCKER / "compose.yaml", DOCKER / "compose.tls.yaml")
FOLDERS = {"ROWS": "/host/rows", "MODELS": "/host/models", "CERTIFICATES": "/host/certificates"}
ROLES = ("scheduler", "worker", "job")
# Where the file system is read-only, these are for writing.
WRITABLE = {
    "scheduler": {"/tmp", "/scratch"},
    "worker": {"/tmp", "/scratch", "/kernels"},
    "job": {"/tmp", "/scratch", "/kernels", "/models"},
}


@pytest.fixture(params=[PLAIN, TLS], ids=["plain", "tls"])
def content(request) -> dict[str, Any]:
    return read_compose(*request.param, variables=FOLDERS)


@pytest.fixture(params=ROLES)
def service(request, content) -> dict[str, Any]:
    return dict(content["services"][request.param])


def test_there_are_a_scheduler_workers_and_a_job(content):
    assert tuple(content["services"]) == ROLES
    replicas = int(content["services"]["worker"]["deploy"]["replicas"])
    assert replicas > 1
    job = content["services"]["job"]
    waits_for = parsed([*job["entrypoint"], *job["command"]]).params["wait_workers"]
    assert waits_for == replicas


def test_all_run_one_image_that_is_built_here(service):
    assert service["image"] == "daskgmm"
    assert (DOCKER / service["build"]["context"] / service["build"]["dockerfile"]).samefile(DOCKER / "Dockerfile")


def test_nobody_is_root_or_may_become_it(service):
    assert all(int(part) > 0 for part in service["user"].split(":"))
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["cap_drop"] == ["ALL"]
    assert not service.keys() & {"privileged", "cap_add", "ports", "network_mode", "pid"}


@pytest.mark.parametrize("name", ROLES)
def test_file_systems_are_read_only_but_for_the_models_and_what_is_temporary(name, content):
    service = content["services"][name]
    assert service["read_only"] is True
    mounts = {mount["target"]: mount for mount in service["volumes"]}
    writable = {target for target, mount in mounts.items() if not mount.get("read_only")}
    assert writable | set(service["tmpfs"]) == WRITABLE[name]
    assert all(mount["bind"] == {"create_host_path": False} for mount in mounts.values() if mount["type"] == "bind")


def test_every_command_is_a_real_one_with_real_options(service):
    parsed([*service["entrypoint"], *map(str, service["command"])])


def test_every_variable_is_one_that_somebody_reads(service):
    assert [name for name in service.get("environment", {}) if not is_read(name)] == []


def test_workers_and_job_look_for_the_scheduler_where_it_is(content):
    services = content["services"]
    scheme = "tls" if "secrets" in content else "tcp"
    port = parsed([*services["scheduler"]["entrypoint"], *services["scheduler"]["command"]]).params["port"]
    for name in ("worker", "job"):
        assert services[name]["environment"]["DASK_SCHEDULER_ADDRESS"] == f"{scheme}://scheduler:{port}"


def test_each_waits_until_those_it_needs_are_well(content):
    needs = {name: service.get("depends_on", {}) for name, service in content["services"].items()}
    assert {name: set(need) for name, need in needs.items()} == {
        "scheduler": set(),
        "worker": {"scheduler"},
        "job": {"scheduler", "worker"},
    }
    assert all(how == {"condition": "service_healthy"} for need in needs.values() for how in need.values())


@pytest.mark.parametrize("name", ["ROWS", "MODELS", "CERTIFICATES"])
def test_a_folder_that_is_not_given_is_an_error(name):
    with pytest.raises(KeyError, match=name):
        read_compose(*TLS, variables={key: value for key, value in FOLDERS.items() if key != name})


def test_with_tls_nobody_talks_in_plain_text():
    content = read_compose(*TLS, variables=FOLDERS)
    for service in content["services"].values():
        assert service["environment"]["DASK_DISTRIBUTED__COMM__REQUIRE_ENCRYPTION"] == "true"
        given = {f"/run/secrets/{name}" for name in service["secrets"]}
        assert given == {value for value in service["environment"].values() if value.startswith("/run/")}
        assert set(service["secrets"]) == set(content["secrets"])


# The commands themselves.


@pytest.fixture
def folders(tmp_path) -> dict[str, str]:
    """Folders on this machine, with rows."""
    for name in ("rows", "models", "elsewhere"):
        (tmp_path / name).mkdir()
    rows = draw("full", n_rows=4000, n_features=2, spread=4.0).rows
    zarr.create_array(tmp_path / "rows" / "rows.zarr", data=rows, chunks=(500, 2))
    return {"ROWS": f"{tmp_path}/rows", "MODELS": f"{tmp_path}/models", "COMPONENTS": "3"}


def network(files: tuple[Path, ...], variables: dict[str, str], folder: Path) -> LocalNetwork:
    image = environment(read_dockerfile(DOCKER / "Dockerfile"))
    content = read_compose(*files, variables=variables)
    return LocalNetwork(content, image, folder / "elsewhere", unused_port())


def certificates(folder: Path) -> str:
    """Make certificates as README.md says; returns their folder."""
    readme = (DOCKER / "README.md").read_text()
    (block,) = (block for block in re.findall(r"```sh\n(.*?)```", readme, re.DOTALL) if "openssl" in block)
    made = subprocess.run(["sh", "-ec", block], cwd=folder, capture_output=True, text=True, timeout=30, check=False)
    assert made.returncode == 0, made.stderr
    return str(folder / "certificates")


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.skipif(
    shutil.which("openssl") is None, reason="certificates are made with openssl, which is not installed"
)
@pytest.mark.parametrize("files", [PLAIN, TLS], ids=["plain", "tls"])
def test_the_commands_fit_a_model_on_the_cluster(files, folders, tmp_path):
    if files is TLS:
        folders["CERTIFICATES"] = certificates(tmp_path)
    local = network(files, folders, tmp_path)
    with cluster_of(local) as running:
        ended = run_job(local)
        logs = {name: service.log for name, service in running.items()}
    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout)["n_samples"] == 4000
    assert load(tmp_path / "models" / "model.gmm").weights_.shape == (3,)
    # It was the cluster that did it, over the connections that were asked for.
    assert len(logs) == 3
    assert "Receive client connection" in logs["scheduler-0"]
    scheme = "tls" if files is TLS else "tcp"
    assert f"{scheme}://127.0.0.1:{local.port}" in logs["scheduler-0"]
    assert logs["scheduler-0"].count("Register worker") == 2
