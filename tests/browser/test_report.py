"""The report as a reader meets it: opened in a real browser, on a phone and on a desk, by mouse and by keyboard."""

from __future__ import annotations

import base64
import contextlib
import itertools
from dataclasses import replace

import numpy as np
import pytest
import zarr
from click.testing import CliRunner
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from daskgmm.cli import main
from daskgmm.storage.model_file import load_model, save_model
from tests.drawn import draw

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

NAMES = ("<script>window.broken = 1</script>", '"><img src=x onerror="window.broken = 2">', "🦕 " + "x" * 200, "עברית")

COLUMN = """
const [caption, column] = arguments;
const table = Array.from(document.querySelectorAll("table")).find((one) => one.caption.textContent.startsWith(caption));
return Array.from(table.tBodies[0].rows, (row) => row.cells[column].textContent.trim());
"""
BUTTON = """
const [caption, column] = arguments;
const table = Array.from(document.querySelectorAll("table")).find((one) => one.caption.textContent.startsWith(caption));
return table.querySelector("tr.heads").cells[column].querySelector("button");
"""
SORTED = "return arguments[0].closest('th').getAttribute('aria-sort')"
NOTHING = "\u2013"
MIXTURE, STEPS = "Weights, means", "Steps of the fit"


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """A page with every section, whose names want to be markup."""
    folder = tmp_path_factory.mktemp("report")
    rows = draw("full", n_rows=3000, n_features=4, spread=4.0).rows
    for name, values in (("rows.zarr", rows), ("new.zarr", rows + 2.0)):
        zarr.create_array(folder / name, data=values, chunks=(1000, 4))
    with contextlib.chdir(folder):
        run = CliRunner(catch_exceptions=False).invoke
        assert run(main, ["select", "rows.zarr", "-o", "model.gmm", "--components", "1:4"]).exit_code == 0
        named("model.gmm")
        result = run(main, ["report", "model.gmm", "--data", "new.zarr", "-o", "report.html"])
    assert result.exit_code == 0, result.output
    return folder / "report.html"


def named(path):
    """Give the features of a model file names, and leave all else as it is."""
    save_model(replace(load_model(path), feature_names=NAMES), path)


@pytest.fixture
def window(browser, page):
    """The page, freshly opened at a desk."""
    browser.prefer("light")
    browser.resize(1280)
    browser.open(page)
    return browser


def numbers(window, caption, column):
    return [float(text.replace(",", "")) for text in window.run(COLUMN, caption, column) if text != NOTHING]


def test_the_page_has_every_section_and_no_complaint(window):
    heads = [head.text for head in window.driver.find_elements(By.TAG_NAME, "h2")]
    assert heads == [
        "Before you rely on it",
        "Data and settings",
        "The mixture",
        "Passes and time",
        "Selection",
        "These rows against those of the fit",
        "How to make it again",
    ]
    assert window.run("return document.querySelectorAll('figure svg').length") == 5
    assert window.complaints() == []


def test_nothing_that_came_from_data_runs(window):
    assert window.run("return window.broken") is None
    assert window.run("return document.querySelectorAll('img, script').length") == 1
    assert NAMES[0] in window.driver.find_element(By.ID, "data").text


def test_the_page_forbids_scripts_that_are_not_its_own(window):
    window.run(
        "const one = document.createElement('script'); one.textContent = 'window.broken = 3'; document.body.append(one)"
    )
    assert window.run("return window.broken") is None
    assert any("Content Security Policy" in message for message in window.complaints())


@pytest.mark.parametrize("width", [320, 768, 1280])
def test_the_page_never_moves_sideways(window, width):
    window.resize(width)
    assert window.run("return document.documentElement.scrollWidth") <= width
    beyond = """
    const boxes = Array.from(document.querySelectorAll("main *")).filter((one) => !one.closest(".scroll"));
    return boxes.filter((one) => one.getBoundingClientRect().right > innerWidth + 1).length;
    """
    assert window.run(beyond) == 0
    # Letters in pictures stay letters.
    heights = window.run(
        "return Array.from(document.querySelectorAll('svg text'), (one) => one.getBoundingClientRect()).map("
        "(box) => Math.min(box.width, box.height)).filter((size) => size > 0)"
    )
    assert min(heights) > 3


def test_a_click_sorts_a_table_both_ways(window):
    before = numbers(window, MIXTURE, 2)
    button = window.run(BUTTON, MIXTURE, 2)
    assert before != sorted(before)
    button.click()
    assert numbers(window, MIXTURE, 2) == sorted(before)
    assert window.run(SORTED, button) == "ascending"
    button.click()
    assert numbers(window, MIXTURE, 2) == sorted(before, reverse=True)
    assert window.run(SORTED, button) == "descending"
    other = window.run(BUTTON, MIXTURE, 1)
    other.click()
    assert (window.run(SORTED, button), window.run(SORTED, other)) == (None, "ascending")


