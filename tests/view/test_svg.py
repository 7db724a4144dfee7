"""Figures within a page: self-contained, the same each time, and none in the way of another."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib.figure import Figure

from daskgmm.view.svg import inline_svg


def drawn(label="x", n_points=20):
    figure = Figure(figsize=(4, 3))
    ax = figure.add_subplot()
    ax.scatter(*np.random.default_rng(0).normal(size=(2, n_points)), clip_on=True)
    ax.set_xlabel(label, parse_math=False, color="#767676")
    return figure


def identifiers(svg):
    return [element.get("id") for element in ElementTree.fromstring(svg).iter() if element.get("id")]


def test_the_same_figure_is_the_same_text():
    assert inline_svg(drawn(), "one") == inline_svg(drawn(), "one")


def test_two_figures_share_no_identifier_and_refer_to_their_own():
    one, other = inline_svg(drawn(), "one"), inline_svg(drawn(), "other")
    assert not set(identifiers(one)) & set(identifiers(other))
    assert len(identifiers(one)) > 5
    targets = re.findall(r"url\(#([^)]+)\)|href=\"#([^\"]+)\"", one)
    assert len(targets) > 5
    assert {first or second for first, second in targets} <= set(identifiers(one))


def test_nothing_is_fetched_and_no_date_is_told():
    svg = inline_svg(drawn(), "one")
    found = set(re.findall(r"https?://[^\"'\s]+", svg))
    assert found == {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}
    assert "metadata" not in svg
    assert "<!--" not in svg


@pytest.mark.parametrize(
    "name", ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "a-->b", "$x$ & y", "🦕"]
)
def test_names_are_text_and_nothing_else(name):
    root = ElementTree.fromstring(inline_svg(drawn(name), "one"))
    assert name in ["".join(element.itertext()) for element in root.iter("{http://www.w3.org/2000/svg}text")]
    assert not [element for element in root.iter() if element.tag.endswith(("script", "img"))]


def test_the_page_chooses_the_colour_of_text():
    svg = inline_svg(drawn("neutral"), "one")
    assert "fill: currentColor" in svg
    assert "DejaVu" not in svg


def test_many_marks_become_a_picture():
    svg = inline_svg(drawn(n_points=20_000), "one")
    assert "data:image/png;base64," in svg
    assert len(svg) < 300_000
