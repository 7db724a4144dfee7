"""Figures and axes to draw on, and text that shows names as they are."""

from __future__ import annotations

import io
import textwrap
import unicodedata
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from daskgmm.mixture.covariance import Floats
from daskgmm.view.palette import NEUTRAL, look, text_on

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.text import Annotation, Text

__all__ = [
    "SMALL",
    "at_edge",
    "badge",
    "check_axes",
    "figure_of",
    "legend",
    "lettered",
    "name_axes",
    "need_matplotlib",
    "new_figure",
    "percent",
    "picture",
    "signed",
    "styled",
    "titled",
    "wrapped",
]

# In points. A figure of five inches shown 400 pixels wide, 4.2 inches of the screen, still has text of 8 points.
TEXT, SMALL = 10.0, 9.5
LONGEST_NAME, MOST_LINES = 60, 3
# Letters of a title that a figure of five inches is wide enough for.
LINE = 60
# Dots an inch of what a notebook shows.
RESOLUTION = 110


def need_matplotlib() -> None:
    """Raise ImportError, with what to install, where there is no Matplotlib."""
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise ImportError(
            "pictures need Matplotlib, which is not installed. Install it with pip install 'daskgmm[plot]'"
        ) from error


def new_figure(width: float = 5.0, height: float = 3.75) -> Figure:
    """Return a transparent figure of a size in inches that pyplot knows nothing of: nobody has to close it."""
    need_matplotlib()
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained", facecolor="none")


def check_axes(ax: Any) -> None:
    """Raise TypeError unless ax is None or Matplotlib's axes."""
    need_matplotlib()
    from matplotlib.axes import Axes

    if ax is not None and not isinstance(ax, Axes):
        raise TypeError(f"ax: expected matplotlib.axes.Axes or None; got {type(ax).__name__}")


def figure_of(ax: Axes) -> Figure:
    """Return the figure that axes are on, whichever part of it holds them."""
    from matplotlib.figure import Figure

    figure = ax.figure
    # A part of a figure knows the whole one.
    return figure if isinstance(figure, Figure) else figure.figure


def styled(ax: Axes) -> Axes:
    """Give axes the colours and sizes of all our pictures, and return them."""
    ax.patch.set_alpha(0.0)
    ax.tick_params(which="both", colors=NEUTRAL, labelsize=SMALL)
    for name, spine in ax.spines.items():
        spine.set_color(NEUTRAL)
        spine.set_visible(name in ("left", "bottom"))
    return ax


def legend(ax: Axes, **settings: Any) -> Any:
    """Return a legend of what is labelled in the axes."""
    made = ax.legend(fontsize=SMALL, title_fontsize=SMALL, frameon=False, handlelength=1.8, **settings)
    for text in (*made.get_texts(), made.get_title()):
        lettered(text, text.get_text())
    return made


def titled(ax: Axes, *parts: str) -> None:
    """Write what a picture shows above axes, in lines as long as a figure is wide."""
    text = "; ".join(part for part in parts if part)
    lettered(ax.set_title("", loc="left", fontsize=SMALL), textwrap.fill(plain(text), LINE))


def percent(share: float) -> str:
    """Return a share in whole percent."""
    return f"{100 * share:.0f} %"


def name_axes(ax: Axes, *, x: str = "", y: str = "", width: int = 40) -> None:
    """Name the axes, as they are: no letter of a name is markup. Long names are wrapped at `width` letters."""
    lettered(ax.set_xlabel("", fontsize=TEXT), wrapped(x, width))
    lettered(ax.set_ylabel("", fontsize=TEXT), wrapped(y, width))


def badge(ax: Axes, component: int, *, at: tuple[float, float]) -> Annotation:
    """Write a component's number on a disc of its colour, which reads on anything."""
    colour = look(component).colour
    # The ring tells it from points of the same colour.
    disc = {"boxstyle": "circle,pad=0.2", "facecolor": colour, "edgecolor": "white", "linewidth": 0.8}
    return ax.annotate(
        str(component), at, ha="center", va="center", fontsize=8, color=text_on(colour), bbox=disc, annotation_clip=True
    )


def at_edge(ax: Axes, x: Floats, colour: str, *, top: bool) -> None:
    """Mark values that lie above or below the picture by arrowheads at its edge."""
    height, marker = (0.985, 6) if top else (0.015, 7)
    ax.plot(
        x,
        np.full(len(x), height),
        transform=ax.get_xaxis_transform(),
        linestyle="none",
        marker=marker,  # arrowheads whose tip is at the point, up and down
        markersize=7,
        color=colour,
        zorder=4,
    )


def signed(value: float) -> str:
    """Return a number in six digits with the minus sign that the axes have."""
    return f"{value:.6g}".replace("-", "\N{MINUS SIGN}")


def lettered(text: Text, content: str) -> Text:
    """Set a text to be shown letter by letter, neither as mathematics nor as TeX, and return it."""
    text.set_parse_math(False)
    text.set_usetex(False)
    text.set_color(NEUTRAL)
    text.set_text("\n".join(plain(line) for line in content.split("\n")))
    return text


def wrapped(name: str, width: int) -> str:
    """Return a name in lines of at most so many letters, the rest of a very long one left out."""
    if not name:
        return ""
    whole = plain(name)
    longest = min(LONGEST_NAME, MOST_LINES * width)
    return textwrap.fill(whole if len(whole) <= longest else f"{whole[: longest - 1]}…", width) or "…"


def plain(text: str) -> str:
    """Return text with only letters that the fonts have: Matplotlib warns of others each time that it draws.

    Others become an empty box, as they would on the screen; marks that only change the letter before them go.
    """
    from matplotlib import font_manager

    known = _known_letters(tuple(font_manager.FontProperties().get_family()))
    letters = []
    for letter in " ".join(text.split()):
        if ord(letter) in known:
            letters.append(letter)
        elif unicodedata.category(letter) not in ("Mn", "Me", "Cf", "Cc"):
            letters.append("□" if ord("□") in known else "?")
    return "".join(letters)


@cache
def _known_letters(families: tuple[str, ...]) -> frozenset[int]:
    """Return the code points that fonts have, where each is looked for in one after the other, as Matplotlib does."""
    from matplotlib import font_manager

    known: set[int] = set()
    for family in families:
        try:
            path = font_manager.findfont(font_manager.FontProperties(family=[family]), fallback_to_default=False)
        except ValueError:
            continue
        known |= set(font_manager.get_font(path).get_charmap())
    return frozenset(known or font_manager.get_font(font_manager.findfont("DejaVu Sans")).get_charmap())


def picture(figure: Figure) -> bytes:
    """Return a figure as PNG with a transparent background, for a notebook."""
    target = io.BytesIO()
    figure.savefig(target, format="png", dpi=RESOLUTION)
    return target.getvalue()
