"""What was timed, which bars it holds, and both as text and as Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tests.benchmarks.machine import Machine

__all__ = ["SINGLE", "Bar", "Shape", "Timing", "bars", "beyond_limit", "holds", "machine_text", "markdown", "ratio"]
__all__ += ["summary_text", "timing_text"]

SINGLE = " float32"
"""Ends the names of what is computed from float32 rows."""
FLOAT32_FROM = 8
TIMES_FLOAT64 = 1.5
"""How many times as many rows a second as from float64, from `FLOAT32_FROM` features."""


@dataclass(frozen=True, slots=True)
class Shape:
    """Rows and a mixture, and how many times as fast as others an iteration on them has to be."""

    covariance_type: str
    n_rows: int
    n_features: int
    n_components: int
    times_sklearn: float
    times_sklearn_without_numba: float | None = None
    """Of the kernel that needs no Numba; None: where Numba is not installed, `times_sklearn` counts."""
    times_onedal: float | None = None
    times_limit: float | None = None
    """Below 1: the limit is faster."""

    @property
    def has_float32(self) -> bool:
        """Whether float32 rows are timed."""
        return self.n_features >= FLOAT32_FROM


@dataclass(frozen=True, slots=True)
class Timing:
    """Nanoseconds a row of one iteration on rows of a shape."""

    shape: Shape
    clusters: str
    nanoseconds: Mapping[str, float]
    """By name: limit, scikit-learn, oneDAL and the kernels."""


@dataclass(frozen=True, slots=True)
class Bar:
    """How many times a kernel's time a rival's has to be."""

    kernel: str
    rival: str
    at_least: float


def bars(timing: Timing) -> list[Bar]:
    """Return the bars for what was timed."""
    shape = timing.shape
    compiled = "fused" in timing.nanoseconds
    asked = []
    if compiled or shape.times_sklearn_without_numba is None:
        asked.append(Bar("auto", "scikit-learn", shape.times_sklearn))
    if compiled and shape.times_onedal is not None:
        asked.append(Bar("auto", "oneDAL", shape.times_onedal))
    if compiled and shape.times_limit is not None:
        asked.append(Bar("auto", "limit", shape.times_limit))
    if shape.times_sklearn_without_numba is not None:
        asked.append(Bar("blas", "scikit-learn", shape.times_sklearn_without_numba))
    asked.append(Bar("auto" + SINGLE, "auto", TIMES_FLOAT64))
    return [bar for bar in asked if {bar.kernel, bar.rival} <= timing.nanoseconds.keys()]


def ratio(bar: Bar, timing: Timing) -> float:
    """Return how many times the kernel's time the rival's is."""
    return timing.nanoseconds[bar.rival] / timing.nanoseconds[bar.kernel]


def holds(bar: Bar, timing: Timing) -> bool:
    """Return whether the kernel is fast enough."""
    return ratio(bar, timing) >= bar.at_least


def beyond_limit(bar: Bar, timing: Timing) -> bool:
    """Return whether even the limit would not be fast enough; it binds only where clusters overlap."""
    limit = "limit" + SINGLE if bar.kernel.endswith(SINGLE) else "limit"
    fastest = timing.nanoseconds[bar.rival] / timing.nanoseconds[limit]
    return timing.clusters == "overlapping" and fastest < bar.at_least


def machine_text(name: str, machine: Machine) -> str:
    """Return a line that tells the machine's speeds."""
    return (
        f"{name}: matrix product {machine.matmul:.1f} GFLOP/s, exp {machine.exp:.2f} ns, "
        f"copy {machine.copy:.1f} GB/s read and written"
    )


def timing_text(timing: Timing) -> str:
    """Return a few lines that tell what was timed and which bars hold."""
    shape = timing.shape
    lines = [
        f"{shape.covariance_type}, {shape.n_rows:,} rows, {shape.n_features} features, "
        f"{shape.n_components} components, {timing.clusters}; ns a row",
        "    " + ", ".join(f"{name} {_number(time)}" for name, time in timing.nanoseconds.items()),
    ]
    for bar in bars(timing):
        name = f"{bar.rival} / {bar.kernel}"
        lines.append(f"    {name:22}{ratio(bar, timing):6.2f}, at least {bar.at_least:g}: {_verdict(bar, timing)}")
    return "\n".join(lines)


def summary_text(timings: Sequence[Timing]) -> str:
    """Return a line that tells how many bars hold."""
    verdicts = [_verdict(bar, timing) for timing in timings for bar in bars(timing)]
    counts = {verdict: verdicts.count(verdict) for verdict in sorted(set(verdicts))}
    return f"{len(verdicts)} bars: " + ", ".join(f"{verdict} {count}" for verdict, count in counts.items())


def markdown(timings: Sequence[Timing]) -> str:
    """Return the timings as two Markdown tables: full covariances, and the other types."""
    full = [timing for timing in timings if timing.shape.covariance_type == "full"]
    others = [timing for timing in timings if timing.shape.covariance_type != "full"]
    return "\n\n".join(_table(part) for part in (full, others) if part)


def _table(timings: Sequence[Timing]) -> str:
    timed = {name for timing in timings for name in timing.nanoseconds}
    titles = {"limit": "limit", "auto": "daskgmm", "blas": "without Numba", "oneDAL": "oneDAL"}
    titles["scikit-learn"] = "scikit-learn"
    if "fused" not in timed:
        del titles["blas"]  # the same as auto
    names = [name for name in titles if name in timed]
    single = "auto" + SINGLE in timed
    head = ["covariances", "rows", "features", "components", "clusters", *(titles[name] for name in names)]
    head += ["times as fast as scikit-learn", *(["float32, times as fast as float64"] if single else [])]
    lines = [_line(head), _line(["---", "--:", "--:", "--:", "---", *["--:"] * (len(head) - 5)])]
    for timing in timings:
        shape, times = timing.shape, timing.nanoseconds
        cells = [shape.covariance_type, f"{shape.n_rows:,}", str(shape.n_features), str(shape.n_components)]
        cells += [timing.clusters, *(_number(times[name]) if name in times else "" for name in names)]
        cells.append(f"{times['scikit-learn'] / times['auto']:.1f}")
        if single:
            cells.append(f"{times['auto'] / times['auto' + SINGLE]:.1f}" if shape.has_float32 else "")
        lines.append(_line(cells))
    return "\n".join(lines)


def _verdict(bar: Bar, timing: Timing) -> str:
    if holds(bar, timing):
        return "holds"
    return "beyond the limit" if beyond_limit(bar, timing) else "missed"


def _number(nanoseconds: float) -> str:
    return f"{nanoseconds:.1f}" if nanoseconds < 10 else f"{nanoseconds:,.0f}"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
