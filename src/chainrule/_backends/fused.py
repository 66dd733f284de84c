"""Rules as one compiled loop over the elements (numba, the extra ``fast``).

A loop reads and writes each element once, where NumPy makes a pass over memory for each operation.
No floating-point liberties are taken: the results are NumPy's, bit for bit. The loops use one
thread: numba's and those of NumPy's BLAS would wait for each other.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numba

from ..backend import Array, Rule

Update = Callable[..., None]
_compiled = numba.njit(error_model="numpy")  # a division by zero is infinite, not an exception


def fused(rule: Rule, outputs: int, otherwise: Update) -> Update:
    """An update of arrays by `rule` as a compiled loop, see `Backend.elementwise`.

    Parameters
    ----------
    rule : callable
        Of arrays and then numbers; compiled when it is first called.
    outputs : int
        How many of the arrays it overwrites.
    otherwise : callable
        The update that is used for a number of arrays that has no loop here, or, with a warning,
        for a rule that numba cannot compile.
    """
    element = _compiled(rule)
    loops = {
        arrays: _compiled(make(element))
        for (arrays, overwritten), make in _LOOPS.items()
        if overwritten == outputs
    }

    def update(*arguments: Array) -> None:
        arrays = sum(a.ndim > 0 for a in arguments)
        loop = loops.get(arrays)
        if loop is None:
            otherwise(*arguments)
            return
        try:
            loop(*arguments[:arrays], arguments[arrays:])
        except numba.core.errors.NumbaError as error:  # before anything was written
            del loops[arrays]
            otherwise(*arguments)
            warnings.warn(f"{rule!r} runs uncompiled: {error}", RuntimeWarning, stacklevel=3)

    return update


# numba unrolls no list of arrays, so there is a loop for each number of them.


def _two_arrays(element: Any) -> Update:
    def loop(a: Array, b: Array, numbers: tuple[Any, ...]) -> None:
        for i in range(a.size):
            (a[i],) = element(a[i], b[i], *numbers)

    return loop


def _three_arrays(element: Any) -> Update:
    def loop(a: Array, b: Array, c: Array, numbers: tuple[Any, ...]) -> None:
        for i in range(a.size):
            a[i], b[i] = element(a[i], b[i], c[i], *numbers)

    return loop


def _four_arrays(element: Any) -> Update:
    def loop(a: Array, b: Array, c: Array, d: Array, numbers: tuple[Any, ...]) -> None:
        for i in range(a.size):
            a[i], b[i], c[i] = element(a[i], b[i], c[i], d[i], *numbers)

    return loop


_LOOPS = {(2, 1): _two_arrays, (3, 2): _three_arrays, (4, 3): _four_arrays}
