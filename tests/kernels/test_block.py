"""What every kernel does alike: rows of any layout, weights, hard numbers, and rows that cannot be used."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from daskgmm.errors import InputDataError, InputTypeError, RowError
from daskgmm.kernels import choose_kernel
from daskgmm.mixture.parameters import MixtureParameters
from tests.drawn import draw
from tests.kernels.conftest import always_prune
from tests.kernels.test_blas import SUMS, assert_is_the_references, assert_same_bits, parameters_of

LAYOUTS = {
    "fortran": np.asfortranarray,
    "every second row": lambda rows: np.repeat(rows, 2, axis=0)[::2],
    "every second column": lambda rows: np.repeat(rows, 2, axis=1)[:, ::2],
    "reversed": lambda rows: rows[::-1].copy()[::-1],
    "big-endian": lambda rows: rows.astype(">f8"),
    "longdouble": lambda rows: rows.astype(np.longdouble),
    "unaligned": lambda rows: np.frombuffer(b"_" + rows.tobytes(), dtype="u1")[1:].view("f8").reshape(rows.shape),
}


@pytest.fixture(params=["blas", "fused", "blas pruned", "fused pruned"])
def e_step(request, monkeypatch):
    """Each kernel in turn, with a look at all components and at those alone that matter to a row."""
    name = request.param.split()[0]
    if name == "fused":
        pytest.importorskip("numba")
    if request.param.endswith("pruned"):
        always_prune(monkeypatch)
    return choose_kernel(name)


def test_moments_are_about_the_means(e_step, drawn):
    parameters = parameters_of(drawn)
    assert_array_equal(e_step(drawn.rows, None, parameters).reference, parameters.means)


def test_inputs_are_not_written_to(e_step, drawn):
    rows, weights = drawn.rows.copy(), np.linspace(0.0, 2.0, len(drawn.rows))
    rows.flags.writeable = weights.flags.writeable = False
    e_step(rows, weights, parameters_of(drawn))
    assert_array_equal(rows, drawn.rows)


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_memory_layout_changes_no_bit(e_step, drawn, layout):
    parameters = parameters_of(drawn)
    assert_same_bits(e_step(layout(drawn.rows), None, parameters), e_step(drawn.rows, None, parameters))


@pytest.mark.parametrize("dtype", ["f2", "i4", "u1", "?"])
def test_narrow_dtypes_are_computed_in_float64(e_step, drawn, dtype):
    rows = np.abs(drawn.rows).astype(dtype)
    statistics = e_step(rows, None, parameters_of(drawn))
    assert statistics.second.dtype == np.float64
    assert_same_bits(statistics, e_step(rows.astype(np.float64), None, parameters_of(drawn)))


@pytest.mark.parametrize(
    "weights", [np.ones(300, dtype="f4"), np.ones(300, dtype=int), np.ones(300, dtype=bool), [1] * 300]
)
def test_weights_of_one_change_nothing(e_step, drawn, weights):
    parameters = parameters_of(drawn)
    weighted, plain = e_step(drawn.rows, weights, parameters), e_step(drawn.rows, None, parameters)
    for name in SUMS:
        value = getattr(plain, name)
        assert_allclose(getattr(weighted, name), value, rtol=1e-14, atol=1e-15 * np.abs(value).max(), err_msg=name)


def test_the_same_call_gives_the_same_bits(e_step, drawn):
    parameters = parameters_of(drawn)
    assert_same_bits(e_step(drawn.rows, None, parameters), e_step(drawn.rows, None, parameters))


def test_components_far_from_all_rows_leave_no_denormal_numbers(e_step, covariance_type):
    drawn = draw(covariance_type, n_rows=200)
    parameters = MixtureParameters.from_covariances(
        weights=drawn.weights,
        means=drawn.means + np.array([[0.0], [36.0], [1e4]]),  # exp(-18^2 * 2), exp(-5e7)
        covariances=drawn.covariances,
        covariance_type=covariance_type,
    )
    statistics = e_step(drawn.rows, None, parameters)
    assert_is_the_references(statistics, drawn.rows, None, parameters, atol=1e-30)
    values = np.abs(np.concatenate([statistics.counts, statistics.first.ravel(), statistics.second.ravel()]))
    assert ((values == 0) | (values > np.finfo(float).tiny)).all()


@pytest.mark.parametrize("distance", [1e3, 1e6, 1e100])
def test_rows_on_which_all_densities_underflow_still_count(e_step, drawn, distance):
    rows = np.concatenate([drawn.rows, [[distance, -distance, distance]]])
    statistics = e_step(rows, None, parameters_of(drawn))
    assert_allclose(statistics.counts.sum(), len(rows), rtol=1e-13)
    for name in SUMS:
        assert np.isfinite(getattr(statistics, name)).all()


def test_a_component_of_weight_zero_gets_nothing(e_step, drawn):
    weights = np.array([0.4, 0.0, 0.6])
    parameters = MixtureParameters.from_covariances(
        weights=weights, means=drawn.means, covariances=drawn.covariances, covariance_type=drawn.covariance_type
    )
    assert e_step(drawn.rows, None, parameters).counts[1] < 1e-30


def test_moments_of_shifted_data_keep_their_digits(e_step, covariance_type):
    drawn = draw(covariance_type)
    rows = drawn.rows + 1e8
    parameters = MixtureParameters.from_covariances(
        weights=drawn.weights, means=drawn.means + 1e8, covariances=drawn.covariances, covariance_type=covariance_type
    )
    assert_is_the_references(e_step(rows, None, parameters), rows, None, parameters)


@pytest.mark.parametrize("n_features", [2, 6, 13])
def test_moments_of_clusters_a_million_sigma_apart_keep_their_digits(e_step, covariance_type, n_features):
    drawn = draw(covariance_type, n_components=4, n_features=n_features, spread=1e6)
    parameters = parameters_of(drawn)
    statistics = e_step(drawn.rows, None, parameters)
    assert_is_the_references(statistics, drawn.rows, None, parameters)


@pytest.mark.parametrize("n_features", [3, 6])
def test_moments_of_features_on_scales_far_apart_keep_their_digits(e_step, n_features):
    drawn = draw("full", n_features=n_features)
    scales = np.logspace(-4, 4, n_features)
    parameters = MixtureParameters.from_covariances(
        weights=drawn.weights,
        means=drawn.means * scales,
        covariances=drawn.covariances * np.outer(scales, scales),
        covariance_type="full",
    )
    plain, scaled = (
        e_step(drawn.rows, None, parameters_of(drawn)),
        e_step(drawn.rows * scales, None, parameters),
    )
    assert_allclose(scaled.counts, plain.counts, rtol=1e-12)
    assert_allclose(scaled.first / scales, plain.first, rtol=1e-12, atol=1e-11)
    assert_allclose(scaled.second / np.outer(scales, scales), plain.second, rtol=1e-12, atol=1e-11)


@pytest.mark.parametrize("value", [np.nan, -np.nan, np.inf, -np.inf, 1e200])
@pytest.mark.parametrize("n_features", [1, 3, 6])
def test_a_row_that_cannot_be_used_is_named(e_step, covariance_type, n_features, value):
    drawn = draw(covariance_type, n_features=n_features)
    rows = drawn.rows.copy()
    rows[123, -1] = value
    with pytest.raises(RowError) as caught:
        e_step(rows, None, parameters_of(drawn))
    assert caught.value.row == 123


def test_a_row_that_cannot_be_used_is_ignored_with_weight_zero(e_step, drawn):
    rows, weights = drawn.rows.copy(), np.ones(len(drawn.rows))
    rows[[1, 2, 3]] = [[np.nan], [np.inf], [1e300]]
    weights[[1, 2, 3]] = 0.0
    parameters = parameters_of(drawn)
    statistics = e_step(rows, weights, parameters)
    expected = e_step(np.delete(drawn.rows, [1, 2, 3], axis=0), None, parameters)
    assert (statistics.n_samples, statistics.weight) == (300, 297.0)
    for name in SUMS:
        assert_allclose(getattr(statistics, name), getattr(expected, name), rtol=1e-13, atol=1e-13, err_msg=name)


def test_rows_of_weight_zero_alone_are_no_rows(e_step, drawn):
    statistics = e_step(drawn.rows, np.zeros(300), parameters_of(drawn))
    assert (statistics.n_samples, statistics.weight, statistics.log_likelihood) == (300, 0.0, 0.0)
    assert_array_equal(statistics.second, 0.0)


def test_a_bad_row_is_named_by_its_place_among_all_rows(e_step, drawn):
    rows, weights = drawn.rows.copy(), np.ones(len(drawn.rows))
    weights[:5], rows[9] = 0.0, np.nan
    with pytest.raises(RowError) as caught:
        e_step(rows, weights, parameters_of(drawn))
    assert caught.value.row == 9


@pytest.mark.parametrize("value", [-1.0, np.nan, np.inf])
def test_a_wrong_weight_is_named(e_step, drawn, value):
    weights = np.ones(len(drawn.rows))
    weights[7] = value
    with pytest.raises(RowError, match="sample_weight is") as caught:
        e_step(drawn.rows, weights, parameters_of(drawn))
    assert caught.value.row == 7


@pytest.mark.parametrize("rows", [np.zeros((5, 2)), np.zeros(3), np.zeros((2, 3, 1))])
def test_rows_of_the_wrong_shape_are_refused(e_step, drawn, rows):
    with pytest.raises(InputDataError, match="expected blocks of shape"):
        e_step(rows, None, parameters_of(drawn))


@pytest.mark.parametrize("dtype", [complex, object, "M8[s]", "U3"])
def test_rows_without_real_numbers_are_refused(e_step, drawn, dtype):
    with pytest.raises(InputTypeError, match="expected real numbers"):
        e_step(np.zeros((5, 3), dtype=dtype), None, parameters_of(drawn))
