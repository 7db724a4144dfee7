"""Damaged and forged files of the layout that models have: a zip archive of .npy members and one member of JSON.

What is called a header here is that JSON. Every case follows from its number alone, so that one that fails can be made
again: `fuzzed_archive(sound, other, header="model.json", case=4711)`.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from tests.faults.archive_case import Case
from tests.faults.damaged_archives import DAMAGE
from tests.faults.forged_archives import FORGERY, bombs

# Large files take long to write.
BOMB_EVERY = 250


@dataclass(frozen=True, slots=True)
class Fuzzed:
    """A file that somebody damaged or forged."""

    kind: str
    """How, for messages."""
    content: bytes
    is_forged: bool
    """Whether its parts go together, so that it may be a sound file that says something else."""


def fuzzed_archive(sound: bytes, other: bytes, *, header: str, case: int) -> Fuzzed:
    """Return a file that was damaged or forged.

    Parameters
    ----------
    sound, other : bytes
        Two files that can be read.
    header : str
        Name of the member of JSON.
    case : int
        Number of the case, from which all that is done follows.
    """
    made_of = Case(sound, other, header, Random(case))
    if case % BOMB_EVERY == BOMB_EVERY - 1:
        return Fuzzed("bombs", bombs(made_of), is_forged=True)
    ways = (*DAMAGE, *FORGERY)
    (way,) = made_of.rng.choices([way for way, _ in ways], [weight for _, weight in ways])
    return Fuzzed(way.__name__, way(made_of), is_forged=way in {forgery for forgery, _ in FORGERY})
