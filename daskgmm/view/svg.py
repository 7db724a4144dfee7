"""Figures as SVG that stands within a page of HTML, the same text each time."""

from __future__ import annotations

import io
import re
import warnings
from typing import TYPE_CHECKING
from xml.etree import ElementTree

import numpy as np

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["inline_svg"]

SVG, XLINK = "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"
TEXT = f"{{{SVG}}}text"
HREF = f"{{{XLINK}}}href"
# What is said of the file rather than shown, and a style that would hold for the whole page.
LEFT_OUT = {f"{{{SVG}}}metadata", f"{{{SVG}}}style"}
# The plots' colour of text, which reads on white and on black. A page knows which of them it is.
NEUTRAL, OF_THE_PAGE = "#767676", "currentColor"
FONTS = re.compile(r"font-family: [^;]*; ")
"""Those that matplotlib has; letters come from the page's."""
# More marks than this are drawn as one picture: as text they would take a hundred bytes each.
MOST_MARKS = 500
# How many pixels wide a point of the figure is, at least and at most. Its text is of ten points: on a narrow screen it
# stays legible, and what is still wider than the screen is scrolled.
POINTS, LEAST, MOST = 72, 0.8, 1.7
# Of such pictures, in dots an inch: sharp on screens of two pixels a point.
RESOLUTION = 200


def inline_svg(figure: Figure, name: str) -> str:
    """Return a figure as an SVG element.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
    name : str
        A word that no other figure of the page has: its identifiers begin with it.

    Returns
    -------
    str
        One element, without a declaration, metadata, dates, comments or references to anything outside it. Text stays
        text: the reader's fonts have letters that matplotlib's lack, and it can be searched.
    """
    import matplotlib

    _draw_many_marks_as_pictures(figure)
    target = io.BytesIO()
    # Neither the date nor random identifiers: the same figure is the same text.
    with matplotlib.rc_context({"svg.hashsalt": name, "svg.fonttype": "none"}), warnings.catch_warnings():
        # It measures text with its own fonts; the page shows it with the reader's.
        warnings.filterwarnings("ignore", message=r"Glyph \d+ .* missing from")
        figure.savefig(target, format="svg", transparent=True, dpi=RESOLUTION, metadata={"Date": None})
    root = ElementTree.fromstring(target.getvalue())
    _leave_out(root)
    _rename(root, name)
    for size in ("width", "height"):
        root.attrib.pop(size, None)
    width = figure.get_figwidth() * POINTS
    root.set("style", f"min-width: {LEAST * width:.0f}px; max-width: {MOST * width:.0f}px")
    # What a reader hears is said around it, once.
    root.set("aria-hidden", "true")
    ElementTree.register_namespace("", SVG)
    ElementTree.register_namespace("xlink", XLINK)
    return ElementTree.tostring(root, encoding="unicode")


def _draw_many_marks_as_pictures(figure: Figure) -> None:
    from matplotlib.collections import Collection, QuadMesh

    for artist in figure.findobj(Collection):
        many = isinstance(artist, QuadMesh) or np.shape(artist.get_offsets())[0] > MOST_MARKS
        if many or len(artist.get_paths()) > MOST_MARKS:
            artist.set_rasterized(True)


def _leave_out(root: ElementTree.Element) -> None:
    for parent in list(root.iter()):
        for child in [one for one in parent if one.tag in LEFT_OUT]:
            parent.remove(child)


def _rename(root: ElementTree.Element, name: str) -> None:
    """Put a name before each identifier and what refers to it, and let the page choose fonts and colour of text."""
    for element in root.iter():
        for key, value in element.attrib.items():
            if key == "id":
                element.set(key, f"{name}-{value}")
            elif key == HREF and value.startswith("#"):
                element.set(key, f"#{name}-{value[1:]}")
            elif "url(#" in value:
                element.set(key, value.replace("url(#", f"url(#{name}-"))
            elif key == "style" and element.tag == TEXT:
                element.set(key, FONTS.sub("", value.replace(NEUTRAL, OF_THE_PAGE)))
