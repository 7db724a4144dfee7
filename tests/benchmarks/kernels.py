"""One iteration of EM on rows in memory: this package's kernels, scikit-learn, oneDAL, and the limit of the machine.

`python -m tests.benchmarks.kernels` prints what each takes and whether the bars hold, in under five minutes; with
`--markdown` it prints the tables of README.md as well. All run in this process, in turns, on one thread, from the same
parameters on the same rows. Times are CPU times, medians of five after a call that warms up; of up to 25 where a call
takes milliseconds, which what else the machine does disturbs most.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from random import Random
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from daskgmm.mixture.parameters import MixtureParameters
from tests.benchmarks.iterations import (
    available_kernels,
    daskgmm_iteration,
    draw_mixture,
    onedal_iterations,
    sklearn_iteration,
)
from tests.benchmarks.machine import Machine, cpu_time, limit, measure_machine
from tests.benchmarks.many_components import Growth, growth_text, measure_growth
from tests.benchmarks.report import SINGLE, Shape, Timing, machine_text, markdown, summary_text, timing_text

__all__ = ["CLUSTERS", "SHAPES", "main", "measure", "spread"]

SHAPES = (
    Shape("full", 400_000, 2, 3, 25, 12, times_onedal=2.5),
    Shape("full", 400_000, 4, 8, 25, 12, times_onedal=2.5, times_limit=1 / 2),
    Shape("full", 200_000, 8, 16, 20, 12, times_onedal=2.5, times_limit=1 / 2),
    Shape("full", 100_000, 16, 32, 14, 9, times_onedal=2.5, times_limit=1 / 2),
    Shape("full", 50_000, 32, 32, 9, 5, times_onedal=2.5, times_limit=1 / 2),
    Shape("full", 50_000, 64, 16, 5, 4, times_onedal=1.5),
    Shape("full", 20_000, 128, 16, 4, 3),
    Shape("tied", 100_000, 16, 32, 10),
    Shape("diag", 500_000, 16, 32, 8),
    Shape("spherical", 500_000, 16, 32, 8),
)
CLUSTERS = ("overlapping", "separated")
# Seconds that are spent on each mixture at least, and how many repeats are enough.
SECONDS, MOST_REPEATS = 6.0, 25

Timer = Callable[[], float]
"""Does one iteration and returns the CPU time it took, in nanoseconds."""


def spread(clusters: str, n_features: int) -> float:
    """Return the standard deviation of the means, in about those of the clusters.

    Distances between means grow as the root of the number of features: the spread of overlapping clusters falls with
    it, or those of many features would not overlap.
    """
    return {"overlapping": min(1.0, 4 / math.sqrt(n_features)), "separated": 3.0}[clusters]


def measure(
    shapes: Sequence[Shape],
    *,
    machines: Mapping[str, Machine],
    n_repeats: int = 5,
    seconds: float = SECONDS,
    seed: int = 0,
) -> Iterator[Timing]:
    """Time one iteration on each shape, with overlapping and with separated clusters.

    Parameters
    ----------
    shapes : sequence of Shape
    machines : mapping of str to Machine
        Speeds with "float64" and with "float32".
    n_repeats : int
        How many times each is timed at least, after once that is not.
    seconds : float
        How long that goes on at least, unless there are many repeats.
    seed : int
        Of the rows and mixtures drawn.
    """
    for shape in shapes:
        for clusters in CLUSTERS:
            rows, parameters = draw_mixture(
                shape.covariance_type,
                n_rows=shape.n_rows,
                n_features=shape.n_features,
                n_components=shape.n_components,
                spread=spread(clusters, shape.n_features),
                seed=seed,
            )
            medians = _medians(_timers(shape, rows, parameters), n_repeats, seconds)
            times = {name: nanoseconds / shape.n_rows for name, nanoseconds in medians.items()}
            yield Timing(shape, clusters, {**_limits(shape, machines), **times})


def main(
    arguments: Sequence[str] | None = None,
    *,
    shapes: Sequence[Shape] = SHAPES,
    measure_growth: Callable[[], Iterator[Growth]] = measure_growth,
) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--markdown", action="store_true", help="print the tables of README.md as well")
    with_tables = parser.parse_args(arguments).markdown
    with threadpool_limits(limits=1):
        machines = {name: measure_machine(name) for name in ("float64", "float32")}
        _write("\n".join(machine_text(name, machine) for name, machine in machines.items()))
        timings = []
        for timing in measure(shapes, machines=machines):
            timings.append(timing)
            _write(timing_text(timing))  # the whole takes minutes: what is known is shown
        _write(growth_text(list(measure_growth())))
    _write(summary_text(timings))
    if with_tables:
        _write(markdown(timings))


def _limits(shape: Shape, machines: Mapping[str, Machine]) -> dict[str, float]:
    names = {"limit": "float64", "limit" + SINGLE: "float32"} if shape.has_float32 else {"limit": "float64"}
    return {
        name: limit(
            machines[dtype], shape.covariance_type, n_features=shape.n_features, n_components=shape.n_components
        )
        for name, dtype in names.items()
    }


def _timers(shape: Shape, rows: NDArray[Any], parameters: MixtureParameters) -> dict[str, Timer]:
    """Return what is to be timed, by name."""
    timers = {"scikit-learn": _timer(sklearn_iteration(rows, parameters))}
    for kernel in available_kernels():
        timers[kernel] = _timer(daskgmm_iteration(rows, parameters, kernel=kernel))
    if shape.has_float32:
        timers["auto" + SINGLE] = _timer(daskgmm_iteration(rows.astype(np.float32), parameters))
    one, two = (onedal_iterations(rows, parameters, n_iterations=number) for number in (1, 2))
    if one is not None and two is not None:
        # What the second adds to the first leaves out what a fit does once.
        timers["oneDAL"] = lambda: cpu_time(two) - cpu_time(one)
    return timers


def _timer(function: Callable[[], object]) -> Timer:
    return lambda: cpu_time(function)


def _medians(timers: Mapping[str, Timer], n_repeats: int, seconds: float) -> dict[str, float]:
    """Time in turns, so that what slows the machine down for a while slows all.

    Each turn has its own order: whoever comes after scikit-learn finds the caches full of its temporaries.
    """
    order = Random(0)
    samples: dict[str, list[float]] = {name: [] for name in timers}
    for timer in timers.values():
        timer()
    began = perf_counter()
    for repeat in range(max(n_repeats, MOST_REPEATS)):
        if repeat >= n_repeats and perf_counter() - began > seconds:
            break
        for name in order.sample(list(timers), k=len(timers)):
            samples[name].append(timers[name]())
    return {name: median(times) for name, times in samples.items()}


def _write(text: str) -> None:
    sys.stdout.write(f"{text}\n\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
