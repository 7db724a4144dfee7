"""Pictures of runs: passes of a fit, candidates of a search, and drift."""

from __future__ import annotations

import math

import numpy as np
import pytest
from matplotlib.figure import Figure
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.mixture import GaussianMixture as SklearnGaussianMixture

from daskgmm import GaussianMixture, SelectionResult, select_components
from daskgmm.drift import Drift, measure_drift
from daskgmm.errors import ParameterError
from daskgmm.view.plots import ConvergenceDisplay, DriftDisplay, SelectionDisplay
from tests.pictures import rendered, rows_of, texts, three


@pytest.fixture(scope="module")
def rows():
    return rows_of(three(), 600)[0]


@pytest.fixture(scope="module")
def fitted(rows):
    return GaussianMixture(3, random_state=0, acceleration=None).fit(rows)


def step(n_passes, phase, lower_bound):
    return {"pass": n_passes, "phase": phase, "lower_bound": lower_bound}


HISTORY = [
    step(1, "first-look", None),
    step(1, "sample", -4.9),
    step(2, "em", -5.3),
    step(2, "em", -5.4),
    step(3, "accelerated", -5.1),
    step(4, "rejected", -5.2),
    step(5, "accelerated", -5.05),
    step(6, "accelerated", -5.04),
]


def test_phases_are_told_apart():
    display = ConvergenceDisplay(history=HISTORY, converged=True).plot()
    assert list(display.points_) == ["sample", "em", "accelerated", "rejected"]
    looks = {(line.get_marker(), line.get_color()) for line in display.points_.values()}
    assert len({marker for marker, _ in looks}) == len({colour for _, colour in looks}) == 4
    assert display.points_["rejected"].get_markerfacecolor() == "none"
    assert display.points_["em"].get_markerfacecolor() != "none"
    np.testing.assert_array_equal(display.points_["em"].get_xydata(), [[2, -5.3], [2, -5.4]])
    assert display.ax_.get_title(loc="left").startswith("converged after 6 passes at \N{MINUS SIGN}5.04 nats a row")
    rendered(display)


def test_the_best_so_far_rises_and_leaves_out_the_sample_and_what_was_rejected():
    display = ConvergenceDisplay(history=HISTORY).plot()
    np.testing.assert_array_equal(display.best_.get_xdata(), [2, 2, 3, 5, 6])
    np.testing.assert_array_equal(display.best_.get_ydata(), [-5.3, -5.3, -5.1, -5.05, -5.04])
    assert set(display.stop_.get_xdata()) == {6}


def test_a_first_value_far_below_leaves_the_others_the_picture():
    far = [step(1, "em", -5e6), *HISTORY[2:]]
    display = ConvergenceDisplay(history=far).plot()
    low, high = display.ax_.get_ylim()
    assert -6 < low < -5.4
    assert -5.04 < high < -4.9
    assert "1 lower, down to \N{MINUS SIGN}5e+06" in display.ax_.get_title(loc="left").replace("\n", " ")


def test_gains_that_are_nothing_are_not_magnified():
    display = ConvergenceDisplay(history=[step(1, "em", -3.0), step(2, "em", -3.0 + 1e-9)]).plot()
    assert np.ptp(display.ax_.get_ylim()) >= 2e-6


def test_a_fit_of_ours_and_one_of_scikit_learns_are_drawn(fitted, rows):
    display = ConvergenceDisplay.from_estimator(fitted)
    told = [entry for entry in fitted.history_ if entry["lower_bound"] is not None]
    assert sum(len(line.get_xdata()) for line in display.points_.values()) == len(told)
    with pytest.warns(ConvergenceWarning):
        theirs = SklearnGaussianMixture(3, random_state=0, max_iter=3).fit(rows)
    display = ConvergenceDisplay.from_estimator(theirs)
    np.testing.assert_allclose(display.points_["em"].get_ydata(), theirs.lower_bounds_)
    assert "stopped before it converged" in display.ax_.get_title(loc="left")


def test_a_fit_of_one_step_and_one_of_equal_steps_are_drawn():
    for history in ([step(1, "em", -3.0)], [step(n, "em", -3.0) for n in range(1, 5)], [step(0, "stepwise", 0.0)]):
        ConvergenceDisplay(history=history).plot().figure_.draw_without_rendering()


def test_what_tells_nothing_of_its_fit_is_refused(fitted):
    with pytest.raises(NotFittedError):
        ConvergenceDisplay.from_estimator(GaussianMixture())
    bare = GaussianMixture.from_sklearn(fitted.to_sklearn())
    bare.lower_bounds_ = []
    with pytest.raises(ParameterError, match="neither history_ nor lower_bounds_"):
        ConvergenceDisplay.from_estimator(bare)


