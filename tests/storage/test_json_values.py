from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from daskgmm.errors import ParameterError
from daskgmm.storage.json_values import decoded, encoded, strict_json


def through_text(value):
    return decoded(strict_json(json.dumps(encoded(value, "settings"), allow_nan=False).encode()))


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text().filter(lambda key: not key.startswith("$")), inner),
    )
)
def test_values_survive(value):
    assert through_text(value) == value


def test_nan_survives():
    assert math.isnan(through_text(math.nan))


@pytest.mark.parametrize("value", [np.float64(0.1), np.float32(0.5), np.int64(7), np.bool_(True), np.str_("full")])
def test_numpy_scalars_become_python_ones(value):
    result = through_text(value)
    assert result == value
    assert not isinstance(result, np.generic)


def test_tuples_become_lists():
    assert through_text((1, (2, 3))) == [1, [2, 3]]


@pytest.mark.parametrize(
    "array",
    [np.array([[0.1, -np.inf], [np.nan, 1e308]]), np.arange(6).reshape(1, 2, 3), np.array([True]), np.zeros((0, 3))],
)
def test_arrays_survive_to_the_last_bit(array):
    result = through_text({"means_init": array})["means_init"]
    assert result.dtype == array.dtype
    np.testing.assert_array_equal(result, array)


@pytest.mark.parametrize(
    ("value", "place"),
    [
        ({"kernel": object()}, "settings.kernel"),
        ([1, {2}], r"settings\[1\]"),
        ({1: 2}, "settings"),
        ({"$float": "inf"}, "settings"),
        (np.array([1j]), "settings"),
        (np.array(["a"]), "settings"),
        (np.zeros((1, 1, 1, 1)), "settings"),
        (1j, "settings"),
        (b"bytes", "settings"),
    ],
)
def test_other_values_are_refused_by_name(value, place):
    with pytest.raises(ParameterError, match=f"{place}: expected"):
        encoded(value, "settings")


@pytest.mark.parametrize(
    "text", ["NaN", "[Infinity]", "-Infinity", '{"a": 1, "a": 2}', "{", "", "\xff", "[" * 10**5, "1" * 5000]
)
def test_text_that_is_not_strict_json_is_refused(text):
    with pytest.raises(ValueError, match=r"\w"):
        strict_json(text.encode("latin-1"))


@pytest.mark.parametrize(
    "value",
    [
        {"$float": "1.0"},
        {"$float": []},
        {"$float": "inf", "more": 1},
        {"$array": 3},
        {"$array": {"dtype": "<f8", "shape": [1]}},
        {"$array": {"dtype": "|O", "shape": [1], "values": [1.0]}},
        {"$array": {"dtype": [], "shape": [1], "values": [1.0]}},
        {"$array": {"dtype": "<f8", "shape": [2], "values": [1.0]}},
        {"$array": {"dtype": "<f8", "shape": [-1, -1], "values": [1.0]}},
        {"$array": {"dtype": "<f8", "shape": [True], "values": [1.0]}},
        {"$array": {"dtype": "<f8", "shape": [1] * 4, "values": [1.0]}},
        {"$array": {"dtype": "<f8", "shape": "1", "values": [1.0]}},
        {"$array": {"dtype": "<f8", "shape": [1], "values": "1"}},
        {"$array": {"dtype": "<f8", "shape": [1], "values": ["1"]}},
        {"$array": {"dtype": "<f8", "shape": [1], "values": [1.0]}, "more": 1},
    ],
)
def test_objects_that_stand_for_nothing_are_refused(value):
    with pytest.raises(ValueError, match="expected"):
        decoded([value])
