"""The two forms of data: one array, or several arrays in a tuple or a dict.

With these functions, layers, losses and sources of batches handle both forms in the same way.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from .errors import DataError, ShapeError, shown
from .types import Array, Arrays, Shapes

_SEVERAL = (tuple, dict)

ONE_OR_SEVERAL = "a list is one array, while a tuple or a dict is several arrays"
"""A hint for error messages."""


class Padded(NamedTuple):
    """Padded sequences ``(batch, time, ...)`` and their lengths ``(batch,)``."""

    x: Any
    lengths: Any


class WithStates(tuple[Any, ...]):
    """The output of a recurrent layer, and its states after the last step: ``(y, h)``."""

    __slots__ = ()


OF_SEQUENCES = frozenset({"x", "lengths", "h", "c"})
"""The dict keys of padded sequences, their lengths, and the states of recurrent layers."""


def several(x: Any) -> bool:
    """Return whether `x` is a tuple or a dict. A list counts as one array."""
    return isinstance(x, _SEVERAL)


def each(f: Callable[..., Any], x: Arrays, *others: Arrays) -> Any:
    """Apply `f` to each array of `x`, and return the results in the same form as `x`.

    `others` also have this form. Their arrays are passed to `f` as further arguments.
    """
    if not isinstance(x, _SEVERAL):  # the most common case
        return f(x, *others)
    if isinstance(x, dict):
        return {key: f(array, *(other[key] for other in others)) for key, array in x.items()}
    results = (f(*arrays) for arrays in zip(x, *others, strict=True))
    return getattr(type(x), "_make", tuple)(results)  # `_make`: a named tuple


def named(name: str, x: Arrays) -> dict[str, Array]:
    """Return a dict from names, such as ``"x"``, ``"x[0]"`` or ``"x['image']"``, to arrays.

    Raises
    ------
    DataError
        If `x` is empty, or if a key of `x` is not a string.
    """
    if not several(x):
        return {name: x}
    pairs = dict(x if isinstance(x, dict) else enumerate(x))
    if not pairs:
        raise DataError(f"{name}: expected at least one array, found {shown(x)}")
    if isinstance(x, dict) and not all(isinstance(key, str) for key in x):
        raise DataError(f"{name}: expected strings as keys, found {shown(x)}")
    return {f"{name}[{key!r}]": array for key, array in pairs.items()}


def each_named(f: Callable[[str, Any], Any], name: str, x: Arrays) -> Any:
    """Apply ``f(name, array)`` to each array, as `each` does. The names are those of `named`."""
    results = iter([f(key, array) for key, array in named(name, x).items()])
    return each(lambda _: next(results), x)


def first(x: Arrays) -> Array:
    """Return the first array of `x`."""
    if not isinstance(x, _SEVERAL):
        return x
    return next(iter(named("x", x).values()))


def shape_of(x: Arrays) -> Any:
    """Return the shape of `x`, or the shapes of all its arrays in the same form."""
    if hasattr(x, "shape"):  # the most common case
        return tuple(x.shape)
    return each(lambda array: tuple(getattr(array, "shape", ())), x)


def each_shape(f: Callable[..., Any], shape: Shapes, *others: Any) -> Any:
    """Apply `f` to each shape, as `each` does. `shape` has the form that `shape_of` returns."""
    return f(shape, *others) if is_shape_of_one(shape) else each(f, shape, *others)


def fits(x: Arrays, shape: Shapes) -> bool:
    """Return whether `x` has this shape, given in the form that `shape_of` returns.

    If there is None instead of an array, any shape fits.
    """
    if not several(x):
        return is_shape_of_one(shape) if x is None else tuple(x.shape) == shape
    alike = not is_shape_of_one(shape) and named("", x).keys() == named("", shape).keys()
    return alike and all(named("", each(fits, x, shape)).values())


def is_shape_of_one(shape: Shapes) -> bool:
    """Return whether this is the shape of one array."""
    return not several(shape) or (
        isinstance(shape, tuple) and not any(isinstance(n, tuple | list) for n in shape)
    )


def rows(x: Arrays, part: Any) -> Any:
    """Return the same samples of each array. `part` is a slice or an array of row numbers."""
    return each(lambda array: array[part, ...], x)


def list_hint(*data: Any) -> str:
    """Return a hint for an error message if a list of arrays may be meant as several inputs."""
    starts = (x[0] for x in data if isinstance(x, list) and x)
    arrays = any(getattr(start, "ndim", 0) > 1 for start in starts)
    return f": {ONE_OR_SEVERAL}" if arrays else ""


def same_length(lengths: dict[str, int], hint: str = "") -> int:
    """Return the number of samples, or raise a `ShapeError` if it differs between arrays."""
    if len(set(lengths.values())) > 1:
        found = ", ".join(f"{n} in {name}" for name, n in lengths.items())
        raise ShapeError(f"expected the same number of samples in each array, found {found}{hint}")
    return next(iter(lengths.values()))
