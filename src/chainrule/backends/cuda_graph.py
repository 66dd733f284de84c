"""Run a training step as one CUDA graph, with matrix products that a graph can contain.

CuPy does not allow its own matrix products in a graph (cupy#6290). While a step is being captured,
nvmath-python computes the products instead. Both libraries call cuBLAS, but with separate handles.
"""

from __future__ import annotations

import contextlib
import gc
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from ..errors import BackendError, to_install
from ..types import Array

_WORKSPACE = 32 * 2**20  # in bytes; cuBLAS recommends this size for the largest GPUs
_KINDS = {"float32": 0, "float64": 1}  # the values of CUDA_R_32F and CUDA_R_64F in cudaDataType_t


class CapturedStep:
    """A training step that runs as usual twice, and as a CUDA graph from the third call on.

    The first run may differ from later runs (see `Backend.compile`). The second run compiles all
    kernels and fills the memory pool, because neither is possible during a capture.

    Temporary arrays stay in a private memory pool while the graph exists, so that no other work can
    use their memory.

    Parameters
    ----------
    cupy : module
        CuPy.
    step : callable
        See `Backend.compile`.
    products : Products
        The object that computes the matrix products while the step runs.
    use : callable
        A function that takes `products` and returns a context in which the backend uses them.

    Raises
    ------
    BackendError
        When called, if the step cannot be captured or if memory runs out.
    """

    def __init__(
        self,
        cupy: Any,
        step: Callable[[], None],
        products: Products,
        use: Callable[[Products], contextlib.AbstractContextManager[None]],
    ) -> None:
        self._cupy = cupy
        self._step = step
        self._products = products
        self._use = use
        self._stream = cupy.cuda.Stream(non_blocking=True)
        self._pool = cupy.cuda.MemoryPool()
        self._runs = 0
        self._graph: Any = None

    def __call__(self) -> None:
        if self._graph is None and self._runs == 2:
            with self._aside():
                self._graph = self._captured()
        if self._graph is not None:
            self._graph.launch(self._cupy.cuda.get_current_stream())
            return
        try:
            with self._aside():
                self._step()
        except self._cupy.cuda.memory.OutOfMemoryError as error:  # the pool needs extra memory
            raise BackendError(f"there is not enough memory for the graph: {error}") from error
        self._runs += 1

    @contextlib.contextmanager
    def _aside(self) -> Iterator[None]:
        """Use a private stream and memory pool. Wait for all work before and after the block."""
        self._cupy.cuda.get_current_stream().synchronize()
        try:
            with (
                self._stream,
                self._cupy.cuda.using_allocator(self._pool.malloc),
                self._products.on(self._stream),
                self._use(self._products),
            ):
                yield
        finally:
            self._stream.synchronize()

    def _captured(self) -> Any:
        with _no_collection():
            self._stream.begin_capture()
            try:
                self._step()
                return self._stream.end_capture()
            except BaseException as error:
                with contextlib.suppress(Exception):  # even a failed capture must be ended
                    self._stream.end_capture()
                if not isinstance(error, Exception) or isinstance(error, BackendError):
                    raise
                raise BackendError(f"the step cannot be captured: {error!r}") from error


@contextlib.contextmanager
def _no_collection() -> Iterator[None]:
    """Turn off Python's garbage collector, because freeing another graph would break a capture."""
    gc.collect()
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


