"""What the full passes of an accelerated fit have shown, and what is worth evaluating next."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from daskgmm.mixture.covariance import Floats
from daskgmm.mixture.em import Sweep
from daskgmm.mixture.fisher import FisherCoordinates
from daskgmm.mixture.m_step import regularization_cost
from daskgmm.mixture.parameters import MixtureParameters
from daskgmm.mixture.secants import fit_secants
from daskgmm.mixture.statistics import SufficientStatistics
from daskgmm.mixture.surrogate import Proposal, Surrogate
from daskgmm.mixture.trust import LARGEST_CAP, TrustRegion

__all__ = ["Evaluation", "Search", "silent_sweep"]

# Earlier passes whose statistics are remembered. More changed nothing that was measured.
MEMORY = 7
# A bound that falls by less than this share of itself fell by rounding.
ROUNDING = 1e-10
# Proposals in a row that may fall before a plain EM step is taken.
MOST_FALLS = 2
# Without a sample early proposals may fall, and each fall costs a pass: none is made until a pass gains less than this,
# in nats, so that a fall cannot leave the search further behind plain EM.
NEGLIGIBLE_GAIN = 1e-4
# A surrogate that was cut short foresees a part of what is to be gained. It is taken to be a third.
CUT_SHORT = 3.0
# What remained to be gained was 0.9 to 1.9 times what the first surrogate foresaw on 18 cases; later ones foresaw less
# than a tenth of it on ridges where they were cut short, and all but a tenth where they were not.
LEAST_UNSEEN, MOST_UNSEEN = 2.0, 20.0
# Gains that shrink more slowly than this from pass to pass are taken to shrink like this.
SLOWEST_RATE = 0.999


@dataclass(frozen=True, slots=True, eq=False)
class Evaluation:
    """What a full pass and a sweep over the sample say of the same parameters."""

    parameters: MixtureParameters
    full: SufficientStatistics
    sample: SufficientStatistics

    @property
    def lower_bound(self) -> float:
        """Mean log-likelihood of all rows per unit of weight."""
        return self.full.lower_bound

    def defect(self, coordinates: FisherCoordinates) -> Floats:
        """Return what the sample's statistics lack, per unit of weight."""
        return coordinates.of_statistics(self.full) - coordinates.of_statistics(self.sample)


