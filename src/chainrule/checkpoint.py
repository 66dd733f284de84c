"""Models in safetensors files: weights that any library reads, and the architecture beside them.

Buffers stand among the weights, under their names; the metadata holds ``architecture`` (JSON). See
`chainrule.tensor_file` for the file itself.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from . import initializers, layers
from .backend import BackendLike
from .errors import FileFormatError
from .initializers import given
from .layers import Layer, Sequential
from .parameter import Stored
from .tensor_file import read_tensors, write_tensors

TRAINING = "training/"  # what names start with that are not the model's, see `resume`
MOST_PARTS = 100_000  # a shared layer counts each time: few bytes can describe 2**30 of them

_BUILT_IN: dict[str, type[Layer]] = {
    name: thing for name, thing in vars(layers).items() if isinstance(thing, type)
}

_INITIALIZERS = {
    name: thing
    for name, thing in vars(initializers).items()
    if isinstance(thing, type) and dataclasses.is_dataclass(thing) and thing is not given
}


def save_model(model: Sequential, path: str | Path) -> None:
    """Write a model's weights, buffers and architecture, see `Sequential.save`."""
    write_tensors(path, *contents(model))


def contents(model: Sequential) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """The tensors and the metadata of a model's file."""
    architecture = {"dtype": model.state.dtype_name, "model": _Describer().layer(model, "")}
    to_numpy = model.backend.to_numpy
    tensors = {name: to_numpy(part.value) for name, part in _stored(model).items()}
    return tensors, {"architecture": json.dumps(architecture)}


def load(
    path: str | Path,
    *,
    backend: BackendLike = "numpy",
    device: Any = None,
    dtype: str | None = None,
    layers: Mapping[str, type[Layer]] | None = None,
) -> Sequential:
    """Read a model that `Sequential.save` wrote.

    Parameters
    ----------
    path : str or Path
        The file.
    backend, device : optional
        Where the model is wanted, see `Layer.bind`.
    dtype : {"float32", "float64"}, optional
        In which it computes; the dtype in which it was saved if not given.
    layers : mapping of str to type, optional
        The classes of layers of one's own by their names: ``{"Scale": Scale}``.

    Returns
    -------
    Sequential
        The model.

    Raises
    ------
    FileFormatError
        If the file is damaged, holds no architecture, or names a layer that is not known.
    OSError
        If it cannot be read.
    TypeError
        If a model of one's own chooses a backend, dtype or seed in its constructor.
    """
    tensors, metadata = read_tensors(path)
    return build(
        path, tensors, metadata, backend=backend, device=device, dtype=dtype, layers=layers, seed=0
    )


def build(
    path: str | Path,
    tensors: dict[str, np.ndarray],
    metadata: dict[str, str],
    *,
    backend: BackendLike,
    device: Any,
    layers: Mapping[str, type[Layer]] | None,
    seed: int,
    dtype: str | None = None,
) -> Sequential:
    """The model of a file that was read, see `load`."""
    if "architecture" not in metadata:
        raise FileFormatError(
            f"{path}: a safetensors file without an architecture; build the model and use "
            "model.load_weights(path)"
        )
    try:
        architecture = json.loads(metadata["architecture"])
        model = _Builder(layers or {}).layer(architecture["model"], "")
        saved_dtype = architecture["dtype"]
    except FileFormatError:
        raise
    except Exception as error:  # a constructor can raise anything
        raise FileFormatError(f"{path}: no architecture that makes a model: {error!r}") from error
    if not isinstance(model, Sequential):
        raise FileFormatError(f"{path}: expected a Sequential, found {type(model).__name__}")
    if model._state is not None:
        raise TypeError(
            f"{type(model).__name__} chooses a backend, dtype or seed in its constructor: to be "
            "loaded, it has to take them as its arguments backend=, dtype= and seed="
        )
    if next(itertools.islice(model._walk(), MOST_PARTS, None), None):
        raise FileFormatError(f"{path}: a model of more than {MOST_PARTS:,} layers and parameters")
    stored = _stored(model)
    dtype = dtype or saved_dtype
    if dtype not in ("float32", "float64"):
        raise FileFormatError(f"{path}: expected dtype 'float32' or 'float64', found {dtype!r}")
    for name, value in _fitting(model, tensors, path, dtype).items():
        stored[name].init = given(value)
    model.bind(backend, device=device, dtype=dtype, seed=seed)
    return model


def load_weights(model: Sequential, path: str | Path) -> None:
    """Read weights into a model, see `Sequential.load_weights`."""
    values = _fitting(model, read_tensors(path)[0], path, model.state.dtype_name)
    state, stored = model.state, _stored(model)
    asarray, dtype = state.backend.asarray, state.dtype
    moved = {name: asarray(value, dtype=dtype) for name, value in values.items()}
    for name, value in moved.items():
        stored[name].value[...] = value


def _stored(model: Sequential) -> dict[str, Stored]:
    """The parameters and buffers of a model by all their names."""
    return model._named(Stored, remove_duplicate=False)


