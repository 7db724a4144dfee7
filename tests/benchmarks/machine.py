"""What one core of this machine can do, and what an iteration of EM would take if it did nothing else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from time import process_time_ns

import numpy as np
from numpy.typing import DTypeLike

__all__ = ["Machine", "cpu_time", "limit", "measure_machine"]


@dataclass(frozen=True, slots=True)
class Machine:
    """Speeds of one core with numbers of one dtype."""

    matmul: float
    """Billions of floating-point operations a second in the product of two large matrices."""
    exp: float
    """Nanoseconds for each element of `numpy.exp` on an array in cache."""
    copy: float
    """Billions of bytes a second read and written in a copy of an array larger than the caches."""
    item_size: int
    """Bytes of a number."""


def cpu_time(function: Callable[[], object]) -> int:
    """Return the CPU time of a call in nanoseconds; time that other processes take from this one is not in it."""
    began = process_time_ns()
    function()
    return process_time_ns() - began


def measure_machine(
    dtype: DTypeLike, *, n_matmul: int = 1024, n_exp: int = 4096, n_copy: int = 2**28, n_repeats: int = 7
) -> Machine:
    """Measure the speeds of one core; `n_copy` is in bytes."""
    generator = np.random.default_rng(0)
    factor = generator.random((n_matmul, n_matmul)).astype(dtype)
    product = np.empty_like(factor)
    exponents = (-50 * generator.random(n_exp)).astype(dtype)
    powers = np.empty_like(exponents)
    source = np.full(n_copy // exponents.itemsize, 1, dtype)
    target = np.full_like(source, 2)
    n_calls = 100  # one call is too short for the clock

    def exponentials() -> None:
        for _ in range(n_calls):
            np.exp(exponents, out=powers)

    return Machine(
        matmul=2 * n_matmul**3 / _median(lambda: np.matmul(factor, factor, out=product), n_repeats),
        exp=_median(exponentials, n_repeats) / (n_calls * n_exp),
        copy=2 * source.nbytes / _median(lambda: np.copyto(target, source), n_repeats),
        item_size=exponents.itemsize,
    )


def limit(machine: Machine, covariance_type: str, *, n_features: int, n_components: int) -> float:
    """Return the nanoseconds a row that one iteration takes at least, if every row counts for every component.

    Log densities and statistics are two matrix products with P coefficients for each component, 4 P K operations in
    all, and K exponentials. Between separated clusters a kernel that leaves out rows can be faster than that.
    """
    n_operations = 4 * n_components * _n_coefficients(covariance_type, n_features)
    if covariance_type == "tied":
        n_operations += n_features**2  # half of x x^T, once for all components
    computing = n_operations / machine.matmul + n_components * machine.exp
    reading = n_features * machine.item_size / machine.copy
    return max(computing, reading)


def _n_coefficients(covariance_type: str, n_features: int) -> int:
    """Return how many numbers of a row a component's log density is linear in, where types share what they can."""
    return {
        "full": n_features * (n_features + 1) // 2 + n_features + 1,
        "tied": n_features + 1,
        "diag": 2 * n_features + 1,
        "spherical": n_features + 2,
    }[covariance_type]


def _median(function: Callable[[], object], n_repeats: int) -> float:
    """Return the median CPU time in nanoseconds after a call that warms up, at least the clock's 1."""
    function()
    return median(max(1, cpu_time(function)) for _ in range(n_repeats))
