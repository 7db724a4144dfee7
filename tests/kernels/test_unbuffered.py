from __future__ import annotations

import threading

import numpy as np
import pytest

from daskgmm.kernels.unbuffered import SMALLEST_BUFFER, unbuffered


def test_the_buffer_is_small_within_and_as_before_afterwards():
    before = np.getbufsize()
    with unbuffered():
        assert np.getbufsize() == SMALLEST_BUFFER < before
    assert np.getbufsize() == before
    with pytest.raises(ValueError, match="stop"), unbuffered():
        raise ValueError("stop")
    assert np.getbufsize() == before


def test_other_threads_keep_theirs():
    before, seen = np.getbufsize(), []
    with unbuffered():
        thread = threading.Thread(target=lambda: seen.append(np.getbufsize()))
        thread.start()
        thread.join(timeout=10)
    assert seen == [before]


def test_errors_stay_as_the_caller_has_them():
    with np.errstate(over="raise"), unbuffered(), pytest.raises(FloatingPointError):
        np.array([1e300]) * 1e300
