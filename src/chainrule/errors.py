"""Exceptions, each derived from a built-in exception, and hints for error messages."""

from __future__ import annotations

import importlib
import reprlib
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any


class ShapeError(ValueError):
    """An array does not have the shape that a layer, a loss or a data set expects.

    Examples
    --------
    >>> try:
    ...     cr.mlp([3, 2]).predict(np.zeros((4, 5)))
    ... except cr.ShapeError as error:
    ...     print(error)
    layer '0', Linear(3, 2): expected input of shape (batch, 3), found (4, 5)
    """


class DataError(ValueError):
    """Data is empty or not numeric, or contains NaN, infinity or labels out of range.

    Examples
    --------
    >>> try:
    ...     cr.mlp([1, 1]).predict([["ten"]])
    ... except cr.DataError as error:
    ...     print(error)
    expected an array of real numbers, found dtype object with 'ten'
    """


class BackendError(ImportError):
    """An array library, or the hardware that it needs, is missing.

    Examples
    --------
    >>> try:
    ...     cr.get_backend("numpy", device="cuda")
    ... except cr.BackendError as error:
    ...     print(error)  # doctest: +ELLIPSIS
    backend 'numpy' cannot use device='cuda' (...); to choose the array library, use backend=
    """


class FileFormatError(ValueError):
    """A file is damaged, has a different format, or does not fit the model that loads the file.

    Examples
    --------
    >>> with open("notes.txt", "w") as file:
    ...     print("no model", file=file)
    >>> try:
    ...     cr.load("notes.txt")
    ... except cr.FileFormatError as error:
    ...     print(error)  # doctest: +ELLIPSIS
    notes.txt: not a valid safetensors file: ...
    """


class DivergenceError(ArithmeticError):
    """The training loss, a gradient or a weight became NaN or infinite.

    Examples
    --------
    >>> x = np.asarray([[1.0], [2.0]])
    >>> trainer = cr.Trainer(cr.mlp([1, 1]), loss=cr.MSELoss(), optimizer=cr.SGD(lr=10.0))
    >>> try:
    ...     with np.errstate(over="ignore"):
    ...         trainer.fit(x, x, epochs=50, verbose=0)
    ... except cr.DivergenceError as error:
    ...     print(error)  # doctest: +ELLIPSIS
    the loss became inf at step ...: try a smaller learning rate, or clip_norm= in the optimizer
    """


@contextmanager
def blaming(what: str) -> Iterator[None]:
    """Add the name of the invalid data to error messages."""
    try:
        yield
    except (ShapeError, DataError) as error:
        raise type(error)(f"{what}: {error}") from error
    except Exception as error:  # from custom code
        report_writing(what, error)
        error.add_note(f"(in {what})")
        raise


def report_writing(what: str, error: Exception, *, arrays: str = "its arguments") -> None:
    """If `error` is about a read-only array, raise an error that says who writes to it instead."""
    if isinstance(error, ValueError) and "read-only" in str(error):
        raise ValueError(
            f"{what}: writes to {arrays}, but other code also uses these arrays: make a new array, "
            "such as x + 1 instead of x += 1"
        ) from error


def blamed(f: Callable[[Any], Any]) -> Callable[[str, Any], Any]:
    """Return `f` as a function ``(name, x)``. Errors name the input if there are several."""

    def with_name(name: str, x: Any) -> Any:
        with blaming(name) if "[" in name else nullcontext():  # a single input needs no name
            return f(x)

    return with_name


def other_dtype(what: str, found: Any, expected: Any) -> TypeError:
    """Return the error for an array whose dtype is not the dtype of the model or the loss."""
    return TypeError(
        f"{what} is {found}, but the model computes in {expected}: use xp.astype(y, x.dtype)"
    )


def repr_without_elements(x: Any) -> str:
    """Return the repr of an object. For arrays and data frames, return only type and shape."""
    return f"<{type(x).__name__} of shape {tuple(x.shape)}>" if _is_data(x) else repr(x)


def _is_data(x: Any) -> bool:
    shape = getattr(x, "shape", ())
    return (
        bool(shape) and isinstance(shape, tuple) and (hasattr(x, "dtype") or hasattr(x, "columns"))
    )


class _Short(reprlib.Repr):
    """Shortens long texts and lists. Arrays and data frames are shown by type and shape."""

    def repr_instance(self, x: Any, level: int) -> str:
        return repr_without_elements(x) if _is_data(x) else super().repr_instance(x, level)


_short = _Short()
_short.maxlevel, _short.maxlist, _short.maxtuple = 3, 4, 4
_short.maxother = _short.maxstring = 120
shown = _short.repr
"""Return a short text for an object of any type, to show in an error message."""


def what_is_meant(thing: Any) -> str:
    """Return a hint about an object of the wrong type, to append to an error message."""
    if instead := getattr(type(thing), "instead", ""):
        return f": {instead}"
    kind = thing if isinstance(thing, type) else type(thing)
    theirs = [k for k in kind.__mro__ if k.__module__.startswith(("torch.nn.", "torch.optim."))]
    if not theirs:
        return f": did you mean {kind.__name__}()?" if thing is kind else ""
    if not theirs[0].__module__.startswith(("torch.nn.modules.loss", "torch.optim")):
        return ": this comes from PyTorch; cr.from_torch(module) converts a module to a model"
    name = theirs[0].__name__
    if hasattr(sys.modules["chainrule"], name):
        return f": this comes from PyTorch; did you mean cr.{name}(...)?"
    return ": this comes from PyTorch; chainrule has its own losses and optimizers"


def require(module: str, *, what: str, extra: str) -> Any:
    """Import a module of another library that `what` needs, and return the module.

    Raises
    ------
    ImportError
        If the module cannot be imported. The message says how to install the library.
    """
    try:
        return importlib.import_module(module)  # noqa: TID251  (not a module of this package)
    except ImportError as error:
        library = module.partition(".")[0]
        raise ImportError(f"{what} needs {library}: {to_install(extra)}") from error


def to_install(extra: str) -> str:
    """Return the command that installs an extra (chainrule is not on PyPI)."""
    return f'pip install ".[{extra}]" in a clone of chainrule\'s repository'
