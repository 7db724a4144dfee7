"""The model file that a command writes: by one run at a time, whole or not at all, and only where there is a reason to.

Beside the mixture the file keeps what it was made from, data and settings, and what the command said of it. A second
run with the same data and settings finds that and is done.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from daskgmm.cli.taken_in import TakenIn
from daskgmm.errors import DaskGMMError, OutputDiffersError, OutputExistsError
from daskgmm.fitted import model_of
from daskgmm.storage.lock import hold
from daskgmm.storage.model_file import Model, load_model, save_model
from daskgmm.storage.new_file import check_parent, remove_left_over

if TYPE_CHECKING:
    from daskgmm.estimator import GaussianMixture

__all__ = ["MadeFrom", "ModelOutput", "model_output", "record_of"]

RECORD = "made_from"
"""In a model file's record of the fit: what it was made from, and the command's result."""
DIGESTS = {
    "chunks": "the stored chunks are others",
    "metadata": "the metadata of the rows are others",
    "warm_start": "the model to start from is another one",
    "from": "the model to update is another one",
}
# Of a value in a message.
MOST_WORDS = 60


@dataclass(frozen=True, slots=True)
class MadeFrom:
    """What decides what a model file holds: JSON values."""

    data: Mapping[str, Any]
    """As `contents_of` tells it."""
    settings: Mapping[str, Any]
    """Those that decide the outcome, the command among them; max_time is None unless time ran out."""
    taken_in: tuple[TakenIn, ...] = ()
    """Rows that an earlier model had taken in, which is updated."""

    def within(self, max_time: str | None) -> MadeFrom:
        """Return the same for a run whose time ran out."""
        return replace(self, settings={**self.settings, "max_time": max_time})


@dataclass(frozen=True, slots=True)
class ModelOutput:
    """Where a model goes."""

    path: str
    overwrite: bool
    """Whether a model of other data or settings is replaced."""
    before: Model | None
    """The model that is there."""

    @property
    def _record(self) -> dict[str, Any] | None:
        """What the model that is there was made from, if it says so."""
        return None if self.before is None else record_of(self.before)

    def result_of(self, made_from: MadeFrom, *, max_time: str | None = None) -> dict[str, Any] | None:
        """Return what the run said that made the model which is there, if that is up to date; None if it is not.

        Parameters
        ----------
        made_from : MadeFrom
            What a run now would make it from.
        max_time : str or None
            The time that this run would have. It counts where that of the run before ran out: more time changes
            nothing where it was enough.

        Raises
        ------
        OutputDiffersError
            If it was made from other data or settings and may not be replaced; with what changed.
        OutputExistsError
            If it does not say what it was made from and may not be replaced.
        """
        if self.before is None:
            return None
        record = self._record
        if record is None:
            if self.overwrite:
                return None
            raise OutputExistsError(
                f"{self.path}: the output exists already, and does not say what it was made from; choose another name, "
                "or replace it (--overwrite)"
            )
        timed = record["settings"].get("max_time") is not None
        now = asdict(made_from.within(max_time) if timed else made_from)
        changes = list(_differences(record, now))
        result = record.get("result")
        if not changes and isinstance(result, dict):
            return {**result, "model": self.path, "up_to_date": True}
        if self.overwrite:
            return None
        raise OutputDiffersError(
            f"{self.path}: the output exists already and was made from something else: {', '.join(changes)}. Undo the "
            "change, choose another name, or replace it (--overwrite)"
        )

    def write(self, mixture: GaussianMixture, made_from: MadeFrom, result: Mapping[str, Any]) -> None:
        """Write a model and what it was made from, in place of the one that is there."""
        model = model_of(mixture)
        record = {**asdict(made_from), "result": {**result}}
        save_model(replace(model, fit={**model.fit, RECORD: record}), self.path)


@contextmanager
def model_output(path: str, *, overwrite: bool, dry_run: bool = False) -> Iterator[ModelOutput]:
    """Hold a model's place while the body runs, from before anything is read until the model is there.

    Parameters
    ----------
    path : str
    overwrite : bool
    dry_run : bool
        Whether nothing is written, not even a lock.

    Raises
    ------
    OutputExistsError
        If something is there that is no model of this package.
    OutputInUseError
        If another run holds the place.
    StoreNotFoundError, StorageError
        If its directory is not there, or does not accept files.
    """
    target = Path(path).absolute()
    check_parent(target)
    if dry_run:
        yield ModelOutput(path, overwrite, _before(target, path))
        return
    with hold(target.with_name(f".{target.name}.lock"), path) as is_held:
        if is_held:
            remove_left_over(target)
        yield ModelOutput(path, overwrite, _before(target, path))


def record_of(model: Model) -> dict[str, Any] | None:
    """Return what a model was made from, data and settings, and the command's result; None if it does not say so."""
    record = model.fit.get(RECORD)
    is_whole = isinstance(record, dict) and all(isinstance(record.get(key), dict) for key in ("data", "settings"))
    return record if is_whole else None


def _before(target: Path, path: str) -> Model | None:
    """Return the model that is there, None if nothing is."""
    if not os.path.lexists(target):
        return None
    try:
        return load_model(target)
    except DaskGMMError as error:
        raise OutputExistsError(
            f"{path}: the output exists already and is no model that could be replaced; choose another name or remove "
            f"it ({error})"
        ) from None


def _differences(record: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    """Yield in words what a model was made from that this run would not make it from."""
    yield from _changes(record["data"], now["data"])
    then, settings = record["settings"], now["settings"]
    commands = then.get("command"), settings.get("command")
    if commands[0] != commands[1]:  # which have other settings
        then, settings = {"command": commands[0]}, {"command": commands[1]}
    yield from _changes(then, settings)


def _changes(then: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    """Yield in words what is not the same."""
    for name in sorted(then.keys() | now.keys()):
        one, other = then.get(name), now.get(name)
        if name == "chunks" and (one is None or other is None):
            yield "the store does not tell whether its chunks are the same"
        elif one != other or type(one) is not type(other):
            yield DIGESTS.get(name) or f"{name} was {one!s:.{MOST_WORDS}} and is {other!s:.{MOST_WORDS}}"