def _fitting(
    model: Sequential, tensors: dict[str, np.ndarray], path: str | Path, dtype: str
) -> dict[str, np.ndarray]:
    """The tensors in this dtype, if they are what the model needs: names, shapes, numbers."""
    stored = _stored(model)
    tensors = {
        name: tensor
        for name, tensor in tensors.items()
        if not name.startswith(TRAINING) and not _is_count(name, stored)
    }
    missing, unknown = stored.keys() - tensors.keys(), tensors.keys() - stored.keys()
    if missing or unknown:
        raise FileFormatError(
            f"{path}: does not fit the model: missing {sorted(missing) or 'none'}, "
            f"unknown {sorted(unknown) or 'none'}"
        )
    words = {name: f"{type(part).__name__.lower()} {name!r}" for name, part in stored.items()}
    for name, part in stored.items():
        if tensors[name].shape != part.shape:
            raise FileFormatError(
                f"{path}: {words[name]} has shape {part.shape} in the model, "
                f"{tensors[name].shape} in the file"
            )
        if tensors[name].dtype.kind != "f":
            raise FileFormatError(
                f"{path}: {words[name]}: expected floating-point numbers, found "
                f"{tensors[name].dtype}"
            )
    with np.errstate(over="ignore"):
        tensors = {name: tensor.astype(dtype) for name, tensor in tensors.items()}
    for name, tensor in tensors.items():
        if not np.isfinite(tensor).all():
            raise FileFormatError(
                f"{path}: {words[name]}: expected finite numbers, found NaN, infinity or what "
                f"is too large for {dtype}"
            )
    first: dict[int, str] = {}
    for name, part in stored.items():
        other = first.setdefault(id(part), name)
        if not np.array_equal(tensors[name], tensors[other]):
            raise FileFormatError(
                f"{path}: {other!r} and {name!r} are one {type(part).__name__.lower()} in the "
                "model, but differ in the file"
            )
    return tensors


def _is_count(name: str, stored: dict[str, Stored]) -> bool:
    """Whether this is PyTorch's count of the batches that running statistics have seen."""
    layer, _, last = name.rpartition(".")
    return last == "num_batches_tracked" and f"{layer}.running_mean" in stored


class _Describer:
    """Turns layers into JSON: class and arguments; a layer used again by its first place."""

    def __init__(self) -> None:
        self.places: dict[int, str] = {}

    def layer(self, layer: Layer, place: str) -> dict[str, Any]:
        if id(layer) in self.places:
            return {"same_as": self.places[id(layer)]}
        self.places[id(layer)] = place
        bound = layer.arguments()
        for name, value in bound.arguments.items():
            if callable(value) and (name == "init" or name.endswith("_init")):
                bound.arguments[name] = self.initializer(value)
        what = f"an argument of {layer!r}"
        kind = type(layer)
        return {
            "layer": kind.__name__,
            **({} if kind is _BUILT_IN.get(kind.__name__) else {"own": True}),
            "args": [self.value(v, f"{place}/{i}", what) for i, v in enumerate(bound.args)],
            "kwargs": {k: self.value(v, f"{place}/{k}", what) for k, v in bound.kwargs.items()},
        }

    @staticmethod
    def initializer(init: Any) -> Any:
        """An initializer, if it can be described: the weights themselves are in the file."""
        return init if type(init) in _INITIALIZERS.values() else None

    def value(self, value: Any, place: str, what: str) -> Any:
        if isinstance(value, np.generic):
            value = value.item()
        if value is None or isinstance(value, bool | int | float | str):
            return value
        if isinstance(value, Layer):
            return self.layer(value, place)
        if isinstance(value, list | tuple):
            return [self.value(v, f"{place}/{i}", what) for i, v in enumerate(value)]
        if type(value) in _INITIALIZERS.values():
            return {"initializer": type(value).__name__, **dataclasses.asdict(value)}
        raise TypeError(
            f"{what} cannot be written to a file: expected numbers, strings, layers, "
            f"initializers and lists of them, found {value!r}"
        )


class _Builder:
    """Makes layers from JSON, of classes that are known or were handed over, and of no others."""

    def __init__(self, own: Mapping[str, type[Layer]]) -> None:
        self.own = own
        self.made: dict[str, Layer] = {}

    def layer(self, description: dict[str, Any], place: str) -> Layer:
        if "same_as" in description:
            return self.made[description["same_as"]]
        kind = description["layer"]
        classes = self.own if description.get("own") else _BUILT_IN
        if kind not in classes:
            raise FileFormatError(
                f"the file names a layer {kind!r} that is not known: "
                f"cr.load(path, layers={{{kind!r}: ...}}) gives its class"
            )
        args = [self.value(v, f"{place}/{i}") for i, v in enumerate(description["args"])]
        kwargs = {k: self.value(v, f"{place}/{k}") for k, v in description["kwargs"].items()}
        layer: Layer = classes[kind](*args, **kwargs)
        self.made[place] = layer
        return layer

    def value(self, value: Any, place: str) -> Any:
        if isinstance(value, list):
            return [self.value(v, f"{place}/{i}") for i, v in enumerate(value)]
        if isinstance(value, dict) and "initializer" in value:
            options = {k: v for k, v in value.items() if k != "initializer"}
            return _INITIALIZERS[value["initializer"]](**options)
        return self.layer(value, place) if isinstance(value, dict) else value
