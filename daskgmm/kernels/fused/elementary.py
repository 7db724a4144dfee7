"""Powers and logarithms to base 2, which take a few steps less than natural ones."""

from __future__ import annotations

from daskgmm.kernels.fused.vectors import Value, Vectors

__all__ = ["exp2", "log2"]

LOG2_E = 1.4426950408889634


def exp2(vectors: Vectors, x: Value) -> Value:
    """Return 2^x for x from where that is a normal number up to 0; NaN stays NaN."""
    form = vectors.format
    # Adding it rounds to an integer and leaves that, plus the bias of an exponent, in the low bits.
    rounder = vectors.constant(1.5 * 2.0**form.exponent_shift + form.exponent_bias)
    shifted = vectors.add(x, rounder)
    fraction = vectors.subtract(x, vectors.subtract(shifted, rounder))
    series = vectors.constant(form.exp2_series[0])
    for coefficient in form.exp2_series[1:]:
        series = vectors.fused(series, fraction, vectors.constant(coefficient))
    exponent = vectors.builder.shl(vectors.as_bits(shifted), vectors.pattern(form.exponent_shift))
    return vectors.multiply(series, vectors.as_numbers(exponent))


def log2(vectors: Vectors, x: Value) -> Value:
    """Return the logarithm to base 2 of finite normal x > 0; NaN stays NaN."""
    form, builder = vectors.format, vectors.builder
    shift, bias = form.exponent_shift, form.exponent_bias
    one, n_integers = bias << shift, 2.0**shift
    # x = 2^power * m with m within sqrt(1/2) and sqrt(2): moved so, the exponent's bits change at sqrt(1/2).
    bits = builder.add(vectors.as_bits(x), vectors.pattern(one - form.sqrt_half))
    exponent = builder.or_(builder.lshr(bits, vectors.pattern(shift)), vectors.pattern((bias + shift) << shift))
    power = vectors.subtract(vectors.as_numbers(exponent), vectors.constant(n_integers + bias))
    bits = builder.add(builder.and_(bits, vectors.pattern(2**shift - 1)), vectors.pattern(form.sqrt_half))
    f = vectors.subtract(vectors.as_numbers(bits), vectors.constant(1.0))
    s = vectors.divide(f, vectors.add(f, vectors.constant(2.0)))
    square = vectors.multiply(s, s)
    series = vectors.constant(form.log_series[0])
    for coefficient in form.log_series[1:]:
        series = vectors.fused(series, square, vectors.constant(coefficient))
    half = vectors.multiply(vectors.multiply(f, f), vectors.constant(0.5))
    # log(1 + f) = f - f^2 / 2 + s (f^2 / 2 + s^2 R(s^2))
    tail = vectors.multiply(s, vectors.fused(square, series, half))
    natural = vectors.subtract(f, vectors.subtract(half, tail))
    result = vectors.fused(natural, vectors.constant(LOG2_E), power)
    return vectors.fused(x, vectors.constant(0.0), result)
