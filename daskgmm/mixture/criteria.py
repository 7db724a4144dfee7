"""Information criteria: how well a mixture fits, charged for its parameters."""

from __future__ import annotations

import math

from daskgmm.mixture.parameters import MixtureParameters
from daskgmm.mixture.score import LogLikelihood

__all__ = [
    "akaike_information_criterion",
    "bayesian_information_criterion",
    "integrated_completed_likelihood",
]


def bayesian_information_criterion(score: LogLikelihood, parameters: MixtureParameters) -> float:
    """Return -2 log L + p log n for p free parameters and n rows (Schwarz 1978); n counts rows by their weights."""
    return -2 * score.total + parameters.n_free * math.log(score.weight)


def akaike_information_criterion(score: LogLikelihood, parameters: MixtureParameters) -> float:
    """Return -2 log L + 2 p for p free parameters (Akaike 1974)."""
    return -2 * score.total + 2 * parameters.n_free


def integrated_completed_likelihood(score: LogLikelihood, entropy: float, parameters: MixtureParameters) -> float:
    """Return the BIC plus twice the entropy of the responsibilities (Biernacki, Celeux and Govaert 2000, eq. 6)."""
    return bayesian_information_criterion(score, parameters) + 2 * entropy
