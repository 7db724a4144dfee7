"""Whether the workers run what this process runs: the same versions, on processors that compute the same bits."""

from __future__ import annotations

import importlib.metadata
import platform
import warnings
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from daskgmm.engine.workers import ambient_client

__all__ = ["differences", "software", "warn_of_mixed_workers"]

PACKAGES = ("daskgmm", "numpy", "scipy", "dask", "distributed", "zarr", "zarrs", "numba", "scikit-learn")
ABSENT = "absent"
HERE = "this process"
CPU_FEATURES = "CPU features"
# Those that libraries choose their loops by, on x86 and on ARM.
VECTOR_FEATURES = ("avx", "fma", "sse4", "amx", "asimd", "sve", "sme")
# More names than this are no help.
MOST_NAMES = 5

Software = Mapping[str, str]

# Which workers were asked last, and what was found: fits come one after the other on the same cluster.
_last: dict[str, tuple[object, str | None]] = {}


def warn_of_mixed_workers(*, local: bool) -> None:
    """Warn once, before a fit, when workers of the ambient cluster differ from each other or from this process.

    With other versions a fit may fail half-way. With another processor or another BLAS it has other bits, and as many
    different ones as there are ways to share the work.

    Parameters
    ----------
    local : bool
        Whether the work stays in this process.
    """
    client = None if local else ambient_client()
    if client is None:
        return
    try:
        workers = frozenset(client.scheduler_info(n_workers=-1)["workers"])
        asked, found = _last.get(client.id, (None, None))
        if asked != workers:
            found = differences({HERE: software(), **_asked(client)})
            _last.clear()
            _last[client.id] = (workers, found)
    except OSError:
        return  # who cannot be asked cannot work either, which the first pass explains
    if found is not None:
        warnings.warn(
            f"workers differ: {found}. The fit may fail, or its bits may depend on which worker does what; install "
            "the same versions on all machines, and use machines of one kind",
            stacklevel=2,
        )


def _asked(client: Any) -> dict[str, Software]:
    """Return what each worker says of itself; one that cannot say has software of its own."""
    answers = client.run(software, on_error="return")
    return {
        address: answer if isinstance(answer, Mapping) else {"daskgmm": f"one that cannot be asked ({answer})"}
        for address, answer in answers.items()
    }


def software() -> Software:
    """Return what this process computes with: versions by package, BLAS and its loops, vector instructions."""
    # NumPy brings the BLAS that is asked about.
    import numpy as np
    from threadpoolctl import threadpool_info

    blas = {
        " ".join(str(library.get(key) or "") for key in ("internal_api", "architecture")).strip()
        for library in threadpool_info()
        if library["user_api"] == "blas"
    }
    return {
        "Python": platform.python_version(),
        **{name: _version(name) for name in PACKAGES},
        "numpy": np.__version__,
        "machine": platform.machine(),
        "BLAS": ", ".join(sorted(blas)) or ABSENT,
        CPU_FEATURES: " ".join(_cpu_features()),
    }


def differences(found: Mapping[str, Software]) -> str | None:
    """Return in words what differs between processes, and between which; None if nothing does.

    Parameters
    ----------
    found : mapping
        Process -> what it computes with.
    """
    names = dict.fromkeys(name for one in found.values() for name in one)
    clauses = []
    for name in names:
        values = {process: one[name] for process, one in found.items() if name in one}
        (usual, _), *others = Counter(values.values()).most_common()
        clauses += [_clause(name, value, usual, [p for p, v in values.items() if v == value]) for value, _ in others]
    return "; ".join(clauses) or None


def _clause(name: str, value: str, usual: str, processes: list[str]) -> str:
    """Return how some processes differ from most."""
    places = ", ".join(processes[:MOST_NAMES])
    if len(processes) > MOST_NAMES:
        places += f" and {len(processes) - MOST_NAMES} more"
    if name == CPU_FEATURES:
        has, most = set(value.split()), set(usual.split())
        told = [
            f"{word} {' '.join(sorted(those))}"
            for word, those in (("without", most - has), ("with", has - most))
            if those
        ]
        return f"{places}: processor {' and '.join(told)}"
    return f"{places}: {name} {value} instead of {usual}"


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ABSENT


def _cpu_features() -> list[str]:
    """Return the processor's vector instructions, as Linux names them; none elsewhere."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return []
    flags = next((line for line in lines if line.startswith(("flags", "Features"))), "")
    return sorted(flag for flag in set(flags.partition(":")[2].split()) if flag.startswith(VECTOR_FEATURES))
