"""What a report's page is made of: records of text and numbers, that know nothing of HTML."""

from __future__ import annotations

import math
import unicodedata
from dataclasses import dataclass

__all__ = ["Cell", "Fact", "Figure", "Fold", "Head", "HeadGroup", "Section", "Table", "legible", "named", "number"]
__all__ += ["printable", "shortened"]

# A name that is longer tells a reader no more, and one in a table pushes the others out of sight.
MOST_LETTERS, MOST_IN_CELL = 300, 60
# Left-to-right text around a right-to-left name keeps its order between these: first strong isolate, and its end.
ISOLATE, END_ISOLATE = "\u2068", "\u2069"


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell of a table."""

    text: str
    value: float | None = None
    """What the column is sorted by; None sorts by the text, and a missing number last."""
    is_number: bool = False


@dataclass(frozen=True, slots=True)
class Head:
    """The head of one column."""

    name: str
    is_number: bool = True


@dataclass(frozen=True, slots=True)
class HeadGroup:
    """A head above several columns; a name that is empty leaves them without one."""

    name: str
    n_columns: int


@dataclass(frozen=True, slots=True)
class Table:
    """A table whose first column names its rows."""

    caption: str
    heads: tuple[Head, ...]
    rows: tuple[tuple[Cell, ...], ...]
    groups: tuple[HeadGroup, ...] = ()
    note: str = ""
    """What was left out, as a sentence."""
    marked: int | None = None
    """Number of the row that stands out."""


@dataclass(frozen=True, slots=True)
class Figure:
    """A picture."""

    svg: str
    """The element as text, safe to be put into a page as it is."""
    description: str
    """What it shows, in a sentence for who cannot see it."""


@dataclass(frozen=True, slots=True)
class Fact:
    """A name and a value."""

    name: str
    value: str


@dataclass(frozen=True, slots=True)
class Fold:
    """Something that is shown when asked for."""

    summary: str
    table: Table


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the page under a heading of its own."""

    anchor: str
    title: str
    paragraphs: tuple[str, ...] = ()
    facts: tuple[Fact, ...] = ()
    figures: tuple[Figure, ...] = ()
    tables: tuple[Table, ...] = ()
    folds: tuple[Fold, ...] = ()


def legible(value: object) -> str:
    """Return text that came from data as one line that pages and pictures can hold, cut where it is too long."""
    shown = printable(" ".join(str(value).split()))
    return shown if len(shown) <= MOST_LETTERS else f"{shown[:MOST_LETTERS]}\u2026"


def shortened(name: str) -> str:
    """Return a name as a table has room for it."""
    return name if len(name) <= MOST_IN_CELL else f"{name[: MOST_IN_CELL - 1]}\u2026"


def printable(text: str) -> str:
    """Return text without what no page can hold or what would turn the direction of the text around it.

    Control characters, lone surrogates and marks of direction become a replacement character.
    """
    return "".join("\ufffd" if _is_unfit(letter) else letter for letter in text)


def named(name: str) -> str:
    """Return a name for use within a sentence, whose direction it does not change."""
    return name if name.isascii() else f"{ISOLATE}{name}{END_ISOLATE}"


def number(value: object, digits: int = 4) -> Cell:
    """Return a number as a cell; what is none, or not finite, as a dash."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return Cell("\u2013", None, is_number=True)
    text = f"{value:,}" if isinstance(value, int) else f"{value:.{digits}g}"
    return Cell(text, float(value), is_number=True)


def _is_unfit(letter: str) -> bool:
    # Of format characters (Cf), the joiners inside emoji and Indic words are part of what is written.
    kind = unicodedata.category(letter)
    return kind in ("Cc", "Cs", "Cn") or (kind == "Cf" and letter not in "\u200c\u200d")
