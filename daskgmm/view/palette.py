"""Colours that people with any colour vision tell apart, on white and on black alike."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["COLOURS", "DISTINCT", "NEUTRAL", "Look", "look", "text_on"]

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
"""Okabe and Ito's (2008) without black and yellow, which vanish on black and on white."""
NEUTRAL = "#767676"
"""Text, axes, and what belongs to no component: the grey of 4.5:1 both on white and on black."""
LINE_STYLES = ("solid", (0, (5, 1.5)), (0, (1.5, 1.2)), (0, (5, 1.5, 1.2, 1.5)))
MARKERS = ("o", "s", "^", "D")

DISTINCT = len(COLOURS) * len(LINE_STYLES)
"""Components that look different; the next one looks as the first."""


@dataclass(frozen=True, slots=True)
class Look:
    """How one component is drawn."""

    colour: str
    line_style: str | tuple[float, tuple[float, ...]]
    marker: str


def look(component: int) -> Look:
    """Return how a component is drawn: six colours, and where they are used up other lines and marks."""
    colour, style = component % len(COLOURS), component // len(COLOURS) % len(LINE_STYLES)
    return Look(COLOURS[colour], LINE_STYLES[style], MARKERS[style])


def text_on(colour: str) -> str:
    """Return black or white, whichever reads better on a colour given as #rrggbb."""
    luminance = 0.0
    for start, share in ((1, 0.2126), (3, 0.7152), (5, 0.0722)):
        value = int(colour[start : start + 2], 16) / 255
        luminance += share * (value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4)
    # Contrast as WCAG 2 defines it: equal with both where the luminance is sqrt(1.05 * 0.05) - 0.05.
    return "black" if luminance > 0.1791 else "white"
