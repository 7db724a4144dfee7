from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose

from daskgmm.mixture.anderson import mixed
from daskgmm.mixture.secants import fit_secants


@pytest.fixture
def operator(generator):
    """A symmetric 8 x 8 matrix with eigenvalues in [-0.9, 0.9]."""
    frame, _ = np.linalg.qr(generator.normal(size=(8, 8)))
    return frame @ np.diag(np.linspace(-0.9, 0.9, 8)) @ frame.T


def test_every_secant_is_reproduced_by_a_symmetric_operator(generator, operator):
    steps = list(generator.normal(size=(3, 8)))
    curvature = fit_secants(steps, [operator @ step for step in steps], n_coordinates=8)
    for step in steps:
        assert_allclose(curvature.times(step), operator @ step, atol=1e-12)
    here, there = generator.normal(size=(2, 8))
    assert_allclose(here @ curvature.times(there), there @ curvature.times(here), atol=1e-12)


def test_as_many_secants_as_coordinates_give_the_operator(generator, operator):
    steps = list(generator.normal(size=(8, 8)))
    curvature = fit_secants(steps, [operator @ step for step in steps], n_coordinates=8)
    probe = generator.normal(size=8)
    assert_allclose(curvature.times(probe), operator @ probe, atol=1e-9)


def test_eigenvalues_are_clipped(generator):
    step = generator.normal(size=5)
    curvature = fit_secants([step], [7 * step], n_coordinates=5)
    assert_allclose(curvature.times(step), step, atol=1e-12)


def test_a_step_that_earlier_ones_span_is_left_out(generator, operator):
    first, second = generator.normal(size=(2, 8))
    trusted = [first, second], [operator @ first, operator @ second]
    expected = fit_secants(*trusted, n_coordinates=8)
    doubtful = fit_secants([*trusted[0], first + second], [*trusted[1], generator.normal(size=8)], n_coordinates=8)
    probe = generator.normal(size=8)
    assert_allclose(doubtful.times(probe), expected.times(probe), atol=1e-12)


@pytest.mark.parametrize("steps", [[], [np.zeros(4)]])
def test_without_a_step_there_is_no_curvature(steps):
    assert_allclose(fit_secants(steps, steps, n_coordinates=4).times(np.ones(4)), 0)


def test_mixing_solves_a_linear_iteration_in_as_many_steps_as_it_has_dimensions(generator, operator):
    constant = generator.normal(size=8)
    small = operator[:4, :4]
    points, images = [np.zeros(4)], [constant[:4]]
    for _ in range(5):
        points.append(mixed(points, images))
        images.append(small @ points[-1] + constant[:4])
    assert_allclose(points[-1], np.linalg.solve(np.eye(4) - small, constant[:4]), atol=1e-9)


def test_mixing_one_point_is_the_iteration_itself():
    assert_allclose(mixed([np.zeros(3)], [np.arange(3.0)]), np.arange(3.0))


def test_mixing_stays_finite_at_the_fixed_point():
    point = np.ones(3)
    assert_allclose(mixed([point, point, point], [point, point, point]), point)
