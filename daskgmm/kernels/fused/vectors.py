"""Vector instructions for Numba to place in compiled code, where plain loops would not be turned into the best ones.

Importing this module needs Numba.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

__all__ = ["LANES", "Value", "Vectors", "emitted"]

LANES = 8
"""Numbers of one vector: 512 bits of float64, which narrower machines split."""

# exp(r) = 1 + r + r^2 q(r) for |r| <= log(2) / 2 to 1.8e-17: q by Chebyshev interpolation, highest power first.
EXP_SERIES = (
    2.510038549551032e-08,
    2.7620088445409746e-07,
    2.7557268459997064e-06,
    2.4801521295954376e-05,
    0.00019841269863053618,
    0.0013888888917213717,
    0.008333333333330062,
    0.04166666666662413,
    0.16666666666666669,
    0.5000000000000001,
)
LOG2_E = 1.4426950408889634
# log(2) in two parts: the first has trailing zeros, so that its product with an integer is exact.
LN2_HIGH, LN2_LOW = 6.93147180369123816490e-01, 1.90821492927058770002e-10
# Adding it rounds to an integer and leaves that, plus the bias of an exponent, in the low bits.
ROUNDER = 1.5 * 2.0**52 + 1023.0
# log((1 + s) / (1 - s)) = 2 s + s^3 R(s^2), highest power first (the coefficients of fdlibm's log).
LOG_SERIES = (
    1.479819860511658591e-01,
    1.531383769920937332e-01,
    1.818357216161805012e-01,
    2.222219843214978396e-01,
    2.857142874366239149e-01,
    3.999999999940941908e-01,
    6.666666666666735130e-01,
)
EXPONENT_BITS, MANTISSA = 52, 2**52 - 1
BITS_OF_1, BITS_OF_SQRT_HALF, BITS_OF_2_52 = 0x3FF0000000000000, 0x3FE6A09E667F3BCD, 0x4330000000000000

Value = Any
"""A value of the code being built."""


def emitted(emit: Callable[..., None]) -> Any:
    """Make `emit(vectors, *arguments)` a function that compiled code can call; arrays arrive as pointers."""
    from numba.core import types
    from numba.extending import intrinsic
    from numba.np import arrayobj

    arrays: Any = arrayobj
    nothing: Any = types.void

    def typing(typingctx: Any, *arguments: Any) -> tuple[Any, Any]:
        def generate(context: Any, builder: Any, signature: Any, values: Sequence[Value]) -> Value:
            lowered = [
                arrays.make_array(kind)(context, builder, value).data if isinstance(kind, types.Array) else value
                for kind, value in zip(signature.args, values, strict=True)
            ]
            emit(Vectors(builder), *lowered)
            return context.get_dummy_value()

        return nothing(*arguments), generate

    names = list(inspect.signature(emit).parameters)[1:]
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    declared: Any = typing  # functions have no declared signature, and Numba counts arguments by it
    declared.__signature__ = inspect.Signature([inspect.Parameter(name, kind) for name in ("typingctx", *names)])
    return intrinsic(typing)


class Vectors:
    """Vector arithmetic on an instruction builder."""

    def __init__(self, builder: Value) -> None:
        from numba.core import cgutils

        self.builder = builder
        self.code: Any = cgutils
        self.ir = ir = self.code.ir
        self.integer = ir.IntType(64)
        self.double = ir.DoubleType()
        self.type = ir.VectorType(self.double, LANES)
        self.bits = ir.VectorType(self.integer, LANES)

    # Integers known when the code runs, for places in memory

    def index(self, value: int) -> Value:
        """Return a known integer."""
        return self.ir.Constant(self.integer, value)

    def scaled(self, index: Value, factor: int) -> Value:
        """Return index * factor."""
        return self.builder.mul(index, self.index(factor))

    def times(self, a: Value, b: Value) -> Value:
        """Return the product of two integers."""
        return self.builder.mul(a, b)

    def divided(self, index: Value, divisor: int) -> Value:
        """Return index / divisor, rounded towards 0."""
        return self.builder.sdiv(index, self.index(divisor))

    def minus(self, a: Value, b: Value) -> Value:
        """Return the difference of two integers."""
        return self.builder.sub(a, b)

    def plus(self, *terms: Value | int) -> Value:
        """Return the sum of integers."""
        total: Value = self.index(sum(term for term in terms if isinstance(term, int)))
        for term in terms:
            if not isinstance(term, int):
                total = self.builder.add(term, total)
        return total

    # Memory

    def at(self, pointer: Value, *offset: Value | int) -> Value:
        """Return the address of a number."""
        return self.builder.gep(pointer, [self.plus(*offset)])

    def load(self, pointer: Value, *offset: Value | int) -> Value:
        """Return the vector that starts at an offset, counted in numbers."""
        address = self.builder.bitcast(self.at(pointer, *offset), self.type.as_pointer())
        return self.builder.load(address, align=8)

    def store(self, value: Value, pointer: Value, *offset: Value | int) -> None:
        """Store a vector at an offset, counted in numbers."""
        address = self.builder.bitcast(self.at(pointer, *offset), self.type.as_pointer())
        self.builder.store(value, address, align=8)

    def broadcast(self, pointer: Value, *offset: Value | int) -> Value:
        """Return the number at an offset in every lane."""
        return self.splat(self.builder.load(self.at(pointer, *offset)))

    def integer_at(self, pointer: Value, index: Value) -> Value:
        """Return the integer at an offset."""
        return self.builder.load(self.at(pointer, index))

    def variable(self, initial: Value) -> Value:
        """Return a variable for `value` and `set`; compilers keep it in a register."""
        slot = self.code.alloca_once(self.builder, initial.type)
        self.builder.store(initial, slot)
        return slot

    def value(self, variable: Value) -> Value:
        """Return a variable's value."""
        return self.builder.load(variable)

    def set(self, variable: Value, value: Value) -> None:
        """Give a variable a value."""
        self.builder.store(value, variable)

    def loop(self, count: Value) -> Any:
        """Return a context whose code runs for `index` from 0 to count - 1."""
        return self.code.for_range(self.builder, count)

    def when_equal(self, value: Value, constant: int) -> Any:
        """Return a context whose code runs where the integer is that constant."""
        return self.builder.if_then(self.builder.icmp_signed("==", value, self.index(constant)))

    # Arithmetic

    def constant(self, value: float) -> Value:
        """Return a known number in every lane."""
        return self.ir.Constant(self.type, [self.ir.Constant(self.double, value)] * LANES)

    def pattern(self, value: int) -> Value:
        """Return known bits in every lane."""
        return self.ir.Constant(self.bits, [self.ir.Constant(self.integer, value)] * LANES)

    def splat(self, scalar: Value) -> Value:
        """Return a number in every lane."""
        undefined = self.ir.Constant(self.type, self.ir.Undefined)
        first = self.builder.insert_element(undefined, scalar, self.ir.Constant(self.ir.IntType(32), 0))
        zeros = self.ir.Constant(self.ir.VectorType(self.ir.IntType(32), LANES), [0] * LANES)
        return self.builder.shuffle_vector(first, undefined, zeros)

    def add(self, a: Value, b: Value) -> Value:
        """Return a + b."""
        return self.builder.fadd(a, b)

    def subtract(self, a: Value, b: Value) -> Value:
        """Return a - b."""
        return self.builder.fsub(a, b)

    def multiply(self, a: Value, b: Value) -> Value:
        """Return a * b."""
        return self.builder.fmul(a, b)

    def divide(self, a: Value, b: Value) -> Value:
        """Return a / b."""
        return self.builder.fdiv(a, b)

    def fused(self, a: Value, b: Value, c: Value) -> Value:
        """Return a * b + c, rounded once where the machine can."""
        return self._call("fmuladd", a, b, c)

    def sqrt(self, a: Value) -> Value:
        """Return the square root."""
        return self._call("sqrt", a)

    def _call(self, name: str, *arguments: Value) -> Value:
        """Call a function that LLVM has for vectors of any length."""
        name = f"llvm.{name}.v{LANES}f64"
        kind = self.ir.FunctionType(self.type, [self.type] * len(arguments))
        function = self.builder.module.globals.get(name) or self.ir.Function(self.builder.module, kind, name)
        return self.builder.call(function, arguments)

    def larger(self, a: Value, b: Value) -> Value:
        """Return the larger of the two; `a` where it is NaN."""
        return self.builder.select(self.builder.fcmp_ordered("<", a, b), b, a)

    def add_product(self, variable: Value, a: Value, b: Value) -> None:
        """Add a * b to a variable."""
        self.set(variable, self.fused(a, b, self.value(variable)))

    def zero_where_below(self, a: Value, limit: Value) -> Value:
        """Return 0 where a is below the limit and 1 elsewhere."""
        below = self.builder.fcmp_ordered("<", a, limit)
        return self.builder.select(below, self.constant(0.0), self.constant(1.0))

    def exp(self, x: Value) -> Value:
        """Return exp(x) for x within [-100, 0]; NaN stays NaN."""
        shifted = self.fused(x, self.constant(LOG2_E), self.constant(ROUNDER))
        power = self.subtract(shifted, self.constant(ROUNDER))
        r = self.fused(power, self.constant(-LN2_HIGH), x)
        r = self.fused(power, self.constant(-LN2_LOW), r)
        series = self.constant(EXP_SERIES[0])
        for coefficient in (*EXP_SERIES[1:], 1.0, 1.0):
            series = self.fused(series, r, self.constant(coefficient))
        scale = self.builder.shl(self.builder.bitcast(shifted, self.bits), self.pattern(EXPONENT_BITS))
        return self.multiply(series, self.builder.bitcast(scale, self.type))

    def log(self, x: Value) -> Value:
        """Return log(x) for finite normal x > 0; NaN stays NaN."""
        bits = self.builder.add(self.builder.bitcast(x, self.bits), self.pattern(BITS_OF_1 - BITS_OF_SQRT_HALF))
        exponent = self.builder.or_(self.builder.lshr(bits, self.pattern(EXPONENT_BITS)), self.pattern(BITS_OF_2_52))
        power = self.subtract(self.builder.bitcast(exponent, self.type), self.constant(2.0**52 + 1023.0))
        bits = self.builder.add(self.builder.and_(bits, self.pattern(MANTISSA)), self.pattern(BITS_OF_SQRT_HALF))
        f = self.subtract(self.builder.bitcast(bits, self.type), self.constant(1.0))  # within sqrt(1/2) and sqrt(2)
        s = self.builder.fdiv(f, self.add(f, self.constant(2.0)))
        square = self.multiply(s, s)
        series = self.constant(LOG_SERIES[0])
        for coefficient in LOG_SERIES[1:]:
            series = self.fused(series, square, self.constant(coefficient))
        half = self.multiply(self.multiply(f, f), self.constant(0.5))
        tail = self.fused(s, self.fused(square, series, half), self.multiply(power, self.constant(LN2_LOW)))
        mantissa = self.subtract(f, self.subtract(half, tail))
        result = self.fused(power, self.constant(LN2_HIGH), mantissa)
        return self.fused(x, self.constant(0.0), result)

    def lane_sums(self, vectors: Sequence[Value]) -> Value:
        """Return the vector of the sums over lanes of LANES vectors."""
        width = 1
        level = list(vectors) + [self.constant(0.0)] * (LANES - len(vectors))
        while width < LANES:
            low = [i + (LANES - width if i & width else 0) for i in range(LANES)]
            mask = self.ir.VectorType(self.ir.IntType(32), LANES)
            even, odd = self.ir.Constant(mask, low), self.ir.Constant(mask, [i + width for i in low])
            level = [
                self.add(self.builder.shuffle_vector(a, b, even), self.builder.shuffle_vector(a, b, odd))
                for a, b in zip(level[::2], level[1::2], strict=True)
            ]
            width *= 2
        return level[0]
