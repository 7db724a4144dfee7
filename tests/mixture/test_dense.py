from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse

from daskgmm.errors import InputTypeError
from daskgmm.mixture.dense import check_dense, check_dtype


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", ">f8", "<i4", ">u2", "i1", "u8", "?"])
def test_real_numbers_of_any_width_and_byte_order_are_accepted(dtype):
    check_dtype(dtype, "X")
    check_dense(np.zeros(3, dtype), "X")


@pytest.mark.parametrize(
    ("dtype", "remedy"),
    [
        ("c8", "separate features"),
        ("c16", "separate features"),
        ("M8[s]", "dates"),
        ("m8[s]", "durations"),
        ("O", "astype"),
        ("S4", "text"),
        ("U4", "text"),
        (np.dtypes.StringDType(), "text"),
        ([("a", "f8")], "each field"),
    ],
)
def test_other_dtypes_are_refused_with_a_remedy(dtype, remedy):
    with pytest.raises(InputTypeError, match=f"X: expected real numbers.*{remedy}"):
        check_dtype(dtype, "X")


def test_masked_arrays_are_refused():
    with pytest.raises(InputTypeError, match="masked"):
        check_dense(np.ma.masked_array([1.0]), "X")


def test_sparse_arrays_are_refused():
    with pytest.raises(InputTypeError, match=r"csr_array.*toarray"):
        check_dense(scipy.sparse.csr_array((2, 2)), "X")