@dataclass(frozen=True, slots=True, eq=False)
class Search:
    """A climb by surrogates: where it stands, what it remembers, and how far it trusts them."""

    reg_covar: float
    has_sample: bool
    base: Evaluation
    """The last pass that was not rejected."""
    best: Evaluation
    """The pass of the highest bound."""
    gains: tuple[float, float, float]
    """What the three last passes that were not rejected gained, the last one last; infinite where unknown."""
    region: TrustRegion
    memory: tuple[Evaluation, ...] = ()
    """Passes other than the base, the last one first."""
    n_falls: int = 0
    """Proposals that fell since the base was reached."""

    @classmethod
    def start(cls, here: Evaluation, gain: float, *, reg_covar: float, has_sample: bool) -> Search:
        """Return the search after its first pass; `gain` is infinite when there is none to compare with.

        With no sample, nothing is known of curvature: proposals keep close to EM's until they have proved right.
        """
        region = TrustRegion(LARGEST_CAP if has_sample else 0.0)
        return cls(reg_covar, has_sample, here, here, (math.inf, math.inf, gain), region)

    def change(self, here: Evaluation) -> float:
        """Return by how much a pass lies above the base."""
        return here.lower_bound - self.base.lower_bound

    def gain(self, here: Evaluation) -> float:
        """Return by how much a pass lies above the base, less what reg_covar costs: an EM step never falls."""
        counts = self.base.full.counts / self.base.full.weight
        before, after = (
            regularization_cost(evaluation.parameters, counts, reg_covar=self.reg_covar)
            for evaluation in (self.base, here)
        )
        return self.change(here) - (after - before)

    def falls(self, here: Evaluation) -> bool:
        """Return whether a pass lies below the base by more than rounding."""
        return self.gain(here) < -ROUNDING * max(1.0, abs(here.lower_bound))

    def rejected(self, here: Evaluation, proposal: Proposal) -> Search:
        """Return the search after a pass that evaluated a proposal and fell: the base stays."""
        return replace(
            self,
            memory=(here, *self.memory)[:MEMORY],
            region=self.region.after_fall(distance=proposal.distance),
            n_falls=self.n_falls + 1,
        )

    def moved(self, here: Evaluation, proposal: Proposal | None) -> Search:
        """Return the search after a pass that becomes the base."""
        gain, region = self.gain(here), self.region
        if proposal is not None:
            ratio = gain / proposal.gain
            region = region.after_rise(ratio=ratio, distance=proposal.distance, cut_short=proposal.cut_short)
        best = here if here.lower_bound > self.best.lower_bound else self.best
        memory = (self.base, *self.memory)[:MEMORY]
        gains = (*self.gains[1:], gain)
        return replace(self, base=here, best=best, gains=gains, region=region, memory=memory, n_falls=0)

    def forgotten(self) -> Search:
        """Return the search before a component is seeded anew: neither memory nor gains hold beyond that."""
        fresh = Search.start(self.base, math.inf, reg_covar=self.reg_covar, has_sample=self.has_sample)
        return replace(fresh, best=self.best)

    def proposal(self, sample_sweep: Sweep, *, enough: float) -> Proposal | None:
        """Return what to evaluate next, or None when that is the EM step; `enough` is as in `Surrogate.maximize`."""
        if self.n_falls >= MOST_FALLS or not (self.has_sample or self.gains[-1] < NEGLIGIBLE_GAIN):
            return None
        coordinates = FisherCoordinates.about(self.base.parameters)
        defect = self.base.defect(coordinates)
        steps = [coordinates.of_parameters(other.parameters) for other in self.memory]
        changes = [other.defect(coordinates) - defect for other in self.memory]
        surrogate = Surrogate(
            coordinates=coordinates,
            sample_sweep=sample_sweep,
            reg_covar=self.reg_covar,
            sample_bound=self.base.sample.lower_bound,
            counts=self.base.full.counts / self.base.full.weight,
            full=coordinates.of_statistics(self.base.full),
            defect=defect,
            curvature=fit_secants(steps, changes, n_coordinates=len(defect)),
        )
        return surrogate.maximize(self.region, enough=enough)

    def remaining_gain(self, proposal: Proposal | None) -> float:
        """Return what is expected to remain to be gained, given what is to be evaluated next.

        It is the largest of what the last pass gained, what the proposal is expected to gain, and the sum of the
        gains to come if they go on shrinking as they did (Aitken's estimate, as in Böhning et al. 1994). Without a
        sample that is all there is to tell it from, and the slower of two rates counts: on a plateau one misleads.
        After falls a proposal's expectation is worth nothing until a pass gains again.
        """
        earlier, before, last = (abs(gain) for gain in self.gains)
        if self.n_falls >= MOST_FALLS or math.isinf(last if self.has_sample else max(earlier, before, last)):
            return math.inf
        rate = _rate(before, last) if self.has_sample else max(_rate(earlier, before), _rate(before, last))
        foreseen = 0.0 if proposal is None else proposal.gain * (CUT_SHORT if proposal.cut_short else 1.0)
        return max(last, last * rate / (1 - rate), foreseen)

    def hope(self, proposal: Proposal | None) -> float:
        """Return what may remain to be gained at most, given what is to be evaluated next; infinite if nothing tells.

        A generous forecast, for comparing climbs with each other. After falls, what the last pass gained is a better
        guide than the proposal.
        """
        if proposal is None or self.n_falls:
            return MOST_UNSEEN * abs(self.gains[-1])
        return proposal.gain * (MOST_UNSEEN if proposal.cut_short else LEAST_UNSEEN)


def _rate(before: float, after: float) -> float:
    """Return by what factor gains shrink, given two of them."""
    return min(after / before, SLOWEST_RATE) if before > 0 else 0.0


def silent_sweep(parameters: MixtureParameters) -> SufficientStatistics:
    """Return the statistics of a sample that says nothing, for when there is none.

    The surrogate is left with the statistics of the last pass and the secants of those before: EM with the missing
    information estimated by secants (Jamshidian and Jennrich 1997, quasi-Newton acceleration).
    """
    return replace(SufficientStatistics.zero(parameters), weight=1.0)
