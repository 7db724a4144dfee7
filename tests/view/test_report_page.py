"""The page of a report: odd names, and records of a fit that no fit wrote. Pictures are left out."""

from __future__ import annotations

from copy import copy

import numpy as np
import pytest

from daskgmm import GaussianMixture
from daskgmm.view.page_parts import legible
from daskgmm.view.report import describe
from daskgmm.view.report_page import page
from tests.drawn import draw
from tests.html_page import Page

ODD = ("🦕 weight [t]", "x" * 200, "עברית", "a\u202eb\x00c\ud800", "{{ 7 * 7 }} $x^2$ %s")


@pytest.fixture(scope="module")
def mixture():
    rows = draw("full", n_rows=500, n_features=2, spread=4.0).rows
    return GaussianMixture(3, random_state=0, acceleration=None).fit(rows)


@pytest.fixture
def told(mixture):
    """The page of the model without pictures, after something of it was changed."""

    def run(names=None, history=None, record=None):
        changed = copy(mixture)
        if names is not None:
            changed.feature_names_in_ = np.array([legible(name) for name in names], dtype=object)
        if history is not None:
            changed.history_ = history
        return Page(page(describe(changed, "named.gmm", record=record)))

    return run


@pytest.mark.parametrize("pair", [ODD[:2], ODD[2:4], ODD[3:]])
def test_odd_names_are_shown_as_far_as_they_can_be(told, pair):
    text = told(names=pair).text
    for name in pair:
        shown = name.replace("\u202e", "\ufffd").replace("\x00", "\ufffd").replace("\ud800", "\ufffd")
        assert shown in text
        text.encode()
    assert " 49 " not in text


CANDIDATE = {
    "n_components": 1,
    "covariance_type": "<b>",
    "n_parameters": None,
    "log_likelihood": None,
    "criterion": None,
    "n_passes": None,
    "converged": False,
    "problem": "<b>",
}
STEP = {"pass": 1, "phase": "<b>", "lower_bound": None, "change": None, "seconds": 1, "rows": 9, "bytes": 1}


def record_of(data=None, settings=None, **result):
    return {"data": data or {}, "settings": settings or {}, "result": {"criterion": "bic", **result}}


@pytest.mark.parametrize(
    "strange",
    [
        {"history": [{"pass": "x", "phase": "<b>"}, 7, {}]},
        {"history": [{**STEP, "lower_bound": "x"}, {**STEP, "seconds": float("nan")}, {**STEP, "phase": 7}]},
        {"history": [STEP]},
        {"record": ["x"]},
        {"record": {"data": 7, "settings": {}}},
        {"record": record_of({"store": 7}, {"command": "fit"})},
        {"record": record_of({"store": "<b>\n(x)", "shape": "no"}, {"command": "fit", "components": {}, "<b>": "<b>"})},
        {"record": record_of({"store": "s"}, {"command": "select", "covariance_types": [None]}, table=[7])},
        {"record": record_of({"store": "s"}, {"command": ["fit"]}, table={})},
        {"record": record_of(n_components=1, covariance_type="<b>", table=[CANDIDATE])},
        {"record": record_of(n_components=1, covariance_type="<b>", table=[{**CANDIDATE, "problem": 7}])},
    ],
)
def test_a_record_that_no_fit_wrote_breaks_nothing(told, strange):
    assert "b" not in told(**strange).tags
