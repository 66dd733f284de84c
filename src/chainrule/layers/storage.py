"""Store the weights and the architecture of models in safetensors files.

Weights and buffers are stored under their names, and any library can read them. The architecture is
stored as JSON in the metadata entry ``architecture``. See `chainrule.files.tensors` for the file
format.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from ..errors import DivergenceError, FileFormatError
from ..files.tensors import read_tensors, write_tensors
from ..parameter import Stored
from .architecture import Builder, Describer
from .base import Layer
from .finite import not_finite

Kind = TypeVar("Kind", bound=Layer)

TRAINING = "training/"  # prefix of tensors that belong to the training run
MOST_PARTS = 100_000  # a limit, because even a small file can use one layer 2**30 times


def save_model(model: Layer, path: str | Path) -> None:
    """Write a model's weights, buffers and architecture (see `Sequential.save`)."""
    write_tensors(path, *contents(model))


def contents(model: Layer) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Return the tensors and the metadata to store, after checking that they can be loaded again.

    Raises
    ------
    DivergenceError
        If a parameter or a buffer holds NaN or infinity.
    TypeError
        If the model cannot be rebuilt from its architecture.
    """
    if where := not_finite(model):
        raise DivergenceError(
            f"{where} holds NaN or infinity: the model is not saved, because loading it would fail"
        )
    describer = Describer()
    architecture = {"dtype": model.state.dtype_name, "model": describer.layer(model, "")}
    parameters = model.named_parameters()
    architecture["frozen"] = [name for name, p in parameters.items() if not p.trainable]
    text = json.dumps(architecture)
    to_numpy = model.backend.to_numpy
    tensors = {name: to_numpy(part.value) for name, part in model.named_stored().items()}
    try:
        rebuilt(type(model), text, tensors, describer.own, "the model")
    except (FileFormatError, TypeError) as error:
        raise TypeError(
            f"the model is not saved, because loading it would fail: {error}"
        ) from error
    return tensors, {"architecture": text}


def rebuilt(
    kind: type[Kind],
    architecture: str,
    tensors: dict[str, np.ndarray],
    own: Mapping[str, type[Layer]],
    path: str | Path,
    dtype: str | None = None,
) -> tuple[Kind, str, dict[str, np.ndarray]]:
    """Return an unbound model of class `kind`, its dtype, and the values of its parameters.

    The layers are built without values, so that no large array is allocated before the shapes of
    the layers have been compared with the tensors.
    """
    try:
        described = json.loads(architecture)
        model = Builder(own).layer(described["model"], "")
        dtype = dtype or described["dtype"]
    except FileFormatError as error:
        raise FileFormatError(f"{path}: {error}") from error
    except Exception as error:  # a constructor can raise any error
        raise FileFormatError(f"{path}: cannot build the model: {error!r}") from error
    if not isinstance(model, kind):
        raise FileFormatError(f"{path}: expected a {kind.__name__}, found {type(model).__name__}")
    if model._state is not None:
        raise TypeError(
            f"{type(model).__name__} chooses a backend, dtype or seed in its constructor: to load "
            "the model, let the constructor take backend=, dtype= and seed= as arguments"
        )
    if next(itertools.islice(model._walk(), MOST_PARTS, None), None):
        raise FileFormatError(f"{path}: the model has more than {MOST_PARTS:,} layers or tensors")
    if dtype not in ("float32", "float64"):
        raise FileFormatError(f"{path}: expected dtype 'float32' or 'float64', found {dtype!r}")
    if "frozen" in described:
        _freeze(model, described["frozen"], path)
    return model, dtype, fitting(model, tensors, path, dtype)


def _freeze(model: Layer, names: Any, path: str | Path) -> None:
    """Freeze exactly the parameters with these names. Raise an error for an invalid name."""
    parameters = model.named_parameters()
    known = isinstance(names, list) and all(isinstance(n, str) and n in parameters for n in names)
    if not known:
        raise FileFormatError(f"{path}: expected names of frozen parameters, found {names!r:.200}")
    for name, parameter in parameters.items():
        parameter.trainable = name not in names


def load_weights(model: Layer, path: str | Path) -> None:
    """Read weights into a model (see `Sequential.load_weights`)."""
    values = fitting(model, read_tensors(path)[0], path, model.state.dtype_name)
    state, stored = model.state, model.named_stored()
    asarray, dtype = state.backend.asarray, state.dtype
    moved = {name: asarray(value, dtype=dtype) for name, value in values.items()}
    for name, value in moved.items():
        stored[name].value[...] = value


def fitting(
    model: Layer, tensors: dict[str, np.ndarray], path: str | Path, dtype: str
) -> dict[str, np.ndarray]:
    """Return the tensors in this dtype, after checking that they fit the model."""
    stored = model.named_stored()
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
    fitted: dict[str, np.ndarray] = {}
    first: dict[int, str] = {}
    for name, part in stored.items():
        kind, tensor = type(part).__name__.lower(), tensors[name]
        if tensor.shape != part.shape:
            raise FileFormatError(
                f"{path}: {kind} {name!r} has shape {part.shape} in the model, but {tensor.shape} "
                "in the file"
            )
        if tensor.dtype.kind != "f":
            raise FileFormatError(
                f"{path}: {kind} {name!r}: expected floating-point numbers, found {tensor.dtype}"
            )
        with np.errstate(over="ignore"):
            fitted[name] = tensor.astype(dtype, copy=False)
        if not np.isfinite(fitted[name]).all():
            raise FileFormatError(
                f"{path}: {kind} {name!r}: expected finite numbers, found NaN, infinity or a "
                f"number too large for {dtype}"
            )
        other = first.setdefault(id(part), name)
        if name != other and not np.array_equal(fitted[name], fitted[other]):
            raise FileFormatError(
                f"{path}: the model shares one {kind} under the names {other!r} and {name!r}, but "
                "the file has different values for these names"
            )
    return fitted


def _is_count(name: str, stored: dict[str, Stored]) -> bool:
    """Return whether this name belongs to the batch counter of PyTorch's ``BatchNorm``."""
    layer, _, last = name.rpartition(".")
    known = name in stored or f"{layer}.running_mean" not in stored
    return last == "num_batches_tracked" and not known
