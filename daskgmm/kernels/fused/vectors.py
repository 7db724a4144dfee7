"""Vector instructions for Numba to place in compiled code, where plain loops would not be turned into the best ones.

Importing this module needs Numba.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

from daskgmm.kernels.fused.number_formats import FORMATS, NumberFormat

__all__ = ["Value", "Vectors", "emitted"]

Value = Any
"""A value of the code being built."""


def emitted(emit: Callable[..., None]) -> Any:
    """Make `emit(vectors, *arguments)` a function that compiled code can call; arrays arrive as pointers.

    Vectors are of the first argument's numbers, an array's.
    """
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
            emit(Vectors(builder, FORMATS[str(signature.args[0].dtype)]), *lowered)
            return context.get_dummy_value()

        return nothing(*arguments), generate

    names = list(inspect.signature(emit).parameters)[1:]
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    declared: Any = typing  # functions have no declared signature, and Numba counts arguments by it
    declared.__signature__ = inspect.Signature([inspect.Parameter(name, kind) for name in ("typingctx", *names)])
    return intrinsic(typing)


class Vectors:
    """Vector arithmetic on an instruction builder, with numbers of one format."""

    def __init__(self, builder: Value, number_format: NumberFormat) -> None:
        from numba.core import cgutils

        self.builder = builder
        self.format = number_format
        self.lanes = number_format.lanes
        self.code: Any = cgutils
        self.ir = ir = self.code.ir
        self.integer = ir.IntType(64)
        self.double = ir.DoubleType()
        self.number = self.double if number_format.n_bits == 64 else ir.FloatType()
        self.pattern_of_number = ir.IntType(number_format.n_bits)
        self.type = ir.VectorType(self.number, self.lanes)
        self.bits = ir.VectorType(self.pattern_of_number, self.lanes)

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
        return self.builder.load(address, align=self.format.n_bits // 8)

    def store(self, value: Value, pointer: Value, *offset: Value | int) -> None:
        """Store a vector at an offset, counted in numbers."""
        address = self.builder.bitcast(self.at(pointer, *offset), self.type.as_pointer())
        self.builder.store(value, address, align=self.format.n_bits // 8)

    def broadcast(self, pointer: Value, *offset: Value | int) -> Value:
        """Return the number at an offset in every lane."""
        return self.splat(self.builder.load(self.at(pointer, *offset)))

    def integer_at(self, pointer: Value, index: Value) -> Value:
        """Return the integer at an offset."""
        return self.builder.load(self.at(pointer, index))

    def gather(self, addresses: Sequence[Value]) -> Value:
        """Return a vector of the numbers at as many addresses as there are lanes."""
        vector = self.ir.Constant(self.type, self.ir.Undefined)
        for lane, address in enumerate(addresses):
            number = self.builder.load(address)
            vector = self.builder.insert_element(vector, number, self.ir.Constant(self.ir.IntType(32), lane))
        return vector

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
        return self.ir.Constant(self.type, [self.ir.Constant(self.number, value)] * self.lanes)

    def pattern(self, value: int) -> Value:
        """Return known bits in every lane."""
        return self.ir.Constant(self.bits, [self.ir.Constant(self.pattern_of_number, value)] * self.lanes)

    def as_bits(self, value: Value) -> Value:
        """Return the bits of numbers."""
        return self.builder.bitcast(value, self.bits)

    def as_numbers(self, bits: Value) -> Value:
        """Return the numbers of bits."""
        return self.builder.bitcast(bits, self.type)

    def splat(self, scalar: Value) -> Value:
        """Return a number in every lane, rounded to the vectors' format."""
        if scalar.type != self.number:
            scalar = self.builder.fptrunc(scalar, self.number)
        undefined = self.ir.Constant(self.type, self.ir.Undefined)
        first = self.builder.insert_element(undefined, scalar, self.ir.Constant(self.ir.IntType(32), 0))
        zeros = self.ir.Constant(self.ir.VectorType(self.ir.IntType(32), self.lanes), [0] * self.lanes)
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

    def negative(self, a: Value) -> Value:
        """Return -a."""
        return self.builder.fneg(a)

    def sqrt(self, a: Value) -> Value:
        """Return the square root."""
        return self._call("sqrt", a)

    def _call(self, name: str, *arguments: Value) -> Value:
        """Call a function that LLVM has for vectors of any length."""
        name = f"llvm.{name}.v{self.lanes}{self.format.letter}"
        kind = self.ir.FunctionType(self.type, [self.type] * len(arguments))
        function = self.builder.module.globals.get(name) or self.ir.Function(self.builder.module, kind, name)
        return self.builder.call(function, arguments)

    def larger(self, a: Value, b: Value) -> Value:
        """Return the larger of the two; `a` where it is NaN."""
        return self.where_below(a, b, b, a)

    def where_below(self, a: Value, b: Value, then: Value, otherwise: Value) -> Value:
        """Return `then` where a < b, and `otherwise` elsewhere and where either is NaN."""
        return self.builder.select(self.builder.fcmp_ordered("<", a, b), then, otherwise)

    def add_product(self, variable: Value, a: Value, b: Value) -> None:
        """Add a * b to a variable."""
        self.set(variable, self.fused(a, b, self.value(variable)))

    def zero_where_below(self, a: Value, limit: Value) -> Value:
        """Return 0 where a is below the limit and 1 elsewhere."""
        return self.where_below(a, limit, self.constant(0.0), self.constant(1.0))

    def add_lane_sums(self, vectors: Sequence[Value], out: Value, offset: Value) -> None:
        """Add the sum over lanes of each vector to one of as many float64 numbers, from out[offset] on."""
        for start in range(0, len(vectors), self.lanes):
            part = vectors[start : start + self.lanes]
            sums, mask = self._lane_sums(part), self.ir.VectorType(self.ir.IntType(32), len(part))
            if len(part) < self.lanes:
                sums = self.builder.shuffle_vector(sums, sums, self.ir.Constant(mask, list(range(len(part)))))
            wide = self.ir.VectorType(self.double, len(part))
            if self.number != self.double:
                sums = self.builder.fpext(sums, wide)
            address = self.builder.bitcast(self.at(out, offset, start), wide.as_pointer())
            total = self.builder.fadd(self.builder.load(address, align=8), sums)
            self.builder.store(total, address, align=8)

    def _lane_sums(self, vectors: Sequence[Value]) -> Value:
        """Return the vector of the sums over lanes of up to as many vectors as there are lanes."""
        width = 1
        level = list(vectors) + [self.constant(0.0)] * (self.lanes - len(vectors))
        while width < self.lanes:
            low = [i + (self.lanes - width if i & width else 0) for i in range(self.lanes)]
            mask = self.ir.VectorType(self.ir.IntType(32), self.lanes)
            even, odd = self.ir.Constant(mask, low), self.ir.Constant(mask, [i + width for i in low])
            level = [
                self.add(self.builder.shuffle_vector(a, b, even), self.builder.shuffle_vector(a, b, odd))
                for a, b in zip(level[::2], level[1::2], strict=True)
            ]
            width *= 2
        return level[0]
