"""`daskgmm report`: one page that explains a mixture, needs nothing else, and runs nothing that came from data."""

from __future__ import annotations

import contextlib
import json
import re
import sys
from dataclasses import replace

import numpy as np
import pytest
import zarr
from click.testing import CliRunner
from sklearn.mixture import GaussianMixture as SklearnGaussianMixture

from daskgmm import GaussianMixture, load, open_zarr
from daskgmm.cli import main
from daskgmm.storage.lock import hold
from daskgmm.storage.model_file import load_model, save_model
from tests.drawn import draw
from tests.html_page import Page

HOSTILE = ("<script>alert(1)</script>", '"><img src=x onerror=alert(1)>')


@pytest.fixture
def report(invoke, tmp_path):
    """Run the command; return the page."""

    def run(model, *options, output="report.html"):
        result = invoke("report", model, "-o", tmp_path / output, *options)
        assert result.exit_code == 0, result.output
        return Page((tmp_path / output).read_text("utf-8"))

    return run


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """A store, a model of it whose names want to be markup, and the page with both."""
    folder = tmp_path_factory.mktemp("report")
    rows = draw("full", n_rows=2000, n_features=2, spread=4.0).rows
    zarr.create_array(folder / "rows.zarr", data=rows, chunks=(500, 2))
    mixture = GaussianMixture(3, random_state=0, acceleration=None).fit(open_zarr(folder / "rows.zarr"))
    mixture.feature_names_in_ = np.array(HOSTILE, dtype=object)
    mixture.save(folder / "named.gmm")
    words = ["report", "named.gmm", "--data", "rows.zarr", "-o", "report.html"]
    with contextlib.chdir(folder):
        result = CliRunner(catch_exceptions=False).invoke(main, words)
    assert result.exit_code == 0, result.output
    return folder


@pytest.fixture(scope="module")
def kept_page(kept):
    return Page((kept / "report.html").read_text("utf-8"))


def test_the_page_says_what_the_model_says(kept, kept_page):
    assert "Gaussian mixture named.gmm 3 full components" in kept_page.text
    fitted = load(kept / "named.gmm")
    assert f"3 full components in 2 features, fitted to 2,000 rows in {fitted.n_passes_} passes" in kept_page.text
    heaviest = int(fitted.weights_.argmax())
    assert f"{heaviest} {fitted.weights_[heaviest]:.4g} {fitted.means_[heaviest, 0]:.4g}" in kept_page.text
    assert kept_page.tags.count("svg") == 4
    assert "The model file does not say which data it was made from." in kept_page.text
    assert "mixture = GaussianMixture(3, acceleration=None, random_state=0).fit(X)" in kept_page.text
    assert "Before you rely on it" not in kept_page.text


def test_the_page_can_be_read_without_seeing_it(kept_page):
    page = kept_page
    assert page.tags.count("h1") == page.tags.count("main") == page.tags.count("title") == 1
    assert ("html", "lang", "en") in page.attributes
    assert page.tags.count("caption") == page.tags.count("table") > 3
    assert set(page.values("scope")) == {"col", "colgroup", "row"}
    figures = [value for tag, name, value in page.attributes if (tag, name) == ("figure", "aria-label")]
    assert len(figures) == page.tags.count("svg")
    assert all(len(sentence) > 20 and sentence.endswith(".") for sentence in figures)
    identifiers = page.values("id")
    assert len(identifiers) == len(set(identifiers))
    anchors = {value[1:] for tag, name, value in page.attributes if (tag, name) == ("a", "href")}
    assert anchors <= set(identifiers)


def test_the_page_loads_nothing(kept, kept_page):
    links = [*kept_page.values("href"), *kept_page.values("src"), *kept_page.values("xlink:href")]
    assert any(link.startswith("data:image/png;base64,") for link in links)
    assert all(link.startswith(("#", "data:image/png;base64,")) for link in links)
    assert not {"link", "iframe", "object", "embed", "base"} & set(kept_page.tags)
    style = (kept / "report.html").read_text().split("<style>")[1].split("</style>")[0]
    assert not re.search(r"url\(|@import", style)