def candidate(n_components, kind, criterion, problem=""):
    return {"n_components": n_components, "covariance_type": kind, "criterion": criterion, "problem": problem}


TABLE = [
    candidate(3, "full", 120.0),
    candidate(1, "full", 900_000.0),
    candidate(2, "full", 150.0),
    candidate(4, "full", math.nan, "a covariance collapsed"),
    candidate(1, "diag", 160.0),
    candidate(2, "diag", 110.0),
    candidate(3, "diag", 130.0, "stopped: it lies behind"),
    candidate(4, "diag", None, "a covariance collapsed"),
]


def test_there_is_a_line_for_each_covariance_type_and_the_best_is_ringed():
    result = SelectionResult("bic", TABLE, [], GaussianMixture(), 7)
    display = SelectionDisplay.from_result(result)
    np.testing.assert_array_equal(display.lines_["full"].get_xydata(), [[1, 900_000], [2, 150], [3, 120]])
    np.testing.assert_array_equal(display.lines_["diag"].get_xydata(), [[1, 160], [2, 110]])
    assert display.lines_["full"].get_color() != display.lines_["diag"].get_color()
    assert display.lines_["full"].get_marker() != display.lines_["diag"].get_marker()
    np.testing.assert_array_equal(display.best_.get_xydata(), [[2, 110]])
    np.testing.assert_array_equal(display.stopped_["diag"].get_xydata(), [[3, 130]])
    assert display.stopped_["diag"].get_markerfacecolor() == "none"
    assert [line.get_xdata().tolist() for line in display.failed_.values()] == [[4], [4]]
    assert display.ax_.get_ylim()[1] < 300
    assert "1 lies above, up to 900,000" in display.ax_.get_title(loc="left").replace("\n", " ")
    assert display.ax_.get_ylabel() == "BIC"
    rendered(display)


def test_a_search_is_drawn(rows):
    result = select_components(rows, [2, 3], covariance_types=["full", "tied"], random_state=0, acceleration=None)
    display = SelectionDisplay.from_result(result)
    wanted = min(row["criterion"] for row in result.table)
    assert display.best_.get_ydata()[0] == wanted
    assert display.best_.get_xdata()[0] == result.best.n_components


def test_a_search_in_which_nothing_could_be_fitted_is_refused():
    with pytest.raises(ParameterError, match="at least one candidate"):
        SelectionDisplay(table=TABLE[3:4], criterion="bic").plot()


def test_drift_shows_both_distributions_and_the_shares(fitted, rows):
    drift = measure_drift(fitted, rows + 1.0)
    display = DriftDisplay.from_drift(drift)
    np.testing.assert_array_equal(display.then_.get_ydata(), drift.shares_below_before)
    np.testing.assert_array_equal(display.now_.get_ydata(), drift.shares_below_now)
    # The line between the curves is as long as the distance that the title tells.
    assert abs(np.ptp(display.distance_.get_ydata())) == pytest.approx(drift.ks_distance)
    for bars, shares in zip(display.bars_, (drift.shares_before, drift.shares_now), strict=True):
        np.testing.assert_array_equal([bar.get_height() for bar in bars], shares)
    title = display.ax_.get_title(loc="left")
    assert f"{drift.psi:.3g}" in title
    assert f"{drift.ks_distance:.3g}" in title
    assert len(display.axes_) == 2
    rendered(display)
    assert all(text.get_fontsize() >= 8 for text in texts(display.figure_))


def made_drift(n_components, log_densities):
    shares = np.full(n_components, 1 / n_components)
    below = np.linspace(0.2, 0.8, len(log_densities))
    return Drift(
        log_density_psi=0.0,
        component_psi=0.0,
        expected_psi=0.1,
        ks_distance=0.0,
        shares_before=shares,
        shares_now=shares,
        mean_log_likelihood=-1.0,
        n_samples=10,
        n_samples_before=10,
        log_densities=np.asarray(log_densities, dtype=float),
        shares_below_before=below,
        shares_below_now=below,
    )


def test_of_thousands_of_components_the_largest_have_bars():
    display = DriftDisplay.from_drift(made_drift(3000, [-3.0, -2.0]))
    assert len(display.components_) == 20
    assert "20 largest of 3,000" in display.axes_[1].get_title(loc="left")


def test_rows_that_were_all_alike_have_no_curve():
    display = DriftDisplay.from_drift(made_drift(1, []))
    assert display.distance_ is None
    assert any("all alike" in text.get_text() for text in texts(display.figure_))
    rendered(display)


def test_axes_given_show_the_log_densities_alone():
    ax = Figure().subplots()
    display = DriftDisplay.from_drift(made_drift(2, [-3.0, -2.0]), ax=ax)
    assert display.ax_ is ax
    assert display.bars_ == ()
