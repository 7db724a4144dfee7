"""Leaving out components that are proven negligible changes nothing that float64 shows."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from daskgmm.kernels import blas, choose_kernel, fused, pruned
from daskgmm.kernels.fused.formulations import CentredSums
from daskgmm.kernels.fused.number_formats import FLOAT64
from daskgmm.kernels.fused.pruned import _add_owned
from daskgmm.kernels.pruned import by_owner, owners_worth_finding
from daskgmm.kernels.pruned.bounds import LEFT_OUT
from daskgmm.kernels.pruned.near import near_components
from daskgmm.kernels.pruned.owners import Ownership, owned_rows
from daskgmm.kernels.pruned.whitened import SLACK, largest_eigenvalues, whiten_mixture, whitening_of
from daskgmm.mixture.parameters import MixtureParameters
from tests import reference
from tests.drawn import draw
from tests.kernels.conftest import always_prune
from tests.kernels.test_blas import SUMS, assert_is_the_references, assert_same_bits, parameters_of

N_COMPONENTS, N_ROWS = 40, 500


def mixture_with_rows(name: str, covariance_type: str, n_features: int = 6) -> tuple[np.ndarray, MixtureParameters]:
    """Rows and the mixture that they are drawn from, of one of several kinds."""
    spread = {"overlapping": 0.5, "far apart": 300.0}.get(name, 6.0)
    drawn = draw(
        covariance_type, n_rows=N_ROWS, n_components=N_COMPONENTS, n_features=n_features, spread=spread, seed=2
    )
    rows, weights, means, covariances = drawn.rows, drawn.weights.copy(), drawn.means.copy(), drawn.covariances
    if name == "mixed scales" and covariance_type != "tied":
        scales = np.logspace(-2, 1, N_COMPONENTS)
        covariances = covariances * (scales**2).reshape(-1, *[1] * (covariances.ndim - 1))
    if name == "anisotropic":
        stretch = np.logspace(-3, 3, n_features)
        rows, means = rows * stretch, means * stretch
        if covariance_type == "spherical":
            rows, means = drawn.rows * np.linspace(1, 40, n_features), drawn.means * np.linspace(1, 40, n_features)
        else:
            covariances = covariances * (np.outer(stretch, stretch) if covariances.shape[-2:] == (6, 6) else stretch**2)
    if name == "degenerate weights":
        weights[::3], weights[1] = 1e-300, 1e-12
        weights /= weights.sum()
    if name == "weights of zero":
        weights[::3] = 0.0
        weights /= weights.sum()
    if name == "one mean":
        means[::4] = means[0]
    return rows, MixtureParameters.from_covariances(
        weights=weights, means=means, covariances=covariances, covariance_type=covariance_type
    )


KINDS = ("separated", "overlapping", "far apart", "mixed scales", "anisotropic", "degenerate weights", "one mean")


@pytest.fixture(params=["blas", "fused"])
def e_step(request):
    if request.param == "fused":
        pytest.importorskip("numba")
    return choose_kernel(request.param)


@pytest.fixture
def pruning(monkeypatch):
    """Prune always; a list of what is found worth pruning."""
    always_prune(monkeypatch)
    found = []

    def spy(*arguments, **settings):
        found.append(owners_worth_finding(*arguments, **settings))
        return found[-1]

    monkeypatch.setattr(by_owner, "owners_worth_finding", spy)
    monkeypatch.setattr(fused.pruned, "owners_worth_finding", spy)
    return found


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_pruned_statistics_are_the_references(e_step, covariance_type, kind, weighted, pruning):
    rows, parameters = mixture_with_rows(kind, covariance_type)
    weights = np.linspace(0.0, 2.0, N_ROWS) if weighted else None
    statistics = e_step(rows, weights, parameters)
    assert pruning[0] is not None
    assert_is_the_references(statistics, rows, weights, parameters)


@pytest.mark.parametrize("kind", [*KINDS, "weights of zero"])
def test_pruned_statistics_are_those_of_all_components(e_step, covariance_type, kind, monkeypatch):
    rows, parameters = mixture_with_rows(kind, covariance_type)
    plain = e_step(rows, None, parameters)
    always_prune(monkeypatch)
    pruned_statistics = e_step(rows, None, parameters)
    for name in SUMS:
        value = getattr(plain, name)
        atol = 1e-12 * np.abs(value).max()
        assert_allclose(getattr(pruned_statistics, name), value, rtol=1e-12, atol=atol, err_msg=name)


@pytest.mark.parametrize("dtype", ["f4", "f2", "i4"])
def test_other_types_of_rows_are_computed_in_float64(e_step, dtype, pruning):
    rows, parameters = mixture_with_rows("separated", "full")
    narrow = rows.astype(dtype)
    assert_same_bits(e_step(narrow, None, parameters), e_step(narrow.astype(np.float64), None, parameters))
    assert pruning[0] is not None


@pytest.mark.parametrize("n_rows", [0, 1, 2])
def test_few_rows_are_no_special_case(e_step, covariance_type, n_rows, pruning):
    rows, parameters = mixture_with_rows("separated", covariance_type)
    assert_is_the_references(e_step(rows[:n_rows], None, parameters), rows[:n_rows], None, parameters)


def test_rows_far_from_all_components_look_at_all(e_step, covariance_type, pruning):
    rows, parameters = mixture_with_rows("separated", covariance_type)
    rows = np.concatenate([rows, rows[:50] * 50, rows[:1] * 1e100])
    assert_is_the_references(e_step(rows[:-1], None, parameters), rows[:-1], None, parameters)
    assert np.isfinite(e_step(rows, None, parameters).second).all()


def test_rows_of_owners_near_everything_look_at_all(e_step, covariance_type, pruning, monkeypatch):
    for module in (by_owner, fused.pruned):
        monkeypatch.setattr(module, "MOST_KEPT", 0.1)
    rows, parameters = mixture_with_rows("overlapping", covariance_type)
    assert_is_the_references(e_step(rows, None, parameters), rows, None, parameters)
    assert pruning[0] is not None


@st.composite
def many_components(draw_from):
    """A mixture of 2 to 24 components on any scales, and rows near and far, each with any owner."""
    seed = draw_from(st.integers(0, 2**32 - 1))
    covariance_type = draw_from(st.sampled_from(["full", "tied", "diag", "spherical"]))
    n_components, n_features = draw_from(st.integers(2, 24)), draw_from(st.integers(1, 5))
    spread = draw_from(st.sampled_from([0.1, 3.0, 10.0, 100.0]))
    drawn = draw(covariance_type, n_rows=40, n_components=n_components, n_features=n_features, spread=spread, seed=seed)
    generator = np.random.default_rng(seed)
    covariances = drawn.covariances
    if covariance_type != "tied":
        scales = generator.lognormal(sigma=draw_from(st.sampled_from([0.0, 1.5])), size=n_components)
        covariances = covariances * scales.reshape(-1, *[1] * (covariances.ndim - 1))
    parameters = MixtureParameters.from_covariances(
        weights=generator.dirichlet(np.full(n_components, draw_from(st.sampled_from([0.05, 5.0])))),
        means=drawn.means,
        covariances=covariances,
        covariance_type=covariance_type,
    )
    rows = np.concatenate([drawn.rows, drawn.rows + generator.normal(scale=spread, size=drawn.rows.shape)])
    return parameters, rows, generator.integers(n_components, size=len(rows))


def log_responsibilities(rows: np.ndarray, parameters: MixtureParameters) -> np.ndarray:
    """By the definition, shape (n_rows, n_components)."""
    mixture = reference.mixture(
        parameters.weights, parameters.means, parameters.covariances, parameters.covariance_type
    )
    log_prob = np.empty((len(rows), parameters.n_components))
    for k, (weight, mean, covariance) in enumerate(
        zip(mixture.weights, mixture.means, mixture.covariances, strict=True)
    ):
        deviations = rows - np.asarray(mean, float)
        covariance = np.asarray(covariance, float)
        squares = np.einsum("nd,nd->n", deviations, np.linalg.solve(covariance, deviations.T).T)
        with np.errstate(divide="ignore"):
            log_weight = np.log(float(weight))
        log_prob[:, k] = log_weight - (np.linalg.slogdet(2 * np.pi * covariance)[1] + squares) / 2
    return log_prob - np.logaddexp.reduce(log_prob, axis=1, keepdims=True)


@given(many_components())
def test_what_numpy_leaves_out_is_below_its_bound_whoever_owns_the_rows(case):
    parameters, rows, owners = case
    whitening = whitening_of(parameters)
    mixture = None if whitening is None else whiten_mixture(parameters, whitening)
    if mixture is None:
        return
    ownership = any_ownership(rows, owners, parameters, mixture)
    (part,) = owned_rows(rows, ownership, mixture)
    farthest, widest = (np.maximum.reduceat(values, part.edges[:-1]) for values in (part.distances, part.radii))
    logs = log_responsibilities(part.rows, parameters)
    near = near_components(mixture, part.owners, farthest, widest)
    for kept, start, stop in zip(near, part.edges[:-1], part.edges[1:], strict=True):
        left_out = np.delete(logs[start:stop], kept, axis=1)
        assert (left_out < np.log(LEFT_OUT / parameters.n_components)).all()


@given(many_components())
def test_what_the_compiled_loops_leave_out_is_below_its_bound_whoever_owns_the_rows(case):
    pytest.importorskip("numba")
    parameters, rows, owners = case
    whitening = whitening_of(parameters)
    mixture = None if whitening is None else whiten_mixture(parameters, whitening)
    if mixture is None:
        return
    logs = log_responsibilities(rows, parameters)
    for owner in np.unique(owners):
        own = np.flatnonzero(owners == owner)
        (part,) = owned_rows(rows[own], any_ownership(rows[own], owners[own], parameters, mixture), mixture)
        loops = CentredSums.of(parameters, FLOAT64)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(fused.pruned, "MOST_KEPT", 1.0)
            assert not len(_add_owned(part, np.empty(0), mixture, loops))
        # What is looked at has a responsibility of 2^-144 at least.
        left_out = loops.counts.reshape(parameters.n_components, -1).sum(axis=1) == 0
        assert (logs[np.ix_(own, left_out)] < np.log(LEFT_OUT / parameters.n_components)).all()


def any_ownership(rows, owners, parameters, mixture) -> Ownership:
    """Rows with these owners, however far they are."""
    deviations = rows - parameters.means[owners]
    whitened = deviations @ mixture.whitening.matrix
    shapes = reference.matrices(parameters.covariances, parameters.covariance_type, *parameters.means.shape)
    inverses = np.array([np.linalg.inv(np.asarray(matrix, float)) for matrix in shapes])
    distances = np.sqrt(np.einsum("nd,nde,ne->n", deviations, inverses[owners], deviations))
    return Ownership(owners, distances, np.linalg.norm(whitened, axis=1), np.inf)


def test_separated_components_are_left_out(monkeypatch, pruning):
    rows, parameters = mixture_with_rows("separated", "full")
    looked_at = []

    def count(rows, weights, some):
        looked_at.append(len(rows) * some.n_components)
        return blas_moments(rows, weights, some)

    blas_moments = blas._moments_of_all
    monkeypatch.setattr(blas, "_moments_of_all", count)
    blas.e_step(rows, None, parameters)
    assert sum(looked_at) < 0.3 * N_ROWS * N_COMPONENTS


def test_it_is_tried_where_it_pays():
    def worth(kind: str, n_rows: int = N_ROWS, **changed) -> bool:
        rows, parameters = mixture_with_rows(kind, "full")
        rows = rows[:n_rows] + changed.get("shift", 0.0)
        return owners_worth_finding(rows, parameters, most_near=0.5) is not None

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pruned, "LEAST_WORK", 0)
        assert not worth("separated")  # few components
        patch.undo()
        patch.setattr(pruned, "FEWEST_COMPONENTS", 0)
        assert not worth("separated")  # few features
        patch.setattr(pruned, "LEAST_WORK", 0)
        assert worth("separated")
        assert not worth("separated", n_rows=8 * N_COMPONENTS - 1)
        assert not worth("overlapping")
        assert not worth("separated", shift=3.0)  # rows do not fit the mixture


def test_covariances_too_ill_conditioned_for_bounds_are_not_pruned():
    drawn = draw("full", n_features=3)
    factor = np.array([[1.0, 0.0, 0.0], [1.0, 1e-8, 0.0], [0.0, 0.0, 1.0]])
    parameters = MixtureParameters(
        "full", drawn.weights, drawn.means, np.stack([factor @ factor.T] * 3), np.stack([np.linalg.inv(factor).T] * 3)
    )
    assert whitening_of(parameters) is None


def test_means_too_far_apart_for_their_widths_are_not_pruned():
    drawn = draw("spherical", n_features=3, spread=1e13)
    parameters = parameters_of(drawn)
    assert whiten_mixture(parameters, whitening_of(parameters)) is None


@pytest.mark.parametrize("n_features", [1, 3, 16])
def test_largest_eigenvalues_are_bounded_from_above_and_not_by_far(n_features):
    factors = np.random.default_rng(0).normal(size=(20, n_features, n_features))
    matrices = factors @ factors.transpose(0, 2, 1)
    bounds, exact = largest_eigenvalues(matrices), np.linalg.eigvalsh(matrices)[:, -1]
    assert (bounds >= exact * (1 - 1e-12)).all()
    assert (bounds <= exact * n_features ** (1 / 32) * (1 + 1e-12)).all()


def test_widths_and_whitened_distances_are_those_of_the_mixture(covariance_type):
    _, parameters = mixture_with_rows("separated", covariance_type)
    mixture = whiten_mixture(parameters, whitening_of(parameters))
    shapes = reference.matrices(parameters.covariances, covariance_type, *parameters.means.shape)
    matrix = mixture.whitening.matrix
    whitened = np.array([matrix.T @ np.asarray(shape, float) @ matrix for shape in shapes])
    assert_allclose(np.einsum("k,kde->de", parameters.weights, whitened), np.eye(6), atol=1e-12)
    assert (mixture.widths**2 >= np.linalg.eigvalsh(whitened)[:, -1]).all()
    assert (mixture.widths**2 <= np.linalg.eigvalsh(whitened)[:, -1] * 6 ** (1 / 32) * (1 + 3 * SLACK)).all()
    full = mixture.precisions
    full = full if full.ndim == 3 else full[:, :, None] * np.eye(6)
    assert_allclose(np.broadcast_to(full, whitened.shape) @ whitened, np.stack([np.eye(6)] * N_COMPONENTS), atol=1e-9)
    assert_array_equal(mixture.means.shape, parameters.means.shape)
