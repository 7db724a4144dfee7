import pytest

from daskgmm.kernels.aligned import CACHE_LINE, aligned_empty


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("size", [1, 7, 1000, 2**18])
def test_it_begins_with_a_cache_line_and_is_all_writable(dtype, size):
    held = [aligned_empty(size, dtype) for _ in range(5)]
    for number, memory in enumerate(held):
        assert memory.shape == (size,)
        assert memory.dtype == dtype
        assert memory.ctypes.data % CACHE_LINE == 0
        memory[:] = number
    assert all((memory == number).all() for number, memory in enumerate(held))