def test_names_are_text(kept_page):
    assert kept_page.tags.count("script") == 1
    assert "alert" not in "".join(kept_page.scripts)
    assert "img" not in kept_page.tags
    assert not [name for _, name, _ in kept_page.attributes if name.startswith("on")]
    for name in HOSTILE:
        assert kept_page.text.count(name) > 5


def test_the_same_model_is_the_same_bytes(kept, invoke, tmp_path, monkeypatch):
    monkeypatch.chdir(kept)
    page = tmp_path / "again.html"
    assert invoke("report", "named.gmm", "--data", "rows.zarr", "-o", page).exit_code == 0
    assert page.read_bytes() == (kept / "report.html").read_bytes()


@pytest.mark.slow
def test_odd_names_can_be_drawn(report, kept, tmp_path):
    model = load_model(kept / "named.gmm")
    save_model(replace(model, feature_names=("🦕 weight [t]", "a\u202eb\x00c")), tmp_path / "odd.gmm")
    assert report(tmp_path / "odd.gmm").tags.count("svg") == 2


def test_rows_are_compared_with_those_of_the_fit(report, kept, rows, tmp_path):
    zarr.create_array(tmp_path / "new.zarr", data=rows + 3.0, chunks=(500, 2))
    text = report(kept / "named.gmm", "--data", tmp_path / "new.zarr").text
    assert "These rows differ from those of the fit" in text
    assert f"{load(kept / 'named.gmm').score(open_zarr(tmp_path / 'new.zarr')):.7g} nats a row" in text


def test_a_mixture_that_keeps_no_distribution_still_has_a_page(report, rows, store, tmp_path):
    fitted = SklearnGaussianMixture(2, random_state=0).fit(rows)
    GaussianMixture.from_sklearn(fitted).save(tmp_path / "converted.gmm")
    page = report(tmp_path / "converted.gmm", "--data", store)
    assert "so drift cannot be measured" in page.text
    assert "The model file tells no steps of the fit." in page.text


@pytest.mark.filterwarnings("ignore:EM did not converge")
def test_a_model_of_a_command_tells_how_to_make_it_again(invoke, report, store, tmp_path):
    made = tmp_path / "fit.gmm"
    assert invoke("fit", store, "-o", made, "--components", "2", "--max-iter", "4").exit_code == 0
    text = report(made).text
    assert f"daskgmm fit {store} -o {made} \\ --components 2 \\ --covariance-type full \\ --random-state 0" in text
    assert "--max-iter 4" in text
    words = text.split("At a shell ")[1].split(" In Python")[0].replace("\\ ", "").split()
    assert words[:2] == ["daskgmm", "fit"]
    assert json.loads(invoke(*words[1:], "--json").stdout)["up_to_date"]


def test_a_search_is_told_and_drawn(invoke, report, store, tmp_path):
    best = tmp_path / "best.gmm"
    assert invoke("select", store, "-o", best, "--components", "1:4").exit_code == 0
    page = report(best)
    assert page.tags.count("svg") == 3
    assert "The best of 4 mixtures by BIC, in" in page.text
    assert ("tr", "class", "marked") in page.attributes
    assert "--components 1,2,3,4 \\ --covariance-type full" in page.text


def test_a_record_that_no_fit_wrote_is_not_drawn(report, kept, tmp_path):
    model = load_model(kept / "named.gmm")
    names = ("n_parameters", "log_likelihood", "criterion", "n_passes")
    candidate = {"n_components": 1, "covariance_type": "<b>", "converged": False, **dict.fromkeys(names)}
    result = {"criterion": "bic", "n_components": 1, "covariance_type": "<b>", "table": [candidate]}
    record = {"data": {}, "settings": {}, "result": result}
    fit = {**model.fit, "history": [*model.fit["history"], {"pass": "x"}], "made_from": record}
    save_model(replace(model, fit=fit), tmp_path / "strange.gmm")
    found = report(tmp_path / "strange.gmm")
    assert found.tags.count("svg") == 1
    assert "The best of 1 mixtures by BIC" in found.text


