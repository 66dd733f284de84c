"""Stand-ins for CuPy and cuBLAS, to test the capture of a step without a GPU.

As in cuBLAS itself, matrices are passed by address and stored column by column.
"""

import ctypes
from types import SimpleNamespace

import numpy as np


class DeviceArray(np.ndarray):
    """A NumPy array with its address in ``data.ptr``, as in CuPy."""

    @property
    def data(self):
        return SimpleNamespace(ptr=self.__array_interface__["data"][0])


def on_device(x):
    return np.asarray(x).view(DeviceArray)


class CuBLAS:
    """The cuBLAS functions that chainrule calls, written from the documentation of cuBLAS."""

    ComputeType = SimpleNamespace(COMPUTE_32F=68, COMPUTE_32F_FAST_TF32=77, COMPUTE_64F=70)
    GemmAlgo = SimpleNamespace(DEFAULT=-1)

    def __init__(self):
        self.calls = []

    def create(self):
        self.calls.append(("handle", 1))
        return 1

    def destroy(self, handle):
        self.calls.append(("destroyed", handle))

    def set_stream(self, handle, stream):
        self.calls.append(("stream", stream))

    def set_workspace(self, handle, address, size):
        self.calls.append(("workspace", size))

    def gemm_ex(
        self, handle, transa, transb, m, n, k, alpha, a, a_type, lda, b, b_type, ldb,
        beta, c, c_type, ldc, compute, algo,
    ):  # fmt: skip
        kinds = {0: (ctypes.c_float, 68), 1: (ctypes.c_double, 70)}
        kind, expected = kinds[c_type]
        assert a_type == b_type == c_type
        assert compute in (expected, 77)

        def matrix(address, transposed, rows, columns, leading):
            rows, columns = (columns, rows) if transposed else (rows, columns)
            assert leading >= max(1, rows)
            block = np.ctypeslib.as_array((kind * (leading * columns)).from_address(address))
            block = block.reshape(columns, leading)[:, :rows].T
            return block.T if transposed else block

        one, zero = (kind.from_address(address).value for address in (alpha, beta))
        assert (one, zero) == (1.0, 0.0)
        self.calls.append(("product", compute))
        product = matrix(a, transa, m, k, lda) @ matrix(b, transb, k, n, ldb)
        matrix(c, 0, m, n, ldc)[...] = product


class Stream:
    ptr = 7

    def __init__(self, log=None, **options):
        self.log = [] if log is None else log
        self.capturing = False

    def __enter__(self):
        self.log.append("aside")

    def __exit__(self, *error):
        self.log.append("back")

    def synchronize(self):
        self.log.append("waits")

    def begin_capture(self):
        self.capturing = True

    def end_capture(self):
        assert self.capturing
        self.capturing = False
        return SimpleNamespace(launch=lambda stream: self.log.append("launched"))
