"""What `daskgmm update` does: look whether it was done before, update, and put the model in its place."""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from daskgmm.cli.model_output import MadeFrom, ModelOutput, model_output, record_of
from daskgmm.cli.options import ClusterChoice, StoredRows
from daskgmm.cli.outcome import check_converged, outcome_of
from daskgmm.cli.taken_in import TakenIn, rows_taken_in
from daskgmm.engine.cluster import connected, parse_duration
from daskgmm.errors import InputDataError
from daskgmm.estimator import GaussianMixture, load
from daskgmm.fitting.time_limit import time_limit
from daskgmm.planning import FitPlan, plan_update
from daskgmm.storage.contents import contents_of
from daskgmm.storage.model_file import load_model
from daskgmm.updating import check_decay

__all__ = ["UpdateJob"]

log = logging.getLogger("daskgmm")
THE_OUTPUT = "the output itself"
"""How a model is called that is updated in its place."""


@dataclass(frozen=True, slots=True)
class UpdateJob:
    """What the command was asked for."""

    model: str
    rows: StoredRows
    output: str
    overwrite: bool
    decay: float
    tol: float | None
    max_iter: int | None
    max_time: str | None
    strict: bool
    cluster: ClusterChoice

    def run(self) -> dict[str, Any]:
        """Update, or find that it was done before; return the result as JSON values.

        Raises what `load`, `GaussianMixture.update` and `model_output` raise, and beside it

        Raises
        ------
        InputDataError
            If the model has taken in these rows before, by another run.
        QualityGateError
            If the update did not converge and has to; nothing is written then.
        """
        seconds = self._seconds()
        cluster = self.cluster.settings()
        with model_output(self.output, overwrite=self.overwrite) as place, time_limit(seconds) as limit:
            mixture = load(self.model)
            made_from = self._made_from(mixture)
            found = self._done(place, made_from, mixture)
            if found is not None:
                self._check(found)
                return found
            # What the new rows count for later is the model's own affair: settings for this run are not kept.
            own = {"tol": mixture.tol, "max_iter": mixture.max_iter}
            mixture.set_params(**self._given())
            n_before = mixture.n_samples_seen_
            with connected(cluster):
                mixture.update(self.rows.open_for(mixture, self.model), self.decay)
            mixture.set_params(**own)
            if limit.was_reached:
                log.warning("stopped after --max-time %s: the best mixture so far is kept", self.max_time)
                made_from = made_from.within(self.max_time)
            result = self._result(mixture, n_before, out_of_time=limit.was_reached)
            self._check(result)
            place.write(mixture, made_from, result)
        return result

    def plan(self) -> FitPlan | None:
        """Check what `run` would check, and return what it would do; None if it was done before. Nothing is written."""
        self._seconds()
        check_decay(self.decay)
        cluster = self.cluster.settings()
        with model_output(self.output, overwrite=self.overwrite, dry_run=True) as place:
            mixture = load(self.model)
            if self._done(place, self._made_from(mixture), mixture) is not None:
                return None
            mixture.set_params(**self._given())
            with connected(cluster):
                return plan_update(mixture, self.rows.open_for(mixture, self.model))

    def _seconds(self) -> float | None:
        return None if self.max_time is None else parse_duration(self.max_time, "--max-time")

    def _given(self) -> dict[str, Any]:
        """Return the settings of EM that are for this run."""
        settings = {"tol": self.tol, "max_iter": self.max_iter}
        return {name: value for name, value in settings.items() if value is not None}

    def _made_from(self, mixture: GaussianMixture) -> MadeFrom:
        """Return what decides the outcome."""
        settings = {
            "command": "update",
            "from": self._name(mixture),
            "decay": self.decay,
            "tol": self.tol,
            "max_iter": self.max_iter,
            "missing_chunks": self.rows.missing_chunks,
            "max_time": None,
        }
        data = contents_of(self.rows.store, self.rows.component, self.rows.storage_options)
        return MadeFrom(data, settings, rows_taken_in(record_of(load_model(self.model))))

    def _name(self, mixture: GaussianMixture) -> str:
        """Return what tells one model to update from another; one updated in its place is another afterwards."""
        if Path(self.model).resolve() == Path(self.output).resolve():
            return THE_OUTPUT
        digest = hashlib.sha256(repr(getattr(mixture, "weight_seen_", mixture.n_samples_seen_)).encode())
        for array in (mixture.weights_, mixture.means_, mixture.covariances_):
            digest.update(array.tobytes())
        return digest.hexdigest()

    def _done(self, place: ModelOutput, made_from: MadeFrom, mixture: GaussianMixture) -> dict[str, Any] | None:
        """Return the result of this update if it was made before: last, or, in its place, by any earlier run.

        Raises as `ModelOutput.result_of`, and InputDataError if the rows are in the model by another update or its fit.
        """
        found = place.result_of(made_from, max_time=self.max_time)
        if found is not None:
            return found
        this = TakenIn.of(made_from.data, made_from.settings)
        if this is None or all(one.data != this.data for one in made_from.taken_in):
            return None
        # In its place alone: another output has still to be made.
        if this in made_from.taken_in and made_from.settings["from"] == THE_OUTPUT:
            result = self._result(mixture, mixture.n_samples_seen_, out_of_time=False)
            return {**result, "up_to_date": True}
        raise InputDataError(
            f"{self.rows.name}: expected rows that are new to {self.model}; it has taken in these before, and they "
            "would count twice. Name the rows of another night, or an earlier model"
        )

    def _result(self, mixture: GaussianMixture, n_before: int, *, out_of_time: bool) -> dict[str, Any]:
        return {
            **outcome_of(mixture, self.output, out_of_time=out_of_time),
            "n_new_samples": mixture.n_samples_seen_ - n_before,
            "weight": mixture.weight_seen_,
            "decay": self.decay,
        }

    def _check(self, result: dict[str, Any]) -> None:
        if self.strict:
            check_converged(result, self.output)
