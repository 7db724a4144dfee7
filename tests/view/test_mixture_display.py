"""What `MixtureDisplay` draws, by its artists, and what it says of what it cannot draw."""

from __future__ import annotations

import sys

import dask.array as da
import numpy as np
import pytest
from matplotlib.collections import PolyCollection
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from scipy import stats
from sklearn.exceptions import NotFittedError
from sklearn.mixture import GaussianMixture as SklearnGaussianMixture

from daskgmm import GaussianMixture
from daskgmm.errors import DaskGMMError, InputDataError, ParameterError
from daskgmm.view.panels import FeaturePanel, PairPanel
from daskgmm.view.plots import MixtureDisplay
from tests.pictures import NEUTRAL, mixture, rendered, rows_of, texts, three

ONE = mixture([0.6, 0.4], [[0.0], [5.0]], [[1.0], [0.25]], "diag", ["weight (t)"])
HOSTILE = [
    "$x_1^2$ is $\\frac{$",
    "<b>&amp;\n\t",
    "🦖\U000e0067 weight",
    "\\frac{1}{",
    "a" * 300,
    "\ud800",
    "",
    "%d {0}",
]


def test_density_lines_are_those_of_scipy():
    display = MixtureDisplay.from_estimator(ONE)
    (panel,) = display.panels_
    parts = [0.6 * stats.norm.pdf(panel.lines[0].get_xdata(), 0.0, 1.0)]
    parts.append(0.4 * stats.norm.pdf(panel.lines[1].get_xdata(), 5.0, 0.5))
    for line, part in zip(panel.lines, parts, strict=True):
        np.testing.assert_allclose(line.get_ydata(), part, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(panel.total.get_ydata(), sum(parts), rtol=1e-10, atol=1e-12)
    # The peak of the narrower one is on the line, not beside it.
    assert panel.total.get_ydata().max() == pytest.approx(0.4 / (0.5 * np.sqrt(2 * np.pi)), rel=1e-3)
    assert display.ax_.get_xlabel() == "weight (t)"
    assert panel.histogram is None


def test_a_narrow_component_is_drawn_to_its_peak():
    panel = MixtureDisplay.from_estimator(mixture([0.5, 0.5], [[0.0], [5e5]], [[1e10], [1.0]], "diag")).panels_[0]
    assert panel.total.get_ydata().max() == pytest.approx(0.5 / np.sqrt(2 * np.pi), rel=1e-3)


@pytest.mark.parametrize("n_rows", [40, 5000])
def test_the_histogram_integrates_to_one(n_rows):
    rows, _ = rows_of(mixture([0.6, 0.4], [[0.0], [5.0]], [[[1.0]], [[0.25]]]), n_rows)
    (panel,) = MixtureDisplay.from_estimator(mixture(ONE.weights_, ONE.means_, ONE.covariances_, "diag"), rows).panels_
    heights, edges, _ = panel.histogram.get_data()
    assert (heights * np.diff(edges)).sum() == pytest.approx(1.0, abs=1e-12)
    counted = np.histogram(rows[:, 0], edges)[0]
    np.testing.assert_allclose(heights * np.diff(edges) * n_rows, counted, atol=1e-9)


def test_ellipses_are_at_one_two_and_three_standard_deviations():
    given = three()
    (panel,) = MixtureDisplay.from_estimator(given).panels_
    assert panel.components == (0, 1, 2)
    for component, ellipses in enumerate(panel.ellipses):
        roots = np.sqrt(np.linalg.eigvalsh(given.covariances_[component]))
        for n_sigmas, ellipse in enumerate(ellipses, 1):
            np.testing.assert_allclose((ellipse.height, ellipse.width), 2 * n_sigmas * roots, rtol=1e-9)
            np.testing.assert_allclose(ellipse.get_center(), given.means_[component])
            # A point of the patch, as it is drawn, has that Mahalanobis distance.
            path = ellipse.get_patch_transform().transform(ellipse.get_path().vertices[:1])[0]
            off = path - given.means_[component]
            distance = np.sqrt(off @ np.linalg.solve(given.covariances_[component], off))
            assert distance == pytest.approx(n_sigmas, rel=1e-6)
    widths = [ellipses[0].get_linewidth() for ellipses in panel.ellipses]
    assert widths == sorted(widths, reverse=True)
    assert len({to_hex(ellipses[0].get_edgecolor()) for ellipses in panel.ellipses}) == 3


def test_many_rows_are_counted_in_hexagons_and_few_are_points():
    given = three()
    rows, _ = rows_of(given, 5000)
    (panel,) = MixtureDisplay.from_estimator(given, rows).panels_
    assert isinstance(panel.background, PolyCollection)
    # The shade is the root of the count.
    assert (np.asarray(panel.background.get_array()) ** 2).sum() == pytest.approx(5000)
    (panel,) = MixtureDisplay.from_estimator(given, rows[:300]).panels_
    np.testing.assert_array_equal(panel.background.get_offsets(), rows[:300])


def test_only_a_sample_of_the_rows_is_kept_and_it_depends_on_the_seed_alone():
    X = da.random.default_rng(0).normal(size=(50_000, 2), chunks=(9_000, 2))
    displays = [MixtureDisplay.from_estimator(three(), X, random_state=seed) for seed in (0, 0, 1)]
    samples = [display.sample.rows for display in displays]
    assert [len(sample) for sample in samples] == [20_000] * 3
    assert displays[0].sample.n_samples == 50_000
    np.testing.assert_array_equal(samples[0], samples[1])
    assert not np.array_equal(samples[0], samples[2])
    assert "20,000 of 50,000 rows" in displays[0].ax_.get_title(loc="left")


def test_a_store_is_read(tmp_path):
    import zarr

    rows, _ = rows_of(three(), 500)
    zarr.create_array(str(tmp_path / "rows.zarr"), data=rows, chunks=(100, 2))
    display = MixtureDisplay.from_estimator(three(), tmp_path / "rows.zarr")
    np.testing.assert_array_equal(display.sample.rows, rows)


def test_several_features_make_a_corner():
    display = MixtureDisplay.from_estimator(three(3, ["a", "b", "c"]), da.from_array(rows_of(three(3), 3000)[0]))
    present = [[one is not None for one in row] for row in display.axes_]
    assert present == [[True, False, False], [True, True, False], [True, True, True]]
    kinds = [type(panel) for panel in display.panels_]
    assert kinds == [FeaturePanel, PairPanel, FeaturePanel, PairPanel, PairPanel, FeaturePanel]
    # Below the diagonal the column is across, as everywhere in the corner.
    across_a_up_b = display.panels_[1].ellipses[0][0]
    np.testing.assert_allclose(across_a_up_b.get_center(), three(3).means_[0, :2])
    assert [ax.get_xlabel() for ax in display.axes_[2]] == ["a", "b", "c"]
    assert [display.axes_[row, 0].get_ylabel() for row in (1, 2)] == ["b", "c"]
    key = [text for text in texts(display.figure_) if text.get_text() == "0: 50.0%"]
    assert len(key) == 1
    rendered(display)


def test_of_many_features_those_that_separate_components_best_are_drawn():
    means = np.zeros((2, 9))
    means[1, [1, 3, 4, 6, 8]] = [5, 6, 7, 8, 9]
    display = MixtureDisplay.from_estimator(mixture([0.5, 0.5], means, np.ones((2, 9)), "diag"))
    assert display.features == (1, 3, 4, 6, 8)
    assert any("5 of 9 features" in text.get_text() for text in texts(display.figure_))


def test_features_are_chosen_by_name_or_number():
    given = three(4, ["a", "b", "c", "d"])
    assert MixtureDisplay.from_estimator(given, features=["d", 1]).features == (3, 1)
    assert MixtureDisplay.from_estimator(given, features="c").features == (2,)
    assert MixtureDisplay.from_estimator(given, features=np.int64(2)).features == (2,)


@pytest.mark.parametrize(
    ("features", "message"),
    [
        ("wieght", "nearest names are 'weight'"),
        (["weight", 0], "'weight' comes twice"),
        ([], "1 to 10"),
        (7, "from 0 to 2"),
        (-1, "from 0 to 2"),
        (1.5, "names or column numbers; got 1.5"),
        (True, "names or column numbers; got True"),
        ("height", "2 features are named 'height'"),
    ],
)
def test_features_that_cannot_be_drawn_are_refused(features, message):
    with pytest.raises(ParameterError, match=message):
        MixtureDisplay.from_estimator(three(3, ["weight", "height", "height"]), features=features)


@pytest.mark.parametrize("unfitted", [GaussianMixture(2), SklearnGaussianMixture(2), "model.gmm", None])
def test_an_unfitted_mixture_is_refused(unfitted):
    with pytest.raises(NotFittedError, match="expected a fitted mixture"):
        MixtureDisplay.from_estimator(unfitted)


def test_other_features_nan_and_no_rows_are_refused():
    with pytest.raises(InputDataError, match="3 features"):
        MixtureDisplay.from_estimator(three(), da.zeros((10, 3)))
    with pytest.raises(DaskGMMError, match="row 1"):
        MixtureDisplay.from_estimator(three(), np.array([[0.0, 1.0], [np.nan, 2.0]]))
    empty = da.ones((10, 2))
    with pytest.raises(InputDataError, match="0 rows"):
        MixtureDisplay.from_estimator(three(), empty[empty[:, 0] > 2])
    with pytest.raises(TypeError, match=r"expected matplotlib\.axes\.Axes"):
        MixtureDisplay.from_estimator(three(), ax="left")


EDGES = {
    "one component": mixture([1.0], [[0.0, 0.0]], [np.eye(2)]),
    "a constant feature": mixture([0.5, 0.5], [[0.0, 7.0], [3.0, 7.0]], [[1.0, 1e-6]] * 2, "diag"),
    "far from the origin": mixture([0.5, 0.5], [[1e8, -1e8], [1e8 + 3, -1e8]], [[1.0, 1e-6]] * 2, "diag"),
    "no width beside the offset": mixture([1.0], [[1e16, 1.0]], [[1e-6, 1.0]], "diag"),
    "huge": mixture([0.5, 0.5], [[0.0, 0.0], [1e150, 3e149]], [[1e298, 1e298]] * 2, "diag"),
    "tiny": mixture([0.5, 0.5], [[0.0, 0.0], [1e-150, 3e-149]], [[1e-298, 1e-298]] * 2, "diag"),
    "different units": mixture([0.5, 0.5], [[0.0, 0.0], [1e8, 1e-8]], [[1e15, 1e-17]] * 2, "diag"),
    "an empty component": mixture([1.0, 0.0], [[0.0, 0.0], [3.0, 3.0]], [[1.0, 1.0]] * 2, "diag"),
    "a collapsed component": mixture([0.99, 0.01], [[0.0, 0.0], [1.0, 1.0]], [[1.0, 1.0], [1e-12, 1e-12]], "diag"),
    "tied": mixture([0.5, 0.5], [[0.0, 0.0], [3.0, 3.0]], [[1.0, 0.999999], [0.999999, 1.0]], "tied"),
}


@pytest.mark.parametrize("name", EDGES)
def test_unusual_mixtures_and_a_single_row_make_pictures(name):
    given = EDGES[name]
    both = MixtureDisplay.from_estimator(given, given.means_[:1])
    alone = MixtureDisplay.from_estimator(given, features=1)
    for display, feature in ((both, 0), (alone, 1)):
        left, right = display.ax_.get_xlim()
        assert left < given.means_[0, feature] < right
        rendered(display)


def test_a_collapsed_component_leaves_the_others_some_room():
    display = MixtureDisplay.from_estimator(EDGES["a collapsed component"], features=0)
    (panel,) = display.panels_
    # Its peak is 0.01 / (1e-6 sqrt(2 pi)), that of the other 0.99 / sqrt(2 pi).
    assert 0.99 / np.sqrt(2 * np.pi) < display.ax_.get_ylim()[1] < 0.5
    assert panel.highest == pytest.approx(0.01 / (1e-6 * np.sqrt(2 * np.pi)), rel=1e-3)
    assert "peaks up to 3.99e+03 cut off" in display.ax_.get_title(loc="left")
    assert MixtureDisplay.from_estimator(ONE).panels_[0].highest is None


def test_thousands_of_components_show_their_sum_and_the_heaviest():
    weights = np.r_[np.full(3000, 0.5 / 3000), np.full(10, 0.05)]
    means = np.random.default_rng(0).normal(size=(3010, 2)) * 20
    display = MixtureDisplay.from_estimator(mixture(weights, means, np.ones(3010), "spherical"))
    (panel,) = display.panels_
    assert len(panel.ellipses) == 24
    assert set(panel.components[:10]) == set(range(3000, 3010))
    assert panel.badges == ()
    assert "24 heaviest drawn, 50 % of the weight" in display.ax_.get_title(loc="left").replace("\n", " ")
    line = MixtureDisplay.from_estimator(mixture(weights, means, np.ones(3010), "spherical"), features=0).panels_[0]
    at = line.total.get_xdata()[::50]
    wanted = (weights * stats.norm.pdf(at[:, None], means[:, 0], 1.0)).sum(axis=1)
    np.testing.assert_allclose(line.total.get_ydata()[::50], wanted, rtol=1e-10, atol=1e-14)


def test_names_are_shown_letter_by_letter():
    given = three(len(HOSTILE), HOSTILE)
    svg = rendered(MixtureDisplay.from_estimator(given, features=[0, 1]))
    assert "$x_1^2$ is $\\frac{$" in svg
    assert "&lt;b&gt;&amp;amp;" in svg
    for pair in ([2, 3], [4, 5], [6, 7]):
        rendered(MixtureDisplay.from_estimator(given, features=pair))
    # An emoji that the font lacks becomes a box, and what only varied it goes.
    display = MixtureDisplay.from_estimator(given, features=2)
    assert display.ax_.get_xlabel() == "□ weight"
    units = MixtureDisplay.from_estimator(three(2, ["temperature (°C)", "Δt (µs) ± 5 %"]))
    assert (units.ax_.get_xlabel(), units.ax_.get_ylabel()) == ("temperature (°C)", "Δt (µs) ± 5 %")


def test_figures_look_alike_on_white_and_black_and_pyplot_is_left_alone():
    display = MixtureDisplay.from_estimator(three(3), rows_of(three(3), 300)[0])
    assert display.figure_.get_facecolor()[3] == 0
    for ax in filter(None, display.axes_.ravel()):
        assert ax.patch.get_alpha() == 0
    for text in texts(display.figure_):
        assert to_hex(text.get_color()).upper() == NEUTRAL
        assert text.get_fontsize() >= 8
    pyplot = sys.modules.get("matplotlib.pyplot")
    assert pyplot is None or not pyplot.get_fignums()
    assert display._repr_png_().startswith(b"\x89PNG")


def test_axes_given_are_drawn_on():
    figure = Figure()
    left, right = figure.subplots(1, 2)
    display = MixtureDisplay.from_estimator(three(), ax=left)
    assert display.ax_ is left
    assert display.figure_ is figure
    assert display.plot(ax=right).ax_ is right
    # A title belongs to whoever made the axes.
    assert left.get_title(loc="left") == ""
    part = figure.subfigures()
    assert MixtureDisplay.from_estimator(three(), ax=part.subplots()).figure_ is figure
    corner = MixtureDisplay.from_estimator(three(3), ax=right)
    assert corner.figure_ is figure
    assert corner.axes_.shape == (3, 3)
    with pytest.raises(ParameterError, match="placed by hand"):
        MixtureDisplay.from_estimator(three(3), ax=figure.add_axes((0, 0, 1, 1)))


def test_scikit_learns_mixtures_are_drawn_as_well():
    rows, _ = rows_of(three(), 400)
    fitted = SklearnGaussianMixture(2, covariance_type="tied", random_state=0).fit(rows)
    (panel,) = MixtureDisplay.from_estimator(fitted, rows).panels_
    root = np.sqrt(np.linalg.eigvalsh(fitted.covariances_)[1])
    assert panel.ellipses[0][0].width == pytest.approx(2 * root)


def test_without_matplotlib_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r"pip install 'daskgmm\[plot\]'"):
        MixtureDisplay.from_estimator(three())
