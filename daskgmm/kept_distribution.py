"""What an estimator keeps of how the rows of its fit are distributed, and how a model file holds that.

It is true of one mixture alone: whoever changes `means_` has a mixture of which nothing is kept.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np

from daskgmm.errors import ModelFormatError, ParameterError
from daskgmm.mixture.distribution import RowDistribution, combined
from daskgmm.mixture.parameters import MixtureParameters

__all__ = ["RECORD_KEY", "distribution_from", "distribution_record", "keep_with", "kept_with", "updated"]

RECORD_KEY = "row_distribution"
"""Where a model file's record of the fit holds it; files written before there was one do without."""


@dataclass(frozen=True, slots=True, eq=False)
class _Kept:
    distribution: RowDistribution
    mixture: str
    """Digest of the mixture that it is true of."""


def keep_with(estimator: Any, distribution: RowDistribution | None, parameters: MixtureParameters) -> None:
    """Keep how rows are distributed under the estimator's mixture, or forget what was kept."""
    vars(estimator).pop("_distribution", None)
    if distribution is not None:
        estimator._distribution = _Kept(distribution, _digest(parameters))


def kept_with(estimator: Any, parameters: MixtureParameters) -> RowDistribution | None:
    """Return what was kept if it is true of these parameters, the estimator's own; else None."""
    kept: _Kept | None = getattr(estimator, "_distribution", None)
    return kept.distribution if kept is not None and kept.mixture == _digest(parameters) else None


def updated(
    before: RowDistribution | None, now: RowDistribution | None, *, weight: float, weight_before: float
) -> RowDistribution | None:
    """Return how all rows are distributed after an update, of which the rows before it weigh so much.

    These are as the mixture of then had them; an update by one night of many hardly changes that. Where nothing was
    kept of them nothing is kept of all.
    """
    if before is None or now is None or not 0 < weight_before < weight:
        return None
    return combined(before, now, share_now=1 - weight_before / weight)


def distribution_record(distribution: RowDistribution) -> dict[str, Any]:
    """Return what a model file holds of it: arrays and a number."""
    return asdict(distribution)


def distribution_from(record: Any, parameters: MixtureParameters) -> RowDistribution:
    """Return what a model file says of rows under its mixture.

    Raises
    ------
    ModelFormatError
        If it is anything else.
    """
    names = {field.name for field in fields(RowDistribution)}
    if not isinstance(record, Mapping) or set(record) != names:
        raise ModelFormatError(f"fit.{RECORD_KEY}: expected {', '.join(sorted(names))}; got {repr(record)[:50]}")
    try:
        distribution = RowDistribution(**record)
    except ParameterError as error:
        raise ModelFormatError(f"fit.{RECORD_KEY}: {str(error)[:200]}") from error
    if distribution.component_shares.shape != (parameters.n_components,):
        raise ModelFormatError(
            f"fit.{RECORD_KEY}: expected shares of {parameters.n_components} components; got "
            f"{len(distribution.component_shares)}"
        )
    return distribution


def _digest(parameters: MixtureParameters) -> str:
    """Return what tells one mixture from another, to the last bit."""
    digest = hashlib.sha256(parameters.covariance_type.encode())
    for array in (parameters.weights, parameters.means, parameters.covariances, parameters.precisions_cholesky):
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
