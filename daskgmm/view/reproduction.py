"""How a mixture is made again: the command line and the Python that its model file tells of."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from daskgmm.view.page_parts import printable

__all__ = ["MadeOf", "command_line", "made_of", "python_lines"]

# What `contents_of` appends to the address of a store that is a group.
COMPONENT = re.compile(r"^(?P<store>.*) \((?P<component>[^()]*)\)$")
COMMANDS = ("fit", "select", "update")
# What tells another model or the time from this one, and is no option.
BEFORE = "before.gmm"
"""Name of a model whose name is not known."""
NOT_OPTIONS = {"command", "components", "covariance_types", "warm_start", "from"}


@dataclass(frozen=True, slots=True)
class MadeOf:
    """What a command noted in the model file: of which data it made the mixture, and by which settings."""

    command: str
    """fit, select or update."""
    store: str
    """Address of the data, without credentials."""
    component: str | None
    shape: str
    settings: Mapping[str, Any]

    @property
    def updates(self) -> bool:
        """Whether the mixture was there before these data."""
        return self.command == "update"


def made_of(record: object) -> MadeOf | None:
    """Return what a model file's record says of data and settings; None where there is none that is whole."""
    if not isinstance(record, Mapping):
        return None
    data, settings = record.get("data"), record.get("settings")
    if not isinstance(data, Mapping) or not isinstance(settings, Mapping):
        return None
    command, shape = settings.get("command"), data.get("shape")
    if command not in COMMANDS or not isinstance(data.get("store"), str):
        return None
    address = printable(data["store"])
    found = COMPONENT.match(address)
    rows, features = shape if isinstance(shape, list) and len(shape) == 2 else (None, None)
    return MadeOf(
        command=command,
        store=found["store"] if found else address,
        component=found["component"] if found else None,
        shape=f"{rows:,} rows of {features:,} features" if type(rows) is type(features) is int else "",
        settings=settings,
    )


def command_line(made: MadeOf, model: str) -> str:
    """Return the command that made a model, ready for a shell."""
    words = ["daskgmm", made.command]
    if made.updates:
        words.append(model if made.settings.get("from") == "the output itself" else BEFORE)
    lines = [shlex.join([*words, made.store, "-o", model])]
    if made.component is not None:
        lines.append(shlex.join(["--component", made.component]))
    lines += [shlex.join([f"--{option}", printable(str(value))]) for option, value in _options(made)]
    return " \\\n  ".join(lines)


def python_lines(mixture: Any, model: str, made: MadeOf | None) -> str:
    """Return Python that fits the same mixture, if the data are the same."""
    store, component = ("rows.zarr", None) if made is None else (made.store, made.component)
    place = repr(store) if component is None else f"{store!r}, {component!r}"
    arguments = ", ".join(_arguments(mixture))
    lines = ["from daskgmm import GaussianMixture, open_zarr", "", f"X = open_zarr({place})"]
    if made is not None and made.updates:
        lines[0] = "from daskgmm import load, open_zarr"
        decay = made.settings.get("decay", 1.0)
        lines += [
            f"mixture = load({BEFORE!r})  # the model that was updated",
            f"mixture.update(X, decay={decay!r:.50})",
        ]
    else:
        lines.append(f"mixture = GaussianMixture({arguments}).fit(X)")
    return "\n".join([*lines, f"mixture.save({model!r})"])


def _options(made: MadeOf) -> list[tuple[str, object]]:
    """Return names and values of the options that were in force."""
    settings = made.settings
    found: list[tuple[str, object]] = []
    components = settings.get("components")
    if isinstance(components, list):
        found.append(("components", ",".join(map(str, components))))
    elif components is not None:
        found.append(("components", components))
    types = settings.get("covariance_types")
    if isinstance(types, list):
        found.append(("covariance-type", ",".join(map(str, types))))
    found += [
        (name.replace("_", "-"), value)
        for name, value in settings.items()
        if name not in NOT_OPTIONS and isinstance(value, str | int | float) and not isinstance(value, bool)
    ]
    return found


def _arguments(mixture: Any) -> list[str]:
    """Return settings that are not the defaults, as Python writes them; arrays are named, not told."""
    defaults = type(mixture)().get_params()
    found = [str(len(mixture.weights_))]
    for name, value in mixture.get_params().items():
        if isinstance(value, np.ndarray) or (isinstance(value, list) and len(str(value)) > 100):
            found.append(f"{name}={name}")
        elif name != "n_components" and value != defaults[name]:
            found.append(f"{name}={value!r}")
    return found