class Products:
    """Matrix products of CuPy arrays, computed by cuBLAS through nvmath-python.

    Parameters
    ----------
    cupy : module
        CuPy.
    precision : {"float32", "tf32"}, optional
        The precision to which the products round float32 factors.

    Raises
    ------
    BackendError
        If nvmath-python is not installed or finds no cuBLAS.
    """

    def __init__(self, cupy: Any, precision: str = "float32") -> None:
        try:
            from nvmath.bindings import cublas

            self._handle = cublas.create()
        except Exception as error:  # nvmath-python, cuBLAS or memory is missing
            raise BackendError(
                f"CUDA graphs need nvmath-python, which does not work here ({error!r}): "
                f"{to_install('cuda12,graphs12')}, or with 13 instead of 12 for a newer driver"
            ) from error
        weakref.finalize(self, cublas.destroy, self._handle)
        self._cupy = cupy
        self._cublas = cublas
        self._workspace = cupy.cuda.alloc(_WORKSPACE)
        compute = cublas.ComputeType
        single = {"float32": compute.COMPUTE_32F, "tf32": compute.COMPUTE_32F_FAST_TF32}[precision]
        self._compute = {"float32": int(single), "float64": int(compute.COMPUTE_64F)}
        # cuBLAS computes ``1.0 * a @ b + 0.0 * out`` and reads both factors from host memory.
        self._factors = {name: np.asarray([1.0, 0.0], dtype=name) for name in _KINDS}

    @contextlib.contextmanager
    def on(self, stream: Any) -> Iterator[None]:
        """Run the products on a stream."""
        self._cublas.set_stream(self._handle, stream.ptr)
        self._cublas.set_workspace(
            self._handle, self._workspace.ptr, _WORKSPACE
        )  # needed after each set_stream, which resets the workspace
        yield

    def __call__(self, a: Array, b: Array, *, out: Array | None = None) -> Array:
        """Return ``a @ b`` for two matrices of the same dtype. Write it to `out` if given."""
        name = str(a.dtype)
        if a.ndim != 2 or b.ndim != 2 or a.dtype != b.dtype or name not in _KINDS:
            raise BackendError(
                f"expected matrices of float32 or float64, found {a.dtype} of {a.ndim} axes and "
                f"{b.dtype} of {b.ndim}"
            )
        if out is None:
            out = self._cupy.empty((a.shape[0], b.shape[1]), dtype=a.dtype)
        elif out.dtype != a.dtype or not out.flags.c_contiguous:
            raise BackendError(f"expected out to be contiguous {a.dtype}, found {out.dtype}")
        a, b = map(self._in_one_piece, (a, b))
        kind, factors = _KINDS[name], self._factors[name].ctypes.data
        sizes, (first, transposed_b, step_b), (second, transposed_a, step_a) = column_major(a, b)
        self._cublas.gemm_ex(
            self._handle,
            int(transposed_b),
            int(transposed_a),
            *sizes,
            factors,
            first.data.ptr,
            kind,
            step_b,
            second.data.ptr,
            kind,
            step_a,
            factors + self._factors[name].itemsize,
            out.data.ptr,
            kind,
            sizes[0],
            self._compute[name],
            int(self._cublas.GemmAlgo.DEFAULT),
        )
        return out

    def _in_one_piece(self, x: Array) -> Array:
        flags = x.flags
        return x if flags.c_contiguous or flags.f_contiguous else self._cupy.ascontiguousarray(x)


Operand = tuple[Array, bool, int]


def column_major(a: Array, b: Array) -> tuple[tuple[int, int, int], Operand, Operand]:
    """Return cuBLAS's arguments for ``a @ b``. cuBLAS expects column-major matrices.

    cuBLAS reads the memory of a row-major matrix as the transposed matrix. So cuBLAS computes
    ``(a @ b).T = b.T @ a.T``. Row by row, the memory of the result then holds ``a @ b``.

    Parameters
    ----------
    a, b : array
        ``(m, k)`` and ``(k, n)``, contiguous by rows or by columns.

    Returns
    -------
    sizes : tuple of int
        ``(n, m, k)``: the transposed product is ``(n, m)``, and `k` is the inner size.
    first, second : tuple
        `b` and `a`. Each tuple holds the matrix, whether cuBLAS must transpose it, and the distance
        in memory from one column to the next.
    """

    def operand(x: Array) -> Operand:
        by_rows = bool(x.flags.c_contiguous)
        return x, not by_rows, int(x.shape[1] if by_rows else x.shape[0])

    return (int(b.shape[1]), int(a.shape[0]), int(a.shape[1])), operand(b), operand(a)