@pytest.mark.slow
def test_thousands_of_components_stay_a_page(report, generator, tmp_path):
    large = SklearnGaussianMixture(1, covariance_type="diag").fit(generator.normal(size=(200, 60)))
    mixture = GaussianMixture.from_sklearn(large)
    mixture.weights_ = np.full(3000, 1 / 3000)
    mixture.means_ = generator.normal(size=(3000, 60))
    mixture.covariances_ = np.repeat(mixture.covariances_, 3000, axis=0)
    mixture.precisions_cholesky_ = np.repeat(mixture.precisions_cholesky_, 3000, axis=0)
    mixture.save(tmp_path / "large.gmm")
    text = report(tmp_path / "large.gmm").text
    assert "2,900 lighter components and 10 more features are left out: daskgmm export writes all of them" in text
    assert (tmp_path / "report.html").stat().st_size < 5_000_000


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(1, 1), (2, 1), (1, 5)])
def test_the_smallest_mixtures_have_a_page(report, generator, tmp_path, shape):
    n_components, n_features = shape
    rows = generator.normal(size=(50, n_features))
    GaussianMixture(n_components, random_state=0).fit(rows).save(tmp_path / "small.gmm")
    zarr.create_array(tmp_path / "small.zarr", data=rows, chunks=(50, n_features))
    page = report(tmp_path / "small.gmm", "--data", tmp_path / "small.zarr")
    assert page.tags.count("svg") >= 2


def test_a_second_run_to_the_same_page_ends_at_once(invoke, kept, tmp_path):
    with hold(tmp_path / ".report.html.lock", "report.html"):
        result = invoke("report", kept / "named.gmm", "-o", tmp_path / "report.html")
    assert result.exit_code == 6
    assert "another run is writing this output" in result.stderr


def test_a_model_that_is_not_there_is_bad_input(invoke, tmp_path):
    result = invoke("report", tmp_path / "no-such.gmm", "-o", tmp_path / "report.html")
    assert result.exit_code == 4
    assert "no-such.gmm" in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_the_page_never_replaces_its_model(invoke, kept):
    model = kept / "named.gmm"
    before = model.read_bytes()
    assert invoke("report", model, "-o", model, "--overwrite").exit_code == 2
    assert model.read_bytes() == before


def test_a_damaged_model_is_bad_input(invoke, kept, tmp_path):
    model = tmp_path / "damaged.gmm"
    model.write_bytes((kept / "named.gmm").read_bytes()[:-40])
    result = invoke("report", model, "-o", tmp_path / "report.html")
    assert result.exit_code == 4
    assert str(model) in result.stderr
    assert not (tmp_path / "report.html").exists()


def test_rows_of_other_features_are_bad_input(invoke, kept, generator, tmp_path):
    zarr.create_array(tmp_path / "wide.zarr", data=generator.normal(size=(100, 3)), chunks=(50, 3))
    result = invoke("report", kept / "named.gmm", "--data", tmp_path / "wide.zarr", "-o", tmp_path / "report.html")
    assert result.exit_code == 4
    assert "3 features" in result.stderr
    assert list(tmp_path.glob("*report.html*")) == []


def test_options_of_a_store_want_a_store(invoke, kept, tmp_path):
    result = invoke("report", kept / "named.gmm", "-o", tmp_path / "report.html", "--component", "x")
    assert result.exit_code == 2
    assert "--component: expected --data STORE" in result.stderr


def test_a_page_that_exists_is_replaced_only_when_told_and_json_says_where_it_is(invoke, kept, tmp_path):
    page = tmp_path / "report.html"
    page.write_text("mine")
    assert invoke("report", kept / "named.gmm", "-o", page).exit_code == 2
    assert page.read_text() == "mine"
    result = invoke("report", kept / "named.gmm", "-o", page, "--json", "--overwrite")
    assert json.loads(result.stdout) == {"output": str(page), "n_components": 3, "n_cautions": 0}
    assert page.read_text().startswith("<!DOCTYPE html>")


@pytest.mark.parametrize("missing", ["jinja2", "matplotlib"])
def test_without_the_extra_the_error_says_what_to_install(invoke, kept, tmp_path, monkeypatch, missing):
    monkeypatch.setitem(sys.modules, missing, None)
    result = invoke("report", kept / "named.gmm", "-o", tmp_path / "report.html")
    assert result.exit_code == 2
    assert f"{missing} is not installed: pip install 'daskgmm[plot]'" in result.stderr
    assert not (tmp_path / "report.html").exists()
