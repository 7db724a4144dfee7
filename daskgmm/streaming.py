"""`GaussianMixture.partial_fit`: a mixture fitted to a stream, and what an estimator keeps of it between calls.

The mixture is in the fitted attributes, the rest of the state in one record beside them: `clone` drops both, pickling
keeps both, and a model file keeps all but rows that wait for a start.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from sklearn.utils import check_random_state

from daskgmm.fitted import history_dict, parameters_of, set_parameters, set_weight
from daskgmm.fitting import StreamState, stream_mixture
from daskgmm.history import HistoryEntry
from daskgmm.inputs import row_blocks_of
from daskgmm.progress import shown
from daskgmm.settings import FitSettings
from daskgmm.start import GivenStart

__all__ = ["learn"]

# A stream has no end, and a model file's record has: `history_` and `lower_bounds_` tell of the last steps.
MOST_STEPS = 1000


def learn(estimator: Any, X: Any, sample_weight: Any, settings: FitSettings) -> None:
    """Take rows into the mixture of an estimator; errors as `stream_mixture` has them, after which it is as before.

    Parameters
    ----------
    estimator : GaussianMixture
    X : dask array, zarr array, path of a Zarr array, or array-like of shape (n_samples, n_features)
    sample_weight : dask array, array-like of shape (n_samples,), or None
    settings : FitSettings
        Those of the estimator.
    """
    blocks = row_blocks_of(estimator, X, sample_weight, reset=not has_begun(estimator), fewest_rows=1)
    with shown(estimator.verbose, estimator.verbose_interval):
        state, steps = stream_mixture(
            blocks,
            settings,
            given=GivenStart(estimator.weights_init, estimator.means_init, estimator.precisions_init),
            state=stream_of(estimator),
            random_state=check_random_state(estimator.random_state),
        )
    set_stream(estimator, state, steps)


def has_begun(estimator: Any) -> bool:
    """Whether there is something for `partial_fit` to go on with: a mixture, or rows kept for its start."""
    return hasattr(estimator, "_stream") or hasattr(estimator, "weights_")


def stream_of(estimator: Any) -> StreamState:
    """Return what `partial_fit` goes on with; the attributes say what the mixture is."""
    if not has_begun(estimator):
        return StreamState(kept=())
    state: StreamState = getattr(estimator, "_stream", StreamState())
    if not hasattr(estimator, "weights_"):
        return state
    return replace(
        state,
        mixture=parameters_of(estimator),
        lower_bound=estimator.lower_bound_,
        n_samples=estimator.n_samples_seen_,
        n_steps=estimator.n_iter_,
        # scikit-learn does not tell what its rows weighed, nor did the first model files.
        weight=getattr(estimator, "weight_seen_", None),
    )


def set_stream(estimator: Any, state: StreamState, steps: Sequence[tuple[StreamState, HistoryEntry]]) -> None:
    """Set all attributes that a stream finds; only the number of its rows before there were enough for a start."""
    # The mixture is in the attributes already.
    estimator._stream = replace(state, mixture=None)
    estimator.n_samples_seen_ = state.n_samples
    if state.mixture is None:
        return
    set_parameters(estimator, state.mixture)
    set_weight(estimator, state.weight)
    bounds = [*getattr(estimator, "lower_bounds_", []), *(after.lower_bound for after, _ in steps)]
    history = [*getattr(estimator, "history_", []), *(history_dict(entry) for _, entry in steps)]
    estimator.converged_ = False
    estimator.n_iter_ = state.n_steps
    estimator.lower_bound_ = state.lower_bound
    estimator.lower_bounds_, estimator.history_ = bounds[-MOST_STEPS:], history[-MOST_STEPS:]
    estimator.n_passes_ = max(1, getattr(estimator, "n_passes_", 1))
