"""What `daskgmm report` does: look at the mixture and at rows, draw, and put the page in its place."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from daskgmm.cli.model_output import RECORD
from daskgmm.cli.options import ClusterChoice, StoredRows
from daskgmm.drift import keeps_distribution, measure_drift
from daskgmm.engine.cluster import connected
from daskgmm.errors import ParameterError
from daskgmm.estimator import GaussianMixture, load
from daskgmm.storage.lock import hold
from daskgmm.storage.model_file import load_model
from daskgmm.storage.new_file import check_place, remove_left_over, whole_file
from daskgmm.view.page_parts import legible
from daskgmm.view.report import Figures, Findings, describe
from daskgmm.view.report_figures import draw_figures
from daskgmm.view.report_page import check_extra, page

if TYPE_CHECKING:
    import dask.array as da

__all__ = ["ReportJob"]

# Whose versions decide what a fit finds and how a page looks.
SOFTWARE = ("daskgmm", "numpy", "scipy", "scikit-learn", "dask", "zarr", "matplotlib")


@dataclass(frozen=True, slots=True)
class ReportJob:
    """What the command was asked for."""

    model: str
    output: str
    overwrite: bool
    rows: StoredRows | None
    cluster: ClusterChoice

    def run(self) -> dict[str, Any]:
        """Write the page; return what it says of itself as JSON values.

        Raises what `load`, `open_zarr` and `measure_drift` raise, and beside it

        Raises
        ------
        ParameterError
            If the extra `plot` is not installed, or the page would replace the model.
        OutputExistsError, OutputInUseError, StoreNotFoundError, StorageError
            If the page cannot be put there.
        """
        check_extra()
        cluster = self.cluster.settings()
        target = Path(self.output).absolute()
        if target.resolve() == Path(self.model).resolve():
            raise ParameterError(f"{self.output}: expected another name than that of the model")
        check_place(self.output, overwrite=self.overwrite)
        with hold(target.with_name(f".{target.name}.lock"), self.output) as is_held:
            if is_held:
                remove_left_over(target)
            mixture = _legible(load(self.model))
            record = load_model(self.model).fit.get(RECORD)
            findings, figures = None, Figures()
            if self.rows is None:
                figures = draw_figures(mixture, record=record)
            else:
                with connected(cluster):
                    X = self.rows.open_for(mixture, self.model)
                    findings = self._findings(mixture, X)
                    figures = draw_figures(mixture, X, record=record, findings=findings)
            versions = {name: version(name) for name in SOFTWARE}
            found = describe(mixture, self.model, record=record, findings=findings, figures=figures, versions=versions)
            with whole_file(self.output) as file:
                file.write(page(found).encode())
        return {"output": self.output, "n_components": len(mixture.weights_), "n_cautions": len(found.cautions)}

    def _findings(self, mixture: GaussianMixture, X: da.Array) -> Findings:
        """Return what the rows say of the mixture."""
        assert self.rows is not None
        drift = measure_drift(mixture, X) if keeps_distribution(mixture) else None
        mean = mixture.score(X) if drift is None else drift.mean_log_likelihood
        return Findings(self.rows.name, int(X.shape[0]), mean, drift)


def _legible(mixture: GaussianMixture) -> GaussianMixture:
    """Give a mixture names of features that pages and pictures can hold, and return it."""
    names = getattr(mixture, "feature_names_in_", None)
    if names is not None:
        mixture.feature_names_in_ = np.array([legible(name) for name in names], dtype=object)
    return mixture
