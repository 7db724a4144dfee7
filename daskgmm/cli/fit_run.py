"""What `daskgmm fit` does: look whether there is anything to do, fit, and put the model in its place."""

from __future__ import annotations

import hashlib
import logging
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from daskgmm.cli.em_options import EMChoice
from daskgmm.cli.interrupts import OutOfTime
from daskgmm.cli.model_output import MadeFrom, model_output
from daskgmm.cli.options import ClusterChoice, StoredRows
from daskgmm.cli.outcome import check_converged, outcome_of
from daskgmm.engine.cluster import connected, parse_duration
from daskgmm.errors import InputDataError, ParameterError, StorageError
from daskgmm.estimator import GaussianMixture
from daskgmm.fitted import restore
from daskgmm.fitting.time_limit import time_limit
from daskgmm.planning import FitPlan, plan
from daskgmm.storage.checkpoint_places import checkpoint_place
from daskgmm.storage.contents import contents_of
from daskgmm.storage.model_file import Model, load_model

if TYPE_CHECKING:
    import dask.array as da

__all__ = ["FitJob"]

log = logging.getLogger("daskgmm")


@dataclass(frozen=True, slots=True)
class FitJob:
    """What the command was asked for."""

    rows: StoredRows
    output: str
    overwrite: bool
    components: int
    covariance_type: str
    em: EMChoice
    checkpoint: str | None
    checkpoint_every: int
    warm_start: str | None
    max_time: str | None
    strict: bool
    cluster: ClusterChoice

    def run(self) -> dict[str, Any]:
        """Fit, or find that it was done before; return the result as JSON values.

        Raises what `GaussianMixture.fit` and `model_output` raise, and beside it

        Raises
        ------
        ParameterError
            If options contradict each other.
        QualityGateError
            If the fit did not converge and has to; nothing is written then.
        OutOfTime
            If the time ran out, and a checkpoint keeps what was done.
        """
        seconds = None if self.max_time is None else parse_duration(self.max_time, "--max-time")
        self._check_names()
        cluster = self.cluster.settings()
        with model_output(self.output, overwrite=self.overwrite) as place, time_limit(seconds) as limit:
            warm = self._warm_start()
            made_from = self._made_from(warm)
            found = place.result_of(made_from, max_time=self.max_time)
            if found is not None:
                self._check(found)
                return found
            with connected(cluster):
                mixture = self._fitted(warm)
            if limit.was_reached:
                if self.checkpoint is not None:
                    raise OutOfTime(f"stopped after --max-time {self.max_time}")
                log.warning("stopped after --max-time %s: the best mixture so far is kept", self.max_time)
                made_from = made_from.within(self.max_time)
            result = outcome_of(mixture, self.output, out_of_time=limit.was_reached)
            self._check(result)
            place.write(mixture, made_from, result)
            self._forget_checkpoint()
        return result

    def _check_names(self) -> None:
        """Raise ParameterError if the checkpoint would take the place of a model."""
        models = {Path(model).absolute() for model in (self.output, self.warm_start) if model is not None}
        if self.checkpoint is not None and Path(self.checkpoint).absolute() in models:
            raise ParameterError(f"--checkpoint {self.checkpoint}: expected the name of a file of its own")

    def _forget_checkpoint(self) -> None:
        """Remove the checkpoint of a fit whose model is there: other rows, tomorrow, must not find it."""
        if self.checkpoint is not None:
            try:
                checkpoint_place(self.checkpoint).remove()
            except StorageError as error:
                log.warning("%s", error)

    def plan(self) -> FitPlan | None:
        """Check what `run` would check, and return what it would do; None if it was done before. Nothing is written."""
        self._check_names()
        cluster = self.cluster.settings()
        if self.max_time is not None:
            parse_duration(self.max_time, "--max-time")
        if self.checkpoint is not None:
            checkpoint_place(self.checkpoint)
        with model_output(self.output, overwrite=self.overwrite, dry_run=True) as place:
            warm = self._warm_start()
            if place.result_of(self._made_from(warm), max_time=self.max_time) is not None:
                return None
            with connected(cluster):
                rows = self._opened(warm)
                return plan(rows, self.components, covariance_type=self.covariance_type, **self.em.settings())

    def _made_from(self, warm: Model | None) -> MadeFrom:
        """Return what decides the outcome."""
        settings = {
            "command": "fit",
            "components": self.components,
            "covariance_type": self.covariance_type,
            **{name: value for name, value in self.em.settings().items() if name != "cache"},
            "missing_chunks": self.rows.missing_chunks,
            "warm_start": None if warm is None else self._name(warm),
            "max_time": None,
        }
        return MadeFrom(contents_of(self.rows.store, self.rows.component, self.rows.storage_options), settings)

    def _warm_start(self) -> Model | None:
        """Return the model to start from; raises ParameterError if it is of another shape than what is asked for."""
        if self.warm_start is None:
            return None
        model = load_model(self.warm_start)
        there = model.parameters.n_components, model.parameters.covariance_type
        if there != (self.components, self.covariance_type):
            raise ParameterError(
                f"--warm-start {self.warm_start}: expected {self.components} {self.covariance_type} components, as "
                f"--components and --covariance-type say; it has {there[0]} {there[1]} ones"
            )
        return model

    def _name(self, warm: Model) -> str:
        """Return what tells a start from another one; a model that starts from itself is not another one each time."""
        if Path(str(self.warm_start)).resolve() == Path(self.output).resolve():
            return "the output itself"
        parameters = warm.parameters
        arrays = (parameters.weights, parameters.means, parameters.covariances)
        return hashlib.sha256(b"".join(array.tobytes() for array in arrays)).hexdigest()

    def _opened(self, warm: Model | None) -> da.Array:
        """Return the rows; raises InputDataError if they have other features than the model to start from."""
        rows = self.rows.open()
        if warm is not None and warm.parameters.n_features != rows.shape[1]:
            raise InputDataError(
                f"--warm-start {self.warm_start}: expected {rows.shape[1]} features, as {self.rows.name} has; the "
                f"model has {warm.parameters.n_features}"
            )
        return rows

    def _fitted(self, warm: Model | None) -> GaussianMixture:
        mixture = GaussianMixture(
            self.components,
            covariance_type=self.covariance_type,
            checkpoint=self.checkpoint,
            checkpoint_every=self.checkpoint_every,
            **self.em.settings(),
        )
        rows = self._opened(warm)
        if warm is not None:
            restore(mixture, warm)
            # What it had reached was on other rows, perhaps.
            mixture.set_params(warm_start=True).lower_bound_ = -math.inf
        mixture.fit(rows)
        mixture.set_params(warm_start=False)
        return mixture

    def _check(self, result: dict[str, Any]) -> None:
        if self.strict:
            check_converged(result, self.output)
