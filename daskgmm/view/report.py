"""What a report on a fitted mixture says: a record of text, tables and figures, in the order of the page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from daskgmm.drift import Drift
from daskgmm.view.cautions import cautions
from daskgmm.view.mixture_tables import (
    MixtureShown,
    correlation_folds,
    correlation_table,
    mixture_shown,
    mixture_tables,
)
from daskgmm.view.page_parts import Fact, Figure, Section, legible, named, printable
from daskgmm.view.reproduction import MadeOf, command_line, made_of, python_lines
from daskgmm.view.run_tables import (
    CRITERIA,
    SelectionKept,
    drift_table,
    history_kept,
    history_table,
    selection_kept,
    selection_table,
)

__all__ = ["Figures", "Findings", "Report", "describe"]

# Of a list of features in a sentence.
MOST_NAMED = 12


@dataclass(frozen=True, slots=True)
class Findings:
    """What other rows, read for the report, say of the mixture."""

    source: str
    """What the rows are called."""
    n_samples: int
    mean_log_likelihood: float
    """Per row, in nats."""
    drift: Drift | None
    """None where the mixture keeps nothing of the rows of its fit."""


@dataclass(frozen=True, slots=True)
class Figures:
    """The pictures of a report, as far as there is something to draw."""

    mixture: Figure | None = None
    responsibility: Figure | None = None
    convergence: Figure | None = None
    selection: Figure | None = None
    drift: Figure | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """All that a page says."""

    title: str
    lead: str
    """The mixture in a sentence."""
    cautions: tuple[str, ...]
    sections: tuple[Section, ...]
    commands: tuple[Fact, ...]
    """How to make it again: what each text is, and the text itself."""
    versions: tuple[Fact, ...]


def describe(
    mixture: Any,
    name: str,
    *,
    record: object = None,
    findings: Findings | None = None,
    figures: Figures | None = None,
    versions: Mapping[str, str] | None = None,
) -> Report:
    """Return what a report on a fitted mixture says.

    Parameters
    ----------
    mixture : GaussianMixture
        A fitted one.
    name : str
        Of its model file.
    record : object
        What the file says it was made from, unchecked: data, settings and result.
    findings : Findings or None
        What other rows say of it.
    figures : Figures or None
        What was drawn of it.
    versions : mapping or None
        Versions of the software that made the report, by name.
    """
    shown = mixture_shown(mixture)
    drawn = Figures() if figures is None else figures
    made = made_of(record)
    selection = selection_kept(record)
    drift = None if findings is None else findings.drift
    sections = [_of_data(mixture, shown, made), _of_mixture(shown, drawn), _of_fit(mixture, drawn)]
    if selection is not None:
        sections.append(_of_selection(selection, drawn))
    if findings is not None:
        sections.append(_of_findings(findings, drawn))
    return Report(
        title=f"Gaussian mixture {legible(name.rsplit('/', 1)[-1])}",
        lead=_lead(mixture, shown),
        cautions=cautions(mixture, shown, selection=selection, drift=drift),
        sections=tuple(sections),
        commands=_commands(mixture, printable(name), made),
        versions=tuple(Fact(*pair) for pair in (versions or {}).items()),
    )


def _lead(mixture: Any, shown: MixtureShown) -> str:
    """Return the mixture in a sentence or two."""
    n_components, n_features = len(shown.weights), len(shown.features)
    kind = f"{_plural(n_components, f'{shown.covariance_type} component')} in {_plural(n_features, 'feature')}"
    if mixture.n_samples_seen_ == 0:
        return f"{kind}."
    end = "converged" if mixture.converged_ else "did not converge"
    passes = _plural(mixture.n_passes_, "pass", "passes")
    return f"{kind}, fitted to {_plural(mixture.n_samples_seen_, 'row')} in {passes}; the fit {end}."


def _of_data(mixture: Any, shown: MixtureShown, made: MadeOf | None) -> Section:
    """Say what was fitted to which data."""
    facts = []
    if made is not None:
        array = "" if made.component is None else f", array {made.component}"
        what = "New rows, of the last update" if made.updates else "Data"
        facts.append(Fact(what, f"{made.store}{array}{f' ({made.shape})' if made.shape else ''}"))
    if mixture.n_samples_seen_:
        facts.append(Fact("Rows seen", f"{mixture.n_samples_seen_:,}"))
    weight = getattr(mixture, "weight_seen_", None)
    if weight is not None and weight != mixture.n_samples_seen_:
        facts.append(Fact("Sum of their weights", f"{weight:,.6g}"))
    names = ", ".join(named(name) for name in shown.features[:MOST_NAMED])
    more = len(shown.features) - MOST_NAMED
    facts.append(Fact("Features", f"{len(shown.features):,}: {names}{f' and {more:,} more' if more > 0 else ''}"))
    defaults = type(mixture)().get_params()
    settings = mixture.get_params()
    changed = {key: value for key, value in settings.items() if _differs(value, defaults[key])}
    text = ", ".join(f"{key} = {_brief(value)}" for key, value in changed.items())
    facts.append(Fact("Settings", f"{text}; the others are the defaults" if text else "the defaults"))
    paragraphs = () if made is not None else ("The model file does not say which data it was made from.",)
    return Section("data", "Data and settings", paragraphs=paragraphs, facts=tuple(facts))


def _of_mixture(shown: MixtureShown, figures: Figures) -> Section:
    correlations = correlation_table(shown)
    paragraphs = ["Components carry the numbers that predict gives, and the heaviest comes first."]
    if correlations is None and len(shown.features) > 1:
        paragraphs.append(f"Within a component of {shown.covariance_type} covariance, features are not correlated.")
    return Section(
        "mixture",
        "The mixture",
        paragraphs=tuple(paragraphs),
        figures=tuple(one for one in (figures.mixture, figures.responsibility) if one is not None),
        tables=(*mixture_tables(shown), *(() if correlations is None else (correlations,))),
        folds=correlation_folds(shown),
    )


def _of_fit(mixture: Any, figures: Figures) -> Section:
    """Say how the fit went and what it took."""
    history = history_kept(mixture.history_)
    facts = [Fact("Converged", "yes" if mixture.converged_ else "no"), Fact("Iterations", f"{mixture.n_iter_:,}")]
    facts.append(Fact("Passes over the data", f"{mixture.n_passes_:,}"))
    if mixture.n_iter_:
        facts.append(Fact("Mean log-likelihood", f"{mixture.lower_bound_:.7g} nats a row"))
    seconds = sum(step["seconds"] for step in history)
    if seconds:
        rows = sum(step["rows"] for step in history if step["phase"] != "sample")
        facts.append(Fact("Time", f"{seconds:,.3g} s, reading {rows:,} rows"))
    return Section(
        "fit",
        "Passes and time",
        paragraphs=() if history else ("The model file tells no steps of the fit.",),
        facts=tuple(facts),
        figures=() if figures.convergence is None else (figures.convergence,),
        tables=(history_table(history),) if history else (),
    )


def _of_selection(selection: SelectionKept, figures: Figures) -> Section:
    passes = "" if selection.n_passes is None else f", in {_plural(selection.n_passes, 'pass', 'passes')} together"
    return Section(
        "selection",
        "Selection",
        paragraphs=(
            f"The best of {len(selection.table)} mixtures by {CRITERIA[selection.criterion]}{passes}; lower is better.",
        ),
        figures=() if figures.selection is None else (figures.selection,),
        tables=(selection_table(selection),),
    )


def _of_findings(findings: Findings, figures: Figures) -> Section:
    """Say how well the mixture describes the rows that were read for the report."""
    facts = [
        Fact("Rows", f"{findings.n_samples:,} of {legible(findings.source)}"),
        Fact("Mean log-likelihood", f"{findings.mean_log_likelihood:.7g} nats a row"),
    ]
    drift = findings.drift
    if drift is None:
        missing = "The mixture keeps nothing of how the rows of its fit were distributed, so drift cannot be measured."
        return Section("rows", "These rows", paragraphs=(missing,), facts=tuple(facts))
    parts = f"{drift.log_density_psi:.4f} of log densities, {drift.component_psi:.4f} of components"
    facts += [
        Fact("Population stability index", f"{drift.psi:.4f}: {parts}, about {drift.expected_psi:.2g} by chance"),
        Fact("Kolmogorov-Smirnov distance", f"{drift.ks_distance:.4f}"),
    ]
    return Section(
        "rows",
        "These rows against those of the fit",
        paragraphs=("An index below 0.1 is usually called stable, one above 0.25 a shift.",),
        facts=tuple(facts),
        figures=() if figures.drift is None else (figures.drift,),
        tables=(drift_table(drift),),
    )


def _commands(mixture: Any, name: str, made: MadeOf | None) -> tuple[Fact, ...]:
    found = [] if made is None else [Fact("At a shell", command_line(made, name))]
    return (*found, Fact("In Python", python_lines(mixture, name, made)))


def _differs(value: object, default: object) -> bool:
    return type(value) is not type(default) or value != default


def _brief(value: object) -> str:
    shape = getattr(value, "shape", None)
    return legible(value if shape is None else f"an array of shape {shape}")


def _plural(count: int, one: str, many: str = "") -> str:
    return f"{count:,} {one if count == 1 else many or f'{one}s'}"