@pytest.mark.parametrize("key", [Keys.ENTER, Keys.SPACE])
def test_keys_sort_a_table_both_ways(window, key):
    before = numbers(window, MIXTURE, 1)
    button = window.run(BUTTON, MIXTURE, 1)
    button.send_keys(key)
    assert numbers(window, MIXTURE, 1) == sorted(before)
    button.send_keys(key)
    assert numbers(window, MIXTURE, 1) == sorted(before, reverse=True)


def test_what_has_no_number_stays_last(window):
    button = window.run(BUTTON, STEPS, 3)
    for _ in range(2):
        button.click()
        texts = window.run(COLUMN, STEPS, 3)
        assert texts[-1] == NOTHING
        assert NOTHING not in texts[: -texts.count(NOTHING)]


def test_words_are_sorted_as_words(window):
    window.run(BUTTON, STEPS, 2).click()
    words = window.run(COLUMN, STEPS, 2)
    assert words == sorted(words, key=str.lower)


def test_the_tab_key_reaches_every_control_in_order(window):
    body = window.driver.find_element(By.TAG_NAME, "body")
    body.send_keys(Keys.TAB)
    assert window.run("return document.activeElement.className") == "skip"
    shown = "const box = document.activeElement.getBoundingClientRect(); return box.left >= 0 && box.top >= 0"
    assert window.run(shown)
    wanted = window.run("return document.querySelectorAll('a, th button, summary').length")
    # In a fold that is closed nothing is reached.
    hidden = window.run("return document.querySelectorAll('details:not([open]) th button').length")
    tops, reached = [], 1
    for _ in range(wanted + 40):
        window.driver.switch_to.active_element.send_keys(Keys.TAB)
        tag = window.run("return document.activeElement.tagName")
        if tag == "BODY":
            break
        if tag in ("A", "BUTTON", "SUMMARY"):
            reached += 1
            outline = window.run("return getComputedStyle(document.activeElement).outlineStyle")
            assert outline == "solid"
            tops.append(window.run("return document.activeElement.getBoundingClientRect().top + scrollY"))
    assert reached == wanted - hidden
    assert all(next_one >= one - 40 for one, next_one in itertools.pairwise(tops))


def test_the_skip_link_leads_to_the_report(window):
    window.driver.find_element(By.TAG_NAME, "body").send_keys(Keys.TAB)
    window.driver.switch_to.active_element.send_keys(Keys.ENTER)
    assert window.run("return document.activeElement.id") == "main"


def luminance(colour):
    values = [int(value) / 255 for value in colour.removeprefix("rgb(").removesuffix(")").split(",")]
    linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in values]
    return float(np.dot([0.2126, 0.7152, 0.0722], linear))


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_reads_on_its_background(window, scheme):
    """4.5:1 at least, as WCAG 2 asks for."""
    window.prefer(scheme)
    paper = luminance(window.run("return getComputedStyle(document.body).backgroundColor"))
    assert (paper > 0.5) == (scheme == "light")
    for place in ("body", ".lead", "dt", "figcaption", "a[href='#data']", "th button", ".note, p"):
        ink = luminance(window.run("return getComputedStyle(document.querySelector(arguments[0])).color", place))
        assert (max(ink, paper) + 0.05) / (min(ink, paper) + 0.05) >= 4.5, place
    ink = luminance(window.run("return getComputedStyle(document.querySelector('svg text')).fill"))
    assert (max(ink, paper) + 0.05) / (min(ink, paper) + 0.05) >= 4.5


def test_the_page_prints_with_its_folds_open_and_closes_them_again(window):
    window.run(
        "window.seen = 0; const count = () => { seen = document.querySelectorAll('details[open]').length };"
        "addEventListener('beforeprint', count)"
    )
    assert base64.b64decode(window.pdf()).startswith(b"%PDF-")
    assert window.run("return [seen > 0, document.querySelectorAll('details[open]').length]") == [True, 0]


def test_no_table_is_cut_on_paper(window):
    """At the width of A4 less its margins, 180 mm."""
    window.prefer("dark", media="print")
    window.resize(680)
    window.run("for (const one of document.querySelectorAll('details')) one.open = true")
    tables = window.run(
        "return Array.from(document.querySelectorAll('table'), (one) => one.getBoundingClientRect().right)"
    )
    assert len(tables) > 6
    assert max(tables) <= 680
    assert luminance(window.run("return getComputedStyle(document.body).backgroundColor")) > 0.9
