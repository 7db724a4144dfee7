"""Archives that were damaged: what disks, networks and people who cut files short do."""

from __future__ import annotations

import gzip
import pickle
from collections.abc import Callable

from tests.faults.archive_case import END, Case, Mischief, boundaries


def truncated(case: Case) -> bytes:
    return case.sound[: case.place()]


def flipped_bits(case: Case) -> bytes:
    content = bytearray(case.sound)
    for _ in range(case.rng.choice((1, 1, 2, 8, 64))):
        content[case.place()] ^= 1 << case.rng.randrange(8)
    return bytes(content)


def overwritten(case: Case) -> bytes:
    start, length = case.place(), case.rng.choice((1, 2, 4, 8, 100))
    filler = case.rng.choice((b"\0" * length, b"\xff" * length, case.rng.randbytes(length)))
    return case.sound[:start] + filler + case.sound[start + length :]


def cut_out(case: Case) -> bytes:
    start, stop = sorted((case.place(), case.place()))
    return case.sound[:start] + case.sound[stop:]


def repeated(case: Case) -> bytes:
    start, stop = sorted((case.place(), case.place()))
    return case.sound[:stop] + case.sound[start:]


def spliced(case: Case) -> bytes:
    here = case.place()
    there = case.rng.choice((here, case.rng.randrange(len(case.other)), case.rng.choice(boundaries(case.other))))
    first, second = (case.sound, case.other) if case.rng.random() < 0.5 else (case.other, case.sound)
    return first[:here] + second[there:]


def surrounded(case: Case) -> bytes:
    noise = case.rng.randbytes(case.rng.choice((1, 22, 1000, 70_000)))
    return case.rng.choice((noise + case.sound, case.sound + noise, case.sound + case.other, noise + END))


def other_kinds_of_files(case: Case) -> bytes:
    pickled = pickle.dumps(Mischief(), protocol=case.rng.randrange(6))
    header = case.members()[case.header]
    array = case.members()[case.array_name()]
    choices = (pickled, header, array, b"", b"PK", END + b"\0" * 18, END * 50, gzip.compress(case.sound), pickled + END)
    return case.rng.choice((*choices, case.rng.randbytes(case.rng.randrange(300)), b"#!/bin/sh\ntouch ran\n"))


DAMAGE: tuple[tuple[Callable[[Case], bytes], int], ...] = (
    (truncated, 15), (flipped_bits, 15), (overwritten, 8), (cut_out, 5), (repeated, 5), (spliced, 7), (surrounded, 3),
    (other_kinds_of_files, 4),
)  # fmt: skip
"""Each way, and how often it is taken."""
