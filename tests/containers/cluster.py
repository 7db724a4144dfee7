"""A compose file's services as local processes: their network is the loopback interface, their volumes are folders."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.containers.services import Service, clean_environment, unused_port

SCHEDULER_PORT, HEALTH_PORT = "8786", "8787"


@dataclass(frozen=True, slots=True)
class LocalNetwork:
    """Where what a compose file names is on this machine.

    Parameters
    ----------
    content : dict
        The compose file.
    image : mapping
        The image's environment.
    folder : Path
        For logs, and for what is in no volume.
    port : int
        The scheduler's.
    """

    content: dict[str, Any]
    image: Mapping[str, str]
    folder: Path
    port: int

    def words(self, name: str) -> list[str]:
        """Return the command of a service."""
        service = self.content["services"][name]
        return [self._here(name, str(word)) for word in (*service["entrypoint"], *service["command"])]

    def environment(self, name: str) -> dict[str, str]:
        """Return the environment of a service: the image's, and its own."""
        values = {**self.image, **self.content["services"][name].get("environment", {})}
        # What was compiled here before is used: compiling anew takes each process half a minute.
        values.pop("NUMBA_CACHE_DIR", None)
        return {key: self._here(name, str(value)) for key, value in values.items()}

    def _here(self, name: str, text: str) -> str:
        service = self.content["services"][name]
        places = {mount["target"]: mount["source"] for mount in service["volumes"] if mount["type"] == "bind"}
        files = self.content.get("secrets", {})
        places |= {f"/run/secrets/{secret}": files[secret]["file"] for secret in service.get("secrets", ())}
        places |= {"/scratch": str(self.folder), "//scheduler:": "//127.0.0.1:"}
        # Each text names one place at most, and what stands for it may look like another.
        named = next((place for place in places if place in text), None)
        text = text if named is None else text.replace(named, places[named])
        return text.replace(SCHEDULER_PORT, str(self.port))


@contextmanager
def cluster_of(network: LocalNetwork) -> Iterator[dict[str, Service]]:
    """Run a scheduler and its workers, each started when what it depends on is well; yields them by name."""
    with ExitStack() as stack:
        running: dict[str, Service] = {}
        for name in ("scheduler", "worker"):
            number = int(network.content["services"][name].get("deploy", {}).get("replicas", 1))
            started = {f"{name}-{k}": _start(network, name, k, stack) for k in range(number)}
            for service, health in started.values():
                service.wait_until_healthy(health)
            running |= {key: service for key, (service, _) in started.items()}
        yield running


def _start(network: LocalNetwork, name: str, number: int, stack: ExitStack) -> tuple[Service, int]:
    # Containers serve their health at the same port, each at its own loopback interface.
    health = unused_port()
    words = [word.replace(f":{HEALTH_PORT}", f":{health}") for word in network.words(name)]
    service = Service(
        [*words, "--host", "127.0.0.1"],
        folder=network.folder,
        environment=network.environment(name),
        name=f"{name}-{number}",
    )
    return stack.enter_context(service), health


def run_job(network: LocalNetwork) -> subprocess.CompletedProcess[str]:
    """Run the job to its end."""
    environment = clean_environment(network.environment("job"))
    return subprocess.run(
        network.words("job"),
        cwd=network.folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
