"""What a fit is asked to do: every setting checked once, before anything is read."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, fields
from numbers import Integral, Real
from typing import Any

from daskgmm.engine.cache import CACHES
from daskgmm.errors import ParameterError
from daskgmm.kernels import KERNELS
from daskgmm.mixture.covariance import COVARIANCE_TYPES
from daskgmm.start import INIT_PARAMS

__all__ = ["FitSettings", "sample_size", "settings_of"]


@dataclass(frozen=True, slots=True)
class FitSettings:
    """The settings of `GaussianMixture` that shape a fit.

    Raises
    ------
    ParameterError
        If a value is of the wrong type or out of range; the message names the setting.
    """

    n_components: int = 1
    covariance_type: str = "full"
    tol: float = 1e-3
    reg_covar: float = 1e-6
    max_iter: int = 100
    n_init: int = 1
    init_params: str = "kmeans"
    acceleration: str | None = "auto"
    init_size: int | str | None = "auto"
    kernel: str = "auto"
    cache: str | None = "auto"
    checkpoint: str | os.PathLike[str] | None = None
    checkpoint_every: int = 1

    def __post_init__(self) -> None:
        _check_integer("n_components", self.n_components, least=1)
        _check_integer("max_iter", self.max_iter, least=0)
        _check_integer("n_init", self.n_init, least=1)
        _check_real("tol", self.tol)
        _check_real("reg_covar", self.reg_covar)
        _check_choice("covariance_type", self.covariance_type, COVARIANCE_TYPES)
        _check_choice("init_params", self.init_params, INIT_PARAMS)
        _check_choice("acceleration", self.acceleration, ("auto", None))
        _check_choice("kernel", self.kernel, tuple(KERNELS))
        _check_choice("cache", self.cache, CACHES)
        if self.checkpoint is not None and not isinstance(self.checkpoint, str | os.PathLike):
            raise ParameterError(f"checkpoint: expected a path or None; got {self.checkpoint!r}")
        _check_integer("checkpoint_every", self.checkpoint_every, least=1)
        if self.init_size not in ("auto", None):
            _check_integer("init_size", self.init_size, least=1)
            if isinstance(self.init_size, Integral) and self.init_size < self.n_components:
                raise ParameterError(
                    f"init_size: expected at least n_components = {self.n_components} rows, 'auto' or None; "
                    f"got {self.init_size}"
                )


def settings_of(estimator: Any) -> FitSettings:
    """Return the checked settings of an estimator; raises ParameterError when one is not valid."""
    return FitSettings(**{field.name: getattr(estimator, field.name) for field in fields(FitSettings)})


# Samples of 10,000 rows and more rank optima reliably, and about 50 rows a free parameter keep a sample's optimum close
# to the data's. 100,000 rows cost less than a second of k-means and leave small data whole.
FEWEST_SAMPLE_ROWS = 100_000
SAMPLE_ROWS_A_PARAMETER = 50
# The sample is held by the client and, while it is drawn, by the workers.
MOST_SAMPLE_BYTES = 2**28


def sample_size(settings: FitSettings, n_free: int, n_features: int) -> int | None:
    """Return how many rows the starts may use, or None for all of them.

    Parameters
    ----------
    settings : FitSettings
    n_free : int
        Free parameters of the mixture.
    n_features : int
    """
    if settings.init_size is None:
        return None
    if isinstance(settings.init_size, str):
        wanted = max(FEWEST_SAMPLE_ROWS, SAMPLE_ROWS_A_PARAMETER * n_free)
        affordable = MOST_SAMPLE_BYTES // (8 * n_features)
        return max(min(wanted, affordable), settings.n_components)
    return int(settings.init_size)


def _check_integer(name: str, value: object, *, least: int) -> None:
    if not isinstance(value, Integral) or isinstance(value, bool) or value < least:
        raise ParameterError(f"{name}: expected an integer >= {least}; got {value!r}")


def _check_real(name: str, value: object) -> None:
    if not isinstance(value, Real) or isinstance(value, bool) or not 0 <= float(value) < math.inf:
        raise ParameterError(f"{name}: expected a finite number >= 0; got {value!r}")


def _check_choice(name: str, value: object, choices: tuple[str | None, ...]) -> None:
    if not (value is None or isinstance(value, str)) or value not in choices:
        expected = ", ".join(repr(choice) for choice in choices)
        raise ParameterError(f"{name}: expected one of {expected}; got {value!r}")
