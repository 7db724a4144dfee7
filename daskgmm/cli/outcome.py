"""What a run of EM came to: what commands tell of it, and whether it is good enough."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from daskgmm.errors import QualityGateError
from daskgmm.estimator import GaussianMixture

__all__ = ["check_converged", "outcome_of"]


def outcome_of(mixture: GaussianMixture, output: str, *, out_of_time: bool) -> dict[str, Any]:
    """Return what was found as JSON values.

    Parameters
    ----------
    mixture : GaussianMixture
    output : str
        The model file.
    out_of_time : bool
        Whether EM ended because of `--max-time`.
    """
    return {
        "model": output,
        "up_to_date": False,
        "n_samples": mixture.n_samples_seen_,
        "n_features": mixture.n_features_in_,
        "n_components": mixture.n_components,
        "covariance_type": mixture.covariance_type,
        "converged": mixture.converged_,
        "out_of_time": out_of_time,
        "n_iter": mixture.n_iter_,
        "n_passes": mixture.n_passes_,
        "lower_bound": mixture.lower_bound_,
        "seconds": sum(entry["seconds"] for entry in mixture.history_),
    }


def check_converged(result: Mapping[str, Any], output: str) -> None:
    """Raise QualityGateError unless EM converged, as `--strict` asks."""
    if not result["converged"]:
        raise QualityGateError(
            f"expected EM to converge, as --strict asks; {result['n_passes']} passes were not enough. Raise "
            f"--max-iter, --max-time or --tol; {output} is left as it was"
        )
