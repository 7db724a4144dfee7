"""Tables of a report, and the commands that make its mixture again."""

from __future__ import annotations

import numpy as np
import pytest

from daskgmm import GaussianMixture
from daskgmm.view.mixture_tables import correlation_folds, correlation_table, mixture_shown, mixture_tables
from daskgmm.view.page_parts import legible, named, number, printable, shortened
from daskgmm.view.reproduction import command_line, made_of, python_lines
from daskgmm.view.run_tables import history_table
from tests.drawn import draw


def mixture_of(kind, n_features=7):
    drawn = draw(kind, n_features=n_features)
    mixture = GaussianMixture(3, covariance_type=kind, max_iter=0, **drawn.start)
    mixture.weights_, mixture.means_, mixture.covariances_ = drawn.weights, drawn.means, drawn.covariances
    return mixture


def texts(row):
    return [cell.text for cell in row]


def test_features_are_spread_over_tables_that_a_sheet_holds(covariance_type):
    mixture = mixture_of(covariance_type)
    first, second = mixture_tables(mixture_shown(mixture))
    assert [group.name for group in first.groups[2:]] == [f"feature {index}" for index in range(5)]
    assert [group.name for group in second.groups[2:]] == ["feature 5", "feature 6"]
    assert second.caption.endswith("features 6 to 7")
    heaviest = int(mixture.weights_.argmax())
    row = second.rows[0]
    assert texts(row)[:3] == [
        str(heaviest),
        f"{mixture.weights_[heaviest]:.4g}",
        f"{mixture.means_[heaviest, 5]:.4g}",
    ]
    variance = {
        "full": lambda c: c[heaviest, 5, 5],
        "tied": lambda c: c[5, 5],
        "diag": lambda c: c[heaviest, 5],
        "spherical": lambda c: c[heaviest],
    }[covariance_type](mixture.covariances_)
    assert row[3].value == pytest.approx(np.sqrt(variance))


def test_the_strongest_correlations_come_first(covariance_type):
    mixture = mixture_of(covariance_type)
    shown = mixture_shown(mixture)
    table, folds = correlation_table(shown), correlation_folds(shown)
    if covariance_type in ("diag", "spherical"):
        assert (table, folds) == (None, ())
        return
    tied = covariance_type == "tied"
    assert (len(table.rows), len(folds)) == ((3, 1) if tied else (9, 3))
    matrix = mixture.covariances_ if tied else mixture.covariances_[mixture.weights_.argmax()]
    expected = matrix / np.sqrt(np.outer(np.diag(matrix), np.diag(matrix)))
    strongest = np.abs(expected - np.eye(7)).max()
    assert abs(table.rows[0][3].value) == pytest.approx(strongest)
    assert table.rows[0][0].text == ("all" if tied else str(mixture.weights_.argmax()))
    whole = [[cell.value for cell in row[1:]] for row in folds[0].table.rows]
    np.testing.assert_allclose(whole, expected, atol=1e-12)


def test_one_feature_has_no_correlations():
    assert correlation_table(mixture_shown(mixture_of("full", n_features=1))) is None


@pytest.mark.parametrize("value", [None, float("nan"), float("inf"), "7", True])
def test_what_is_no_number_is_a_dash(value):
    assert (number(value).text, number(value).value) == ("\u2013", None)


def test_numbers_keep_their_value():
    assert (number(1234567).text, number(0.123456789).text) == ("1,234,567", "0.1235")
    assert number(0.123456789).value == 0.123456789


def test_text_from_data_is_one_line_that_turns_nothing_around():
    assert legible("a\n\tb \u202e c\x00") == "a b \ufffd c\ufffd"
    assert legible("x" * 400) == "x" * 300 + "\u2026"
    assert printable("a  b\ud800") == "a  b\ufffd"
    assert len(shortened("x" * 400)) == 60
    assert (named("plain"), named("weiß")) == ("plain", "\u2068weiß\u2069")
    family = "👩\u200d🔬"
    assert legible(family) == family


def test_the_last_steps_of_a_long_stream_are_shown():
    step = {"phase": "stepwise", "lower_bound": -1.0, "change": 0.1, "seconds": 0.1, "rows": 5, "bytes": 40}
    table = history_table([{"pass": count, **step} for count in range(1, 301)])
    assert (len(table.rows), table.rows[0][0].text, table.note) == (200, "101", "The first 100 steps are left out.")


def record_of(command, store="s3://bucket/rows.zarr (level/0)", **settings):
    return {"data": {"store": store, "shape": [10, 2]}, "settings": {"command": command, **settings}}


def test_an_update_is_made_again_from_the_model_before():
    made = made_of(record_of("update", decay=0.9, tol=None, **{"from": "some digest"}))
    assert command_line(made, "now.gmm").replace(" \\\n  ", " ") == (
        "daskgmm update before.gmm s3://bucket/rows.zarr -o now.gmm --component level/0 --decay 0.9"
    )
    lines = python_lines(mixture_of("full"), "now.gmm", made)
    assert "mixture = load('before.gmm')" in lines
    assert "mixture.update(X, decay=0.9)" in lines
    compile(lines, "lines", "exec")
    own = made_of(record_of("update", **{"from": "the output itself"}))
    assert command_line(own, "now.gmm").startswith("daskgmm update now.gmm ")


def test_words_are_quoted_for_the_shell_and_for_python():
    made = made_of(record_of("fit", store="it's; rm -rf $HOME", components=2))
    assert command_line(made, "a b.gmm").startswith("daskgmm fit 'it'\"'\"'s; rm -rf $HOME' -o 'a b.gmm'")
    lines = python_lines(mixture_of("full"), "a'b.gmm", made)
    assert 'open_zarr("it\'s; rm -rf $HOME")' in lines
    compile(lines, "lines", "exec")
