"""NumPy on the CPU."""

import warnings
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from ..formulas import squares
from ..types import Array, Rule
from .base import Backend, overwrite
from .conversion import to_numpy

# Elements that a rule is applied to at once: its temporaries stay in the cache and are reused.
_BLOCK = 16384


class NumpyBackend(Backend, name="numpy"):
    """NumPy; matrix products go straight into place.

    A rule is one compiled loop where numba is installed (the extra ``fast``), else it is applied
    block by block.
    """

    def __init__(self, *, device: Any = None, precision: str | None = None) -> None:
        super().__init__(np, device=device, precision=precision)

    def asarray(self, x: Any, *, dtype: Any = None) -> Array:
        return np.asarray(to_numpy(x), dtype=dtype)  # an object array is NumPy's own, too

    def to_numpy(self, x: Array) -> np.ndarray:
        return np.asarray(x)

    def read_only(self, x: Array) -> Array:
        view = x.view()
        view.flags.writeable = False
        return view

    def matmul(self, a: Array, b: Array, out: Array | None = None) -> Array:
        if out is None:
            return a @ b
        # Where there is a single sample, np.matmul takes ten times as long as np.dot.
        return (np.dot if out.ndim == 2 else np.matmul)(a, b, out=out)

    def elementwise(self, make_rule: Callable[[Any], Rule], *, outputs: int) -> Callable[..., None]:
        rule = make_rule(np)

        def by_blocks(*arguments: Array) -> None:
            for start in range(0, arguments[0].size, _BLOCK):
                part = slice(start, start + _BLOCK)
                blocks = [a[part] if a.ndim else a for a in arguments]
                overwrite(blocks[:outputs], rule(*blocks))

        if not has_numba():
            return by_blocks
        from .fused import fused

        return fused(rule, outputs, otherwise=by_blocks)

    def _make_kernel(self, function: Callable[..., Any]) -> Callable[..., Any]:
        if function is squares:
            return lambda x: np.vdot(x, x)  # twice as fast, and no warning of an overflow
        if not has_numba():
            return super()._make_kernel(function)
        from .fused import KERNELS

        return KERNELS.get(function) or super()._make_kernel(function)

    def scatter_add(self, target: Array, index: Array, values: Array) -> None:
        np.add.at(target, index, values)


@cache
def has_numba() -> bool:
    """Whether numba, the extra ``fast``, can be imported; one that is broken is told of, once."""
    try:
        import numba  # noqa: F401
    except Exception as error:  # for this NumPy it may be too old
        if not (isinstance(error, ModuleNotFoundError) and error.name == "numba"):
            warnings.warn(
                f"numba is installed, but cannot be imported ({error}): NumPy is used without it, "
                "which is slower",
                RuntimeWarning,
                stacklevel=3,
            )
        return False
    return True
