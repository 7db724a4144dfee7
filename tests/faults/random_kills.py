"""`python -m tests.faults.random_kills KILLS SEED FOLDER`: kill fits at random moments, and let the next ones go on.

Each fit is a process of its own, forked from this one, which has imported everything and has no thread: what is killed
is the fit, not Python's start. Prints one JSON object: how many were killed, how many of those had kept a checkpoint,
how many models came out, and how many of these are the undisturbed one.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import sys
import time
from pathlib import Path

import numpy as np

from daskgmm import load
from daskgmm.cli import main
from daskgmm.kernels import choose_kernel
from daskgmm.mixture.parameters import MixtureParameters

DEADLINE = 60.0
# Of the time that kills are spread over, with each kill before the first checkpoint: five in a row make it 1.6 times as
# long, and two in three of those are before it anyway.
GROWTH = 1.1


def run_fit(arguments: list[str], log: Path) -> None:
    """Run a command in this process, which ends with it."""
    with open(log, "ab") as file:
        os.dup2(file.fileno(), sys.stderr.fileno())
        os.dup2(file.fileno(), sys.stdout.fileno())
    try:
        main(arguments)
    except SystemExit as end:
        sys.stderr.flush()
        os._exit(end.code if isinstance(end.code, int) else 1)
    except BaseException:  # noqa: BLE001 - the process ends, and says how
        sys.excepthook(*sys.exc_info())
        os._exit(1)
    os._exit(0)


def fit(arguments: list[str], log: Path, *, seconds: float = DEADLINE) -> int | None:
    """Fit in another process for some seconds; return its exit code, or None when it was killed then."""
    process = os.fork()
    if process == 0:
        run_fit(arguments, log)
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        ended, status = os.waitpid(process, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.001)  # a process cannot be waited for with a deadline
    os.kill(process, signal.SIGKILL)
    _, status = os.waitpid(process, 0)
    return None if os.WIFSIGNALED(status) else os.waitstatus_to_exitcode(status)


def digest(model: Path) -> str:
    """Return what tells one model from another."""
    mixture = load(model)
    arrays = (mixture.weights_, mixture.means_, mixture.covariances_, np.array(mixture.lower_bounds_))
    return hashlib.sha256(b"".join(array.tobytes() for array in arrays)).hexdigest()


def kill(n_kills: int, seed: int, folder: Path, settings: list[str]) -> dict[str, object]:
    """Kill fits of the rows in a folder until so many were killed, each going on from what the one before it left.

    They are killed at moments spread evenly over the time that an undisturbed one takes. Where that is too short to
    keep anything, because the machine has become busy, it grows.
    """
    choose_kernel("auto")(np.zeros((1, 2)), None, _some_mixture())  # compiled code is loaded once
    generator, log, digests = random.Random(seed), folder / f"log-{seed}", []
    command = ["fit", str(folder / "rows.zarr"), *settings, "--output"]
    undisturbed, rehearsed = folder / f"undisturbed-{seed}.gmm", folder / f"rehearsed-{seed}.gmm"
    # What has to be compiled is compiled now, and not in the time of the next one.
    code = fit([*command, str(undisturbed)], log)
    began = time.monotonic()
    code = code or fit([*command, str(rehearsed), "--checkpoint", str(folder / f"rehearsed-{seed}.state")], log)
    longest, killed, kept = time.monotonic() - began, 0, 0
    while code == 0 and killed < n_kills:
        output, state = (folder / f"{seed}-{len(digests)}{ending}" for ending in (".gmm", ".state"))
        code = None
        while code is None:
            seconds = generator.uniform(0, longest) if killed < n_kills else DEADLINE
            code = fit([*command, str(output), "--checkpoint", str(state)], log, seconds=seconds)
            killed += code is None
            kept += code is None and state.exists()
            longest *= 1.0 if code is not None or state.exists() else GROWTH
        if code == 0:
            digests.append(digest(output))
    expected = digest(undisturbed) if undisturbed.exists() else ""
    return {
        "killed": killed,
        "kept": kept,
        "code": code,
        "n_models": len(digests),
        "n_same": digests.count(expected),
        "seconds": longest,
        "log": log.read_text()[-2000:] if code != 0 else "",
    }


def _some_mixture() -> MixtureParameters:
    return MixtureParameters.from_covariances(
        weights=[1.0], means=np.zeros((1, 2)), covariances=np.eye(2)[None], covariance_type="full"
    )


if __name__ == "__main__":
    n_kills, seed, folder, *settings = sys.argv[1:]
    json.dump(kill(int(n_kills), int(seed), Path(folder), settings), sys.stdout)
