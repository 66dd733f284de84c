"""What can go wrong, as classes that derive from the built-in a user would catch."""

from __future__ import annotations

from typing import Any


class ShapeError(ValueError):
    """An array has another shape than the layer, loss or data set that it is given to expects."""


class DataError(ValueError):
    """Data holds what no training can use: no rows, NaN, labels outside the classes, no numbers."""


class BackendError(ImportError):
    """An array library is not installed, or the hardware it needs is not there."""


class FileFormatError(ValueError):
    """A file is damaged, of another kind, or does not fit the model it is loaded into."""


class DivergenceError(ArithmeticError):
    """The training loss, a gradient or a weight became NaN or infinite."""


def other_dtype(what: str, found: Any, expected: Any) -> TypeError:
    """The error for an array that is not of the dtype in which a model or a loss computes."""
    return TypeError(
        f"{what} is {found}, the model computes in {expected}: xp.astype(y, x.dtype) converts it"
    )


def what_is_meant(thing: Any) -> str:
    """A hint for the end of an error's message, where `thing` is of another kind than expected."""
    if instead := getattr(type(thing), "instead", ""):
        return f": {instead}"
    if isinstance(thing, type):
        return f": is {thing.__name__}() meant?"
    if any(kind.__module__.startswith("torch.") for kind in type(thing).__mro__):
        return ": it is PyTorch's; cr.from_torch(module) makes a model of a module"
    return ""


def to_install(extra: str) -> str:
    """How to install an extra, for the end of an error's message: it is on no package index."""
    return f'pip install ".[{extra}]" in a clone of chainrule\'s repository'
