"""Puts start, sweep and EM together: data and settings in, the result of a fit out."""

from daskgmm.fitting.fit import fit_mixture
from daskgmm.fitting.passes import score_rows
from daskgmm.fitting.result import FitResult, Start
from daskgmm.fitting.stream import StreamState, stream_mixture
from daskgmm.fitting.updating import statistics_of_rows, step_of, update_mixture

__all__ = [
    "FitResult",
    "Start",
    "StreamState",
    "fit_mixture",
    "score_rows",
    "statistics_of_rows",
    "step_of",
    "stream_mixture",
    "update_mixture",
]
