"""Constructor arguments, repr and error messages of layers."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any, ClassVar, Self

import numpy as np

from ..checks import expect_arguments
from ..errors import ShapeError, report_writing, repr_without_elements
from ..types import Array
from .hints import Hints


class Described(Hints):
    """Base class of `Layer` that remembers the constructor arguments."""

    keeps_arguments = False
    """Whether each constructor argument is stored in an attribute of the same name. If so, an
    assignment such as ``layer.p = 0.1`` changes the layer, its repr and files saved later."""

    _where: ClassVar[frozenset[str]] = frozenset()
    """Constructor arguments for the backend, device, dtype and seed of a model. These arguments are
    neither shown in the repr nor written to files."""

    # Class attributes, so that a custom layer need not call super().__init__().
    _arguments: tuple[tuple[Any, ...], dict[str, Any]] = ((), {})
    _names: Sequence[str] = ()  # one name for each use in a model; empty for the model itself

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        expect_arguments(cls, args, kwargs)
        self = super().__new__(cls)
        named = {k: _plain(v) for k, v in kwargs.items() if k not in cls._where}
        self._arguments = _plain(args), named
        return self

    def arguments(self) -> inspect.BoundArguments:
        """Return the constructor arguments, or their current values if `keeps_arguments`."""
        args, kwargs = self._arguments
        signature = inspect.signature(self.__init__)  # type: ignore[misc]
        bound = signature.bind(*args, **kwargs)
        if self.keeps_arguments:
            for name, parameter in signature.parameters.items():
                value = getattr(self, name)
                if name in bound.arguments or value != parameter.default:
                    bound.arguments[name] = value
        return bound

    def __repr__(self) -> str:
        bound = self.arguments()
        words = [repr_without_elements(a) for a in bound.args]
        words += [f"{k}={repr_without_elements(v)}" for k, v in bound.kwargs.items()]
        return f"{type(self).__name__}({', '.join(words)})"

    def _label(self) -> str:
        names = " and ".join(repr(name) for name in self._names if name)
        text = repr(self)
        if "\n" in text:  # a layer with a `Sequential` inside
            text = f"{type(self).__name__}(...)"
        return f"layer {names}, {text}" if names else text

    def expect(
        self, ok: bool, expected: tuple[int | str, ...], x: Array, hint: str | None = None
    ) -> None:
        """Raise a `ShapeError` with this layer's name and the expected shape unless `ok`."""
        if ok:
            return
        words = ", ".join(map(str, expected))
        message = f"{self._label()}: expected input of shape ({words}), found {tuple(x.shape)}"
        if 0 in x.shape:
            hint = "the input is empty"
        raise ShapeError(f"{message}: {hint}" if hint else message)

    def _wrote_to_input(self, error: Exception) -> None:
        """If `error` is about a read-only array, raise an error with this layer's name instead."""
        report_writing(self._label(), error, arrays="x or dy")


def _plain(argument: Any) -> Any:
    """Convert NumPy numbers to Python numbers, and copy lists, which a caller may change later."""
    if isinstance(argument, np.generic):
        return argument.item()
    if type(argument) in (list, tuple):
        return type(argument)(map(_plain, argument))
    return argument
