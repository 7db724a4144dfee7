"""Full passes to the optimum: this package's fits, plain EM's and scikit-learn's.

`python -m tests.benchmarks.convergence` prints for each case how many passes it takes to come within 1e-4, 1e-5 and
1e-6 nats a row of the best optimum known, how far from it a fit ends, and whether the bars hold; with `--markdown` it
prints the table of README.md as well. Passes count from the first look, which draws the sample. scikit-learn runs with
its default tol here; with tol=1e-7 it is followed by iterates that are its own to rounding, stored with the optima (see
optima.py, and `--optima`). Times are CPU times of this process, on one thread.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence

from threadpoolctl import threadpool_limits

from tests.benchmarks.counted import Counted, bars_text, counted_text, markdown
from tests.benchmarks.fits import accelerated_path, plain_path, prepare, sklearn_path
from tests.benchmarks.mixtures import CASES, Case
from tests.benchmarks.optima import Optimum, load_optima, save_optima

__all__ = ["count", "main"]

TOL = 1e-5
COUNT_TOL = 1e-8
MOST_PASSES = 40
N_INIT = 5


def count(
    cases: Sequence[Case], optima: Mapping[str, Optimum], *, sample_rows: int | None = None, seed: int = 0
) -> Iterator[Counted]:
    """Fit each case by every method.

    Parameters
    ----------
    cases : sequence of Case
    optima : mapping of str to Optimum
        By the names of the cases.
    sample_rows : int, optional
        Least rows of the sample.
    seed : int
        Of the sample and the starts.
    """
    for case in cases:
        prepared = (
            prepare(case, seed=seed) if sample_rows is None else prepare(case, seed=seed, sample_rows=sample_rows)
        )
        stopped = accelerated_path(prepared, tol=TOL, max_passes=MOST_PASSES)
        plain = plain_path(prepared.rows, prepared.start, tol=0.0, max_passes=len(stopped.bounds) - 1)
        yield Counted(
            case=case,
            optimum=optima[case.name],
            followed=accelerated_path(prepared, tol=COUNT_TOL, max_passes=MOST_PASSES),
            stopped=stopped,
            behind=max(there - here for here, there in zip(stopped.bounds[1:], plain.bounds, strict=True)),
            sklearn={n_init: sklearn_path(case, prepared.rows, n_init=n_init) for n_init in (1, N_INIT)},
        )


def main(
    arguments: Sequence[str] | None = None,
    *,
    cases: Sequence[Case] = CASES,
    optima: Mapping[str, Optimum] | None = None,
) -> None:
    """Count and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--markdown", action="store_true", help="print the table of README.md as well")
    parser.add_argument("--optima", action="store_true", help="find the optima anew and store them")
    options = parser.parse_args(arguments)
    with threadpool_limits(limits=1):
        if options.optima:
            save_optima(cases)
        known = load_optima() if optima is None else optima
        counted = []
        for one in count(cases, known):
            counted.append(one)
            _write(counted_text(one))  # the whole takes minutes: what is known is shown
    _write(bars_text(counted))
    if options.markdown:
        _write(markdown(counted))


def _write(text: str) -> None:
    sys.stdout.write(f"{text}\n\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
