"""What is drawn of a mixture: its parameters, the names of its features, some of its rows, and which features."""

from __future__ import annotations

import difflib
import numbers
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.exceptions import NotFittedError
from sklearn.utils import check_random_state

from daskgmm.engine.sample import first_look
from daskgmm.engine.schedule import one_thread_per_task
from daskgmm.engine.waiting import redone
from daskgmm.errors import ParameterError
from daskgmm.estimator import GaussianMixture
from daskgmm.fitting.passes import check_weight, parts_of
from daskgmm.inputs import row_blocks_of
from daskgmm.mixture.covariance import Floats
from daskgmm.mixture.parameters import MixtureParameters
from daskgmm.view.marginals import separation

__all__ = ["SAMPLE_ROWS", "DrawnRows", "chosen_features", "drawn_rows", "feature_names", "parameters_shown"]

# A share of 20,000 rows is known to 0.0035 at worst, less than a pixel of a picture 300 pixels high.
SAMPLE_ROWS = 20_000
# Of a sample of rows with very many features, in numbers: 64 MiB.
SAMPLE_ELEMENTS = 2**23
# A corner of five features has fifteen panels; more are too small to read. Those asked for by name may be more, but a
# hundred panels take Matplotlib half a minute.
FEATURES_BY_DEFAULT, MOST_FEATURES = 5, 10


def parameters_shown(mixture: Any) -> MixtureParameters:
    """Return the parameters of a fitted mixture, ours, scikit-learn's, or anything with the same attributes.

    Raises
    ------
    NotFittedError
        If it has none yet.
    """
    names = ("weights_", "means_", "covariances_")
    missing = [name for name in names if not hasattr(mixture, name)]
    if missing:
        raise NotFittedError(
            f"mixture: expected a fitted mixture; got {type(mixture).__name__} without {', '.join(missing)}. Call fit "
            "first, or daskgmm.load for a model file"
        )
    kind = getattr(mixture, "covariance_type", "full")
    weights, means, covariances = (getattr(mixture, name) for name in names)
    factors = getattr(mixture, "precisions_cholesky_", None)
    if factors is not None:
        return MixtureParameters(kind, weights, means, covariances, factors)
    return MixtureParameters.from_covariances(
        weights=weights, means=means, covariances=covariances, covariance_type=kind
    )


def feature_names(mixture: Any, n_features: int) -> tuple[str, ...]:
    """Return the names of a mixture's features; "feature 0" and so on where it has none."""
    names = getattr(mixture, "feature_names_in_", None)
    if names is None:
        return tuple(f"feature {index}" for index in range(n_features))
    if len(names) != n_features:
        raise ParameterError(f"feature_names_in_: expected {n_features} names; got {len(names)}")
    return tuple(str(name) for name in names)


@dataclass(frozen=True, slots=True, eq=False)
class DrawnRows:
    """A uniform sample of rows, and how many there are in all."""

    rows: Floats
    """Shape (n_rows, n_features)."""
    n_samples: int


def drawn_rows(mixture: Any, X: Any, *, size: int, random_state: Any) -> DrawnRows:
    """Return a uniform sample of rows in one pass over them, as many as `size` or all.

    Raises
    ------
    InputDataError
        If the rows have other features than the mixture, or one holds NaN or infinity.
    StorageError
        If a store cannot be used.
    """
    fitted_to = GaussianMixture()
    fitted_to.n_features_in_ = np.shape(mixture.means_)[1]
    if hasattr(mixture, "feature_names_in_"):
        fitted_to.feature_names_in_ = np.asarray(mixture.feature_names_in_, dtype=object)
    blocks = row_blocks_of(fitted_to, X, None, reset=False)
    entropy = int(check_random_state(random_state).randint(np.iinfo(np.int32).max))
    with one_thread_per_task():
        look = redone(
            lambda: first_look(
                parts_of(blocks),
                n_samples=blocks.n_samples,
                n_features=blocks.n_features,
                size=max(1, min(size, SAMPLE_ELEMENTS // blocks.n_features)),
                entropy=entropy,
            )
        )
    check_weight(look.n_present, look.n_samples)
    return DrawnRows(look.rows, look.n_samples)


def chosen_features(features: Any, names: tuple[str, ...], parameters: MixtureParameters) -> tuple[int, ...]:
    """Return the numbers of the features to draw: those named, or the five that separate components best.

    Parameters
    ----------
    features : None, name, column number, or iterable of these
    names : tuple of str
        Names of all features.
    parameters : MixtureParameters

    Raises
    ------
    ParameterError
        If there is no such feature, one comes twice, or there are none or more than ten.
    """
    if features is None:
        best = np.argsort(-separation(parameters), kind="stable")[:FEATURES_BY_DEFAULT]
        return tuple(sorted(int(feature) for feature in best))
    single = isinstance(features, str | numbers.Number) or not isinstance(features, Iterable)
    chosen = [_feature(one, names) for one in ([features] if single else features)]
    for position, feature in enumerate(chosen):
        if feature in chosen[:position]:
            raise ParameterError(f"features: expected each feature once; {names[feature]!r} comes twice")
    if not 1 <= len(chosen) <= MOST_FEATURES:
        raise ParameterError(f"features: expected 1 to {MOST_FEATURES} features to draw; got {len(chosen)}")
    return tuple(chosen)


def _feature(wanted: Any, names: tuple[str, ...]) -> int:
    """Return the column number of a feature given by name or number."""
    if isinstance(wanted, int | np.integer) and not isinstance(wanted, bool):
        if not 0 <= wanted < len(names):
            raise ParameterError(f"features: expected column numbers from 0 to {len(names) - 1}; got {wanted}")
        return int(wanted)
    if not isinstance(wanted, str):
        raise ParameterError(f"features: expected names or column numbers; got {wanted!r}")
    if names.count(wanted) > 1:
        raise ParameterError(f"features: {names.count(wanted)} features are named {wanted!r}; give column numbers")
    if wanted not in names:
        near = difflib.get_close_matches(wanted, names, n=3, cutoff=0.0)
        raise ParameterError(
            f"features: expected names of features or column numbers; got {wanted!r}. The nearest names are "
            f"{', '.join(map(repr, near))}"
        )
    return names.index(wanted)
