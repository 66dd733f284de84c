"""NumPy on the CPU."""

import warnings
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from ..formulas import BLOCK, count, extremes, predicted, squares, sum_over_batch
from ..types import Array, Rule
from .base import Backend, overwrite
from .conversion import to_numpy

# A rule is applied to blocks of this many elements, so that temporaries stay in the CPU's cache.
_IN_CACHE = 16384


class NumpyBackend(Backend, name="numpy"):
    """NumPy. Matrix products are written in place.

    If numba is installed (the ``fast`` extra), an optimizer's rule runs as a compiled loop.
    Otherwise, the rule is applied to one block of elements at a time.
    """

    patch_elements = 2**18  # 1 MiB of float32, the size of a level-2 cache

    def __init__(self, *, device: Any = None, precision: str | None = None) -> None:
        super().__init__(np, device=device, precision=precision)
        _keep_freed_memory()

    def asarray(self, x: Any, *, dtype: Any = None) -> Array:
        return np.asarray(to_numpy(x), dtype=dtype)  # also converts arrays of objects

    def to_numpy(self, x: Array) -> np.ndarray:
        return np.asarray(x)

    def read_only(self, x: Array) -> Array:
        view = x.view()
        view.setflags(write=False)
        return view

    def matmul(self, a: Array, b: Array, out: Array | None = None) -> Array:
        if out is None:
            return a @ b
        # For a single sample, np.matmul takes ten times as long as np.dot.
        return (np.dot if out.ndim == 2 else np.matmul)(a, b, out=out)

    def elementwise(self, make_rule: Callable[[Any], Rule], *, outputs: int) -> Callable[..., None]:
        rule = make_rule(np)

        def by_blocks(*arguments: Array) -> None:
            for start in range(0, arguments[0].size, _IN_CACHE):
                part = slice(start, start + _IN_CACHE)
                blocks = [a[part] if a.ndim else a for a in arguments]
                overwrite(blocks[:outputs], rule(*blocks))

        if not has_numba():
            return by_blocks
        from .fused import fused

        return fused(rule, outputs, otherwise=by_blocks)

    def _make_kernel(self, function: Callable[..., Any]) -> Callable[..., Any]:
        kernels: dict[Any, Any] = _KERNELS
        if has_numba():
            from . import fused, fused_cells, fused_sampling, fused_windows

            parts = fused, fused_cells, fused_sampling, fused_windows
            for part in parts:
                kernels = kernels | part.KERNELS
        return kernels.get(function) or super()._make_kernel(function)

    def recording(self) -> Any:
        if not has_numba():
            return None
        from .compiled.recording import RecordingBackend

        return RecordingBackend()

    def scatter_add(self, target: Array, index: Array, values: Array) -> None:
        if not target.flags.c_contiguous or (index.size, *target.shape[1:]) != values.shape:
            np.add.at(target, index, values)  # also raises an error for shapes that do not fit
            return
        target, values = (a.reshape(a.shape[0], -1) for a in (target, values))
        if has_numba():
            from .fused import scatter_add

            scatter_add(target, index, values)
        else:  # `np.add.at` is three to six times as fast on one axis as on two
            columns = target.shape[1]
            places = index[:, None] * columns + np.arange(columns)
            np.add.at(target.reshape(-1), places.reshape(-1), values.reshape(-1))


def _keep_freed_memory() -> None:
    """Let glibc's allocator keep up to 64 MiB of freed memory for the next arrays.

    By default, glibc returns the memory of an array of 128 KiB to the system. A recurrent network
    creates many such arrays, and spends a quarter of a training step on getting new memory. After a
    larger block has been freed, glibc keeps memory up to twice the size of this block (see
    ``man mallopt``, M_MMAP_THRESHOLD). With other C libraries, this function has no effect.
    """
    np.empty(2**25 - 2**14, np.uint8)  # freed at once; nothing is written, so no memory is used


def _sum_over_batch(x: Array) -> Array:
    """Compute `sum_over_batch`. For small batches, `np.add.reduce` is faster than `np.sum`."""
    return np.add.reduce(x) if x.ndim == 2 and x.shape[0] < 2 * BLOCK else sum_over_batch(np, x)


# On the small arrays of a batch, a method takes half the time of NumPy's function.
_KERNELS: dict[Callable[..., Any], Callable[..., Any]] = {
    count: lambda condition, dtype: dtype.type(np.count_nonzero(condition)),
    extremes: lambda x: (x.min(), x.max()),
    predicted: lambda outputs, labels: outputs.argmax(axis=-1) == labels,
    squares: lambda x: np.vdot(x, x),  # vdot is twice as fast and does not warn of overflow
    sum_over_batch: _sum_over_batch,
}


@cache
def has_numba() -> bool:
    """Return whether numba (the ``fast`` extra) can be imported. Warn once if numba is broken."""
    try:
        import numba  # noqa: F401
    except Exception as error:  # for example, numba is too old for this NumPy
        if not (isinstance(error, ModuleNotFoundError) and error.name == "numba"):
            warnings.warn(
                f"numba is installed, but cannot be imported ({error}): NumPy runs without numba, "
                "which is slower",
                RuntimeWarning,
                stacklevel=3,
            )
        return False
    return True
