"""The two formats of numbers that vectors hold, and what elementary functions need to know about each."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["BYTES", "FLOAT32", "FLOAT64", "FORMATS", "NumberFormat"]

BYTES = 64
"""Size of a vector: 512 bits, which narrower machines split."""


@dataclass(frozen=True, slots=True)
class NumberFormat:
    """A binary floating-point format, with the series that reach its precision."""

    name: str
    n_bits: int
    exponent_shift: int
    """Bits of the mantissa, that is how far left the exponent stands."""
    exponent_bias: int
    sqrt_half: int
    """The bits of sqrt(1/2)."""
    exp2_series: tuple[float, ...]
    """2^f for |f| <= 1/2 by Chebyshev interpolation that is exact at 0, highest power first."""
    log_series: tuple[float, ...]
    """R of log((1 + s) / (1 - s)) = 2 s + s R(s^2), highest power first (the coefficients of fdlibm's log and logf)."""
    lowest_log: float
    """Stands for log densities below it. Sums of a tile's stay finite."""
    smallest_log_share: float
    """Responsibilities are at least 2 to this power: as good as zero beside the largest, and their products with
    ordinary numbers are not denormal yet."""
    least_responsibility: float
    """Moments of many features leave out responsibilities below this, and those below `least_of_mean`."""
    least_of_mean: float
    """The same in units of the component's mean responsibility in the tile."""

    @property
    def lanes(self) -> int:
        """Numbers of one vector."""
        return BYTES * 8 // self.n_bits

    @property
    def letter(self) -> str:
        """How LLVM's names of functions call the format."""
        return f"f{self.n_bits}"


# 2^f: relative errors 2e-17 and 5e-9. What is left out of moments: of a component's rows in a tile less than 1e-14,
# however few it holds there, and nearly always a hundredth of that, for most of what is left out is smaller by far; and
# where it holds next to none, of a million rows less than 1e-14 of a row. With float32, a sixth of its rounding, and of
# a million rows 1e-6 of a row.
FLOAT64 = NumberFormat(
    name="float64",
    n_bits=64,
    exponent_shift=52,
    exponent_bias=1023,
    sqrt_half=0x3FE6A09E667F3BCD,
    exp2_series=(
        4.4549605981865186e-10,
        7.072585949269223e-09,
        1.0178062445845774e-07,
        1.321544258792169e-06,
        1.525273382983612e-05,
        0.0001540353044173605,
        0.0013333558146416936,
        0.009618129107606888,
        0.0555041086648216,
        0.24022650695910097,
        0.6931471805599453,
        1.0,
    ),
    log_series=(
        1.479819860511658591e-01,
        1.531383769920937332e-01,
        1.818357216161805012e-01,
        2.222219843214978396e-01,
        2.857142874366239149e-01,
        3.999999999940941908e-01,
        6.666666666666735130e-01,
    ),
    lowest_log=-1e290,
    smallest_log_share=-144.0,
    least_responsibility=1e-20,
    least_of_mean=1e-14,
)
FLOAT32 = NumberFormat(
    name="float32",
    n_bits=32,
    exponent_shift=23,
    exponent_bias=127,
    sqrt_half=0x3F3504F3,
    exp2_series=(
        0.0001545316294512069,
        0.0013390863364671234,
        0.009618082557277852,
        0.05550357114219078,
        0.24022650760568126,
        0.6931471880262288,
        1.0,
    ),
    log_series=(0.24279078841, 0.28498786688, 0.40000972152, 0.66666662693),
    lowest_log=-1e30,
    smallest_log_share=-86.0,
    least_responsibility=1e-12,
    least_of_mean=1e-8,
)
FORMATS = {number_format.name: number_format for number_format in (FLOAT64, FLOAT32)}
