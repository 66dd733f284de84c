"""Exceptions, each derived from the built-in one that users would catch, and hints for messages."""

from __future__ import annotations

import sys
from typing import Any


class ShapeError(ValueError):
    """An array does not have the shape that a layer, a loss or a data set expects."""


class DataError(ValueError):
    """Data is unusable: no rows, not numbers, NaN, or labels outside the classes."""


class BackendError(ImportError):
    """An array library, or the hardware that it needs, is missing."""


class FileFormatError(ValueError):
    """A file is damaged, has another format, or does not fit the model that loads it."""


class DivergenceError(ArithmeticError):
    """The training loss, a gradient or a weight became NaN or infinite."""


def other_dtype(what: str, found: Any, expected: Any) -> TypeError:
    """Return the error for an array whose dtype is not the one that a model or a loss uses."""
    return TypeError(
        f"{what} is {found}, the model computes in {expected}: xp.astype(y, x.dtype) converts it"
    )


def what_is_meant(thing: Any) -> str:
    """Return a hint about a `thing` of the wrong type, to append to an error message."""
    if instead := getattr(type(thing), "instead", ""):
        return f": {instead}"
    kind = thing if isinstance(thing, type) else type(thing)
    theirs = [k for k in kind.__mro__ if k.__module__.startswith(("torch.nn.", "torch.optim."))]
    if not theirs:
        return f": did you mean {kind.__name__}()?" if thing is kind else ""
    if not theirs[0].__module__.startswith(("torch.nn.modules.loss", "torch.optim")):
        return ": it is PyTorch's; cr.from_torch(module) converts a module to a model"
    name = theirs[0].__name__
    if hasattr(sys.modules["chainrule"], name):
        return f": it is PyTorch's; did you mean cr.{name}(...)?"
    return ": it is PyTorch's; chainrule has its own losses and optimizers"


def to_install(extra: str) -> str:
    """Return the command that installs an extra, for error messages (chainrule is not on PyPI)."""
    return f'pip install ".[{extra}]" in a clone of chainrule\'s repository'
