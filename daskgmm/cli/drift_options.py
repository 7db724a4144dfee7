"""The options by which `daskgmm score` tells drift, and ends with an exit code of its own where there is too much."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import wraps
from typing import TYPE_CHECKING, Any

import click

from daskgmm.errors import InputDataError, NoDistributionError, QualityGateError

if TYPE_CHECKING:
    from daskgmm.drift import Drift
    from daskgmm.estimator import GaussianMixture

__all__ = ["DriftChoice", "drift_options"]


@dataclass(frozen=True, slots=True)
class DriftChoice:
    """What the drift options said."""

    against: str | None
    fail_on_drift: float | None

    def model(self, scored: str) -> str | None:
        """Return the file of the mixture whose fit rows are compared with; None where nobody asked."""
        return scored if self.against is None and self.fail_on_drift is not None else self.against

    def mixture(self, scored: str, mixture: GaussianMixture) -> GaussianMixture | None:
        """Return the mixture whose fit rows are compared with: the one scored, if both are in one file.

        Raises
        ------
        NoDistributionError
            If it keeps nothing of the rows of its fit.
        InputDataError
            If it has other features than the one scored.
        """
        from daskgmm.drift import keeps_distribution
        from daskgmm.estimator import load

        file = self.model(scored)
        if file is None:
            return None
        chosen = mixture if os.path.realpath(file) == os.path.realpath(scored) else load(file)
        if not keeps_distribution(chosen):
            raise NoDistributionError(
                f"{file}: expected a model that keeps how the rows of its fit are distributed; this one does not. Fit "
                "it again, or use daskgmm.drift.keep_distribution in Python and save it"
            )
        if chosen.n_features_in_ != mixture.n_features_in_:
            raise InputDataError(
                f"{file}: expected a model of {mixture.n_features_in_} features, as {scored} has; got "
                f"{chosen.n_features_in_}. Compare models of the same data"
            )
        return chosen

    def check(self, drift: Drift | None, scored: str) -> None:
        """Raise QualityGateError where there is more drift than is allowed."""
        if drift is not None and self.fail_on_drift is not None and drift.psi > self.fail_on_drift:
            raise QualityGateError(
                f"expected a population stability index of at most {self.fail_on_drift:g} (--fail-on-drift); got "
                f"{drift.psi:.4g}: rows differ from those that {self.model(scored)} was fitted to. Look into them, and "
                "update the model or fit a new one if they are what is to come"
            )


def drift_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the drift options to a command, which receives them as one argument, `drift`."""
    names = [field.name for field in fields(DriftChoice)]

    @wraps(command)
    def with_drift(**options: Any) -> None:
        choice = DriftChoice(**{name: options.pop(name) for name in names})
        command(drift=choice, **options)

    against = click.option(
        "--against", metavar="FILE", help="Compare the rows with those that the model in FILE was fitted to."
    )
    fail = click.option(
        "--fail-on-drift",
        type=click.FloatRange(min=0),
        callback=_checked,
        metavar="X",
        help="End with exit code 3 if the population stability index is above X; against MODEL, unless told.",
    )
    return against(fail(with_drift))


def _checked(context: click.Context, parameter: click.Parameter, value: float | None) -> float | None:
    """Return the bound; nothing is above NaN."""
    if value is not None and math.isnan(value):
        raise click.BadParameter("expected a number; got nan", context, parameter)
    return value
