"""A model of the likelihood of all rows that costs no pass: a sweep over the sample, plus what it gets wrong."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from daskgmm.errors import DegenerateMixtureError
from daskgmm.mixture.anderson import mixed
from daskgmm.mixture.covariance import Floats
from daskgmm.mixture.em import Sweep
from daskgmm.mixture.fisher import FisherCoordinates
from daskgmm.mixture.m_step import m_step, regularization_cost
from daskgmm.mixture.parameters import MixtureParameters
from daskgmm.mixture.secants import Curvature
from daskgmm.mixture.stepwise import implied_statistics
from daskgmm.mixture.trust import TrustRegion, distance

__all__ = ["Proposal", "Surrogate"]

# A step that leaves the region is halved so often before it is given up: to a four-thousandth.
MOST_HALVINGS = 12
# The EM step itself is always allowed, and steps a little longer with it.
STRETCH = 1.5
# Beyond this share of the cap a proposal was held back by it.
EDGE = 0.9


@dataclass(frozen=True, slots=True, eq=False)
class Proposal:
    """Parameters that a surrogate prefers to its base."""

    parameters: MixtureParameters
    gain: float
    """By how much the surrogate expects the mean log-likelihood to rise."""
    distance: float
    """How far they are from the base."""
    cut_short: bool
    """Whether the surrogate was left for want of steps or at the edge of the region, not because it gained no more."""


@dataclass(frozen=True, slots=True, eq=False)
class _Point:
    """Statistics, the parameters that their M-step gives, and how far these are from the base."""

    statistics: Floats
    parameters: MixtureParameters
    distance: float


@dataclass(frozen=True, slots=True, eq=False)
class Surrogate:
    """The mean log-likelihood of all rows as a function of the parameters near a base where a pass evaluated it.

    Let z be the natural parameters about the base, d what the sample's statistics lack there, and B the rate at which
    d changes. The value is l_sample(z) - l_sample(0) + d z + z B z / 2 and the statistics are S_sample(z) + d + B z,
    those of all rows at the base. EM on it differs from EM on the sample by a constant and a small linear term, and
    agrees with EM on all rows to first order. (A gradient-corrected local model: Shamir, Srebro and Zhang 2014, DANE;
    the same correction makes the stochastic EM of Chen, Zhu, Teh and Zhang 2018.)
    """

    coordinates: FisherCoordinates
    sample_sweep: Sweep
    reg_covar: float
    sample_bound: float
    """Mean log-likelihood of the sample at the base."""
    counts: Floats
    """Counts of all rows per unit of weight at the base, shape (n_components,)."""
    full: Floats
    """Statistics of all rows at the base, in `coordinates` as those below."""
    defect: Floats
    """What the sample's statistics lack at the base: d."""
    curvature: Curvature
    """How the defect changes with the parameters: B."""

    def evaluate(self, parameters: MixtureParameters) -> tuple[float, Floats]:
        """Return the expected gain over the base, and the statistics, at other parameters; one sweep of the sample.

        The gain is that of the likelihood less what reg_covar costs, which EM steps raise.
        """
        sample = self.sample_sweep(parameters)
        step = self.coordinates.of_parameters(parameters)
        turn = self.curvature.times(step)
        gain = sample.lower_bound - self.sample_bound + float(step @ (self.defect + turn / 2))
        gain -= self._cost(parameters) - self._cost(self.coordinates.origin)
        return gain, self.coordinates.of_statistics(sample) + self.defect + turn

    def maximize(self, region: TrustRegion, *, enough: float) -> Proposal | None:
        """Climb by Anderson-accelerated EM steps, the first of which is EM's own on all rows.

        Parameters
        ----------
        region : TrustRegion
        enough : float
            Stop when two steps in a row gain less, in nats per unit of weight.

        Returns
        -------
        Proposal or None
            None when not even the EM step is sound and gains.
        """
        implied = implied_statistics(self.coordinates.origin, reg_covar=self.reg_covar)
        points, images = [self.coordinates.of_statistics(implied)], [self.full]
        best: Proposal | None = None
        gain, cap, n_small, out_of_steps = 0.0, math.inf, 0, True
        for _ in range(region.n_steps):
            plain = len(points) == 1
            found = self._towards(mixed(points, images), start=points[-1], cap=cap)
            value, image = (-math.inf, self.full) if found is None else self.evaluate(found.parameters)
            if found is None or not value > gain:
                out_of_steps = not plain
                if plain:
                    break
                points, images = points[-1:], images[-1:]  # the memory misleads: go on with an EM step
                continue
            if best is None:
                cap = max(region.cap, STRETCH * found.distance)
            n_small = n_small + 1 if value - gain < enough else 0
            best, gain = Proposal(found.parameters, value, found.distance, False), value
            points.append(found.statistics)
            images.append(image)
            if n_small == 2:
                out_of_steps = False
                break
        return None if best is None else replace(best, cut_short=out_of_steps or best.distance > EDGE * cap)

    def _cost(self, parameters: MixtureParameters) -> float:
        return regularization_cost(parameters, self.counts, reg_covar=self.reg_covar)

    def _towards(self, target: Floats, *, start: Floats, cap: float) -> _Point | None:
        """Go from statistics towards others as far as their M-step is sound and stays within the cap."""
        for halvings in range(MOST_HALVINGS + 1):
            statistics = start + (target - start) / 2**halvings
            try:
                update = m_step(self.coordinates.statistics(statistics), reg_covar=self.reg_covar)
            except DegenerateMixtureError:
                continue
            if not update.reseeded:
                length = distance(self.coordinates.origin, update.parameters)
                if length <= cap:
                    return _Point(statistics, update.parameters, length)
        return None
