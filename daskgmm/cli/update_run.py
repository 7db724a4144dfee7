"""What `daskgmm update` does: look whether it was done before, update, and put the model in its place."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from daskgmm.cli.model_output import MadeFrom, model_output
from daskgmm.cli.options import ClusterChoice, StoredRows
from daskgmm.engine.cluster import connected
from daskgmm.errors import QualityGateError
from daskgmm.estimator import GaussianMixture, load
from daskgmm.storage.contents import contents_of

__all__ = ["UpdateJob"]


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
    strict: bool
    cluster: ClusterChoice

    def run(self) -> dict[str, Any]:
        """Update, or find that it was done before; return the result as JSON values.

        Raises what `load`, `GaussianMixture.update` and `model_output` raise, and QualityGateError if it did not
        converge and has to; nothing is written then.
        """
        cluster = self.cluster.settings()
        with model_output(self.output, overwrite=self.overwrite) as place:
            mixture = load(self.model)
            made_from = self._made_from(mixture)
            found = place.result_of(made_from)
            if found is not None:
                self._check_converged(found)
                return found
            # What the new rows count for later is the model's own affair: settings for this run are not kept.
            own = {"tol": mixture.tol, "max_iter": mixture.max_iter}
            mixture.set_params(**{name: value for name, value in self._settings().items() if value is not None})
            n_before = mixture.n_samples_seen_
            with connected(cluster):
                mixture.update(self.rows.open(), self.decay)
            mixture.set_params(**own)
            result = self._result(mixture, n_before)
            self._check_converged(result)
            place.write(mixture, made_from, result)
        return result

    def _settings(self) -> dict[str, Any]:
        return {"tol": self.tol, "max_iter": self.max_iter}

    def _made_from(self, mixture: GaussianMixture) -> MadeFrom:
        """Return what decides the outcome."""
        settings = {
            "command": "update",
            "from": self._name(mixture),
            "decay": self.decay,
            **self._settings(),
            "missing_chunks": self.rows.missing_chunks,
        }
        return MadeFrom(contents_of(self.rows.store, self.rows.component, self.rows.storage_options), settings)

    def _name(self, mixture: GaussianMixture) -> str:
        """Return what tells one model to update from another; one updated in its place is another afterwards."""
        if Path(self.model).resolve() == Path(self.output).resolve():
            return "the output itself"
        digest = hashlib.sha256(repr(getattr(mixture, "weight_seen_", mixture.n_samples_seen_)).encode())
        for array in (mixture.weights_, mixture.means_, mixture.covariances_):
            digest.update(array.tobytes())
        return digest.hexdigest()

    def _result(self, mixture: GaussianMixture, n_before: int) -> dict[str, Any]:
        return {
            "model": self.output,
            "up_to_date": False,
            "n_samples": mixture.n_samples_seen_,
            "n_new_samples": mixture.n_samples_seen_ - n_before,
            "weight": mixture.weight_seen_,
            "decay": self.decay,
            "n_features": mixture.n_features_in_,
            "n_components": mixture.n_components,
            "covariance_type": mixture.covariance_type,
            "converged": mixture.converged_,
            "n_passes": mixture.n_passes_,
            "lower_bound": mixture.lower_bound_,
            "seconds": sum(entry["seconds"] for entry in mixture.history_),
        }

    def _check_converged(self, result: dict[str, Any]) -> None:
        if self.strict and not result["converged"]:
            raise QualityGateError(
                f"expected an update that converges, as --strict asks; {result['n_passes']} passes were not enough. "
                f"Raise --max-iter or --tol; {self.output} is left as it was"
            )
