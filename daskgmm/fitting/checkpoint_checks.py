"""Whether a checkpoint is one of this fit: of its settings and data, and in its shapes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np

from daskgmm.errors import CheckpointError
from daskgmm.fitting.in_memory import Rows
from daskgmm.mixture.covariance import covariance_structure
from daskgmm.mixture.distribution import RowDistribution
from daskgmm.mixture.parameters import MixtureParameters
from daskgmm.mixture.statistics import SufficientStatistics
from daskgmm.settings import FitSettings
from daskgmm.storage.checkpoint_places import CheckpointPlace

__all__ = ["check_random_state", "check_same", "check_shapes"]


def check_same(place: CheckpointPlace, what: str, now: Mapping[str, Any], then: Mapping[str, Any]) -> None:
    """Raise CheckpointError if what decides the outcome of a fit is not what it was, naming what differs."""
    differing = sorted(name for name in now.keys() | then.keys() if not _is_same(now.get(name), then.get(name)))
    if differing:
        changes = ", ".join(
            f"{name} was {then.get(name)!r:.80} and is {now.get(name)!r:.80}" for name in differing[:20]
        )
        raise CheckpointError(
            f"{place.name}: expected a checkpoint of the same {what}; {changes}. Undo the change to go on, or remove "
            f"{place.remedy} to start anew"
        )


def _is_same(now: Any, then: Any) -> bool:
    return type(now) is type(then) and not isinstance(then, np.ndarray) and bool(now == then)


def check_random_state(place: CheckpointPlace, state: tuple[Any, ...]) -> None:
    """Raise CheckpointError unless NumPy accepts the state of its generator."""
    try:
        np.random.RandomState(0).set_state(state)
    except (ValueError, TypeError, IndexError, OverflowError) as error:
        raise CheckpointError(
            f"{place.name}: expected the state of a random generator: {error}. Remove {place.remedy} to start anew"
        ) from None


def check_shapes(place: CheckpointPlace, found: object, settings: FitSettings, n_features: int) -> None:
    """Raise CheckpointError if a mixture, statistics or rows in what was found are not of the fit's shape."""
    structure = covariance_structure(settings.covariance_type)
    means = settings.n_components, n_features
    covariances = structure.shape(*means)
    for record in _records(found):
        if isinstance(record, MixtureParameters):
            is_sound = record.covariance_type == settings.covariance_type and record.means.shape == means
        elif isinstance(record, SufficientStatistics):
            shapes = [array.shape for array in (record.reference, record.first, record.second, record.counts)]
            is_sound = shapes == [means, means, covariances, means[:1]] and record.weight > 0
        elif isinstance(record, RowDistribution):
            is_sound = record.component_shares.shape == means[:1]
        elif isinstance(record, Rows):
            weights = record.weights
            is_sound = record.values.ndim == 2 and record.values.shape[1] == n_features and len(record) > 0
            is_sound = is_sound and (weights is None or weights.shape == (len(record),))
        else:
            continue
        if not is_sound:
            raise CheckpointError(
                f"{place.name}: expected {means[0]} {settings.covariance_type} components of {n_features} features; "
                f"got {type(record).__name__} of another shape. Remove {place.remedy} to start anew"
            )


def _records(value: object) -> Iterator[object]:
    """Yield every record in records and tuples."""
    if isinstance(value, tuple):
        for item in value:
            yield from _records(item)
    elif is_dataclass(value):
        yield value
        for field in fields(value):
            yield from _records(getattr(value, field.name))
