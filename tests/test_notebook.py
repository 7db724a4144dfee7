"""What a notebook shows: scikit-learn's diagram, and below it the fitted mixture; searches and plans as tables."""

from __future__ import annotations

import re
import sys
from html.parser import HTMLParser

import numpy as np
import pytest
from sklearn import config_context
from sklearn.base import BaseEstimator
from sklearn.mixture import GaussianMixture as SklearnGaussianMixture
from sklearn.utils import estimator_html_repr

from daskgmm import GaussianMixture, plan, select_components
from daskgmm.notebook import fitted_html, selection_html
from tests.drawn import draw

VOID = {"br", "img", "input", "meta", "link", "hr", "path"}
NAMES = ("<script>alert(1)</script>", '"><img src=x onerror=alert(1)>')


class Balanced(HTMLParser):
    """Fails where an element is not closed, or closed by another one's end."""

    def __init__(self):
        super().__init__()
        self.open, self.seen, self.text = [], [], []

    def handle_starttag(self, tag, attrs):
        self.seen.append(tag)
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def parsed(html):
    parser = Balanced()
    parser.feed(html)
    parser.close()
    assert parser.open == []
    return parser


def without_counter(html):
    return re.sub(r"sk-(container|estimator)-id-\d+", "sk-id", html)


@pytest.fixture(scope="module")
def rows():
    return draw("full", n_rows=400, n_features=2, spread=6.0).rows


@pytest.fixture(scope="module")
def mixture(rows):
    return GaussianMixture(3, random_state=0).fit(rows)


def test_before_a_fit_it_is_scikit_learns_diagram():
    unfitted = GaussianMixture(2)
    assert without_counter(unfitted._repr_html_()) == without_counter(estimator_html_repr(unfitted))
    bundle = unfitted._repr_mimebundle_()
    assert without_counter(bundle["text/html"]) == without_counter(estimator_html_repr(unfitted))


def test_after_a_fit_the_mixture_is_below_the_diagram_once(mixture):
    for html in (mixture._repr_html_(), mixture._repr_mimebundle_()["text/html"]):
        assert without_counter(html).startswith(without_counter(estimator_html_repr(mixture)))
        assert html.endswith(fitted_html(mixture))
        assert html.count('class="daskgmm-summary"') == 1


def test_who_wants_text_gets_text(mixture):
    with config_context(display="text"):
        assert not hasattr(mixture, "_repr_html_")
        assert set(mixture._repr_mimebundle_()) == {"text/plain"}
    assert isinstance(mixture, BaseEstimator)


def test_the_summary_says_how_the_fit_went(mixture):
    text = " ".join(parsed(fitted_html(mixture)).text)
    assert "3 full components in 2 features; 400 rows in" in text
    assert "; converged; mean log-likelihood -" in text
    heaviest = int(mixture.weights_.argmax())
    assert f"{heaviest} {mixture.weights_[heaviest]:.6g} {mixture.means_[heaviest, 0]:.6g}" in text


def test_names_are_escaped_and_cut(mixture, rows):
    named = GaussianMixture(1).fit(rows)
    named.feature_names_in_ = np.array([NAMES[0], "x" * 200], dtype=object)
    page = parsed(fitted_html(named))
    assert not {"script", "img"} & set(page.seen)
    assert NAMES[0] in page.text
    assert "x" * 41 not in "".join(page.text)


def test_large_mixtures_are_cut(generator):
    large = SklearnGaussianMixture(12, covariance_type="diag", random_state=0).fit(generator.normal(size=(200, 8)))
    html = fitted_html(GaussianMixture.from_sklearn(large))
    page = parsed(html)
    assert page.seen.count("tr") == 11
    assert html.count("<td") == 10 * 7
    assert "and 2 lighter components and 2 more features" in "".join(page.text)


def test_a_search_is_a_table_with_the_best_marked(rows):
    result = select_components(rows, range(1, 4), random_state=0)
    html = result._repr_html_()
    page = parsed(html)
    assert page.seen.count("tr") == 4
    assert html.count('class="best"') == 1
    marked = html.split('class="best"')[1].split("</tr>")[0]
    assert f">{result.best.n_components}</td>" in marked
    assert "SelectionResult: bic" in "".join(page.text)


def test_what_could_not_be_fitted_is_no_number():
    row = {"n_components": 9, "criterion": float("nan"), "n_passes": None, "problem": NAMES[1]}
    page = parsed(selection_html([row], ["n_components", "criterion", "n_passes"], caption="c", best=None))
    assert "nan" not in page.text
    assert "None" not in page.text
    assert "img" not in page.seen


def test_a_plan_is_a_table_of_what_it_says(rows):
    planned = plan(rows, 2)
    page = parsed(planned._repr_html_())
    assert "rows" in page.text
    assert "400 of 2 features" in page.text
    assert "\u2003process" in page.text
    assert page.seen.count("tr") == len(str(planned).splitlines())


def test_no_picture_is_needed(mixture, rows, monkeypatch):
    for name in [name for name in sys.modules if name.split(".")[0] in ("matplotlib", "jinja2")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "jinja2", None)
    assert fitted_html(mixture) in mixture._repr_html_()
    assert plan(rows, 2)._repr_html_()
