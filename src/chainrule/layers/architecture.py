"""A model's architecture as JSON: the class and the constructor arguments of each layer."""

from __future__ import annotations

import contextlib
import dataclasses
import inspect
from collections.abc import Mapping
from typing import Any

import numpy as np

from .. import initializers
from ..errors import FileFormatError, shown
from ..initializers import given
from .base import Layer

_INITIALIZERS = {
    name: thing
    for name, thing in vars(initializers).items()
    if isinstance(thing, type) and dataclasses.is_dataclass(thing) and thing is not given
}

_BY_NAME = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
_OPTIONS = inspect.Parameter.VAR_KEYWORD


class Describer:
    """Describes layers as JSON: the class and the constructor arguments of each layer.

    If a layer occurs more than once, later occurrences are written as references to the first.

    Attributes
    ----------
    own : dict of str to type
        The classes of all custom layers found so far. The keys are their names.
    """

    def __init__(self) -> None:
        self.places: dict[int, str] = {}
        self.own: dict[str, type[Layer]] = {}

    def layer(self, layer: Layer, place: str) -> dict[str, Any]:
        if id(layer) in self.places:
            return {"same_as": self.places[id(layer)]}
        self.places[id(layer)] = place
        bound = layer.arguments()
        for arguments in (bound.arguments, *_options(bound)):
            for name, value in arguments.items():
                if callable(value) and (name == "init" or name.endswith("_init")):
                    arguments[name] = self.initializer(value)
        kind = type(layer)
        own = kind is not Layer.built_in.get(kind.__name__)
        if own and self.own.setdefault(kind.__name__, kind) is not kind:
            raise TypeError(f"two layer classes have the same name, {kind.__name__!r}")
        return {
            "layer": kind.__name__,
            **({"own": True} if own else {}),
            "args": [self.value(v, f"{place}/{i}", layer) for i, v in enumerate(bound.args)],
            "kwargs": {
                **{k: self.value(v, f"{place}/{k}", layer) for k, v in bound.kwargs.items()},
                **self.defaults(bound, layer),
            },
        }

    def defaults(self, bound: inspect.BoundArguments, layer: Layer) -> dict[str, Any]:
        """Return the default values of omitted arguments.

        The file stores defaults, because a later version may change them. A default that cannot be
        written as JSON is left out.
        """
        written = {}
        for name, parameter in bound.signature.parameters.items():
            left_out = name not in bound.arguments and name not in layer._where
            if left_out and parameter.kind in _BY_NAME and parameter.default is not parameter.empty:
                with contextlib.suppress(TypeError):
                    written[name] = self.value(parameter.default, "", layer)
        return written

    @staticmethod
    def initializer(init: Any) -> Any:
        """Return `init` if it is built in, else None. (Loaded weights need no initializer.)"""
        return init if type(init) in _INITIALIZERS.values() else None

    def value(self, value: Any, place: str, owner: Layer) -> Any:
        if isinstance(value, np.generic):
            value = value.item()
        if value is None or isinstance(value, bool | int | float | str):
            return value
        if isinstance(value, Layer):
            return self.layer(value, place)
        if isinstance(value, list | tuple):
            items = [self.value(v, f"{place}/{i}", owner) for i, v in enumerate(value)]
            return {"tuple": items} if isinstance(value, tuple) else items
        if type(value) in _INITIALIZERS.values():
            options = {k: self.value(v, place, owner) for k, v in vars(value).items()}
            return {"initializer": type(value).__name__, **options}
        raise TypeError(
            f"an argument of {owner!r} cannot be written to a file: expected a number, a string, "
            f"a layer, an initializer or a list of these, found {shown(value)}"
        )


def _options(bound: inspect.BoundArguments) -> list[dict[str, Any]]:
    """Return the arguments that a constructor takes as ``**options``, if any."""
    parameters = bound.signature.parameters
    return [v for k, v in bound.arguments.items() if parameters[k].kind is _OPTIONS]


class Builder:
    """Builds layers from JSON, with the built-in classes and the custom classes in `own`."""

    def __init__(self, own: Mapping[str, type[Layer]]) -> None:
        self.own = own
        self.made: dict[str, Layer] = {}

    def layer(self, description: dict[str, Any], place: str) -> Layer:
        if "same_as" in description:
            return self.made[description["same_as"]]
        kind = description["layer"]
        classes = self.own if description.get("own") else Layer.built_in
        if kind not in classes:
            raise FileFormatError(
                f"the file names an unknown layer {kind!r}: "
                f"pass its class, cr.load(path, layers={{{kind!r}: ...}})"
            )
        args = [self.value(v, f"{place}/{i}") for i, v in enumerate(description["args"])]
        known = inspect.signature(classes[kind].__init__).parameters
        kwargs = {
            k: self.value(v, f"{place}/{k}")
            for k, v in description["kwargs"].items()
            if k not in known or not _same(v, known[k].default)  # the repr omits defaults
        }
        # With a backend, dtype, device or seed, the constructor would draw all weights.
        if where := classes[kind]._where & kwargs.keys():
            raise FileFormatError(f"a {kind} in a file cannot have the arguments {sorted(where)}")
        layer: Layer = classes[kind](*args, **kwargs)
        self.made[place] = layer
        return layer

    def value(self, value: Any, place: str) -> Any:
        if isinstance(value, list):
            return [self.value(v, f"{place}/{i}") for i, v in enumerate(value)]
        if isinstance(value, dict) and "tuple" in value:
            return tuple(self.value(value["tuple"], place))
        if isinstance(value, dict) and "initializer" in value:
            options = {k: v for k, v in value.items() if k != "initializer"}
            return _INITIALIZERS[value["initializer"]](**options)
        return self.layer(value, place) if isinstance(value, dict) else value


def _same(value: Any, default: Any) -> bool:
    """Return whether a value from a file equals a default that is a number, a string or None."""
    return type(value) is type(default) and bool(value == default)
