"""Models in safetensors files: weights that any library reads, and the architecture with them.

Buffers stand among the weights, under their names; the metadata holds ``architecture`` (JSON). See
`chainrule.files.tensors` for the file itself.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from ..errors import FileFormatError
from ..files.tensors import read_tensors, write_tensors
from ..parameter import Stored
from .architecture import Describer
from .base import Layer

TRAINING = "training/"  # what names start with that are not the model's, see `resume`


def save_model(model: Layer, path: str | Path) -> None:
    """Write a model's weights, buffers and architecture, see `Sequential.save`."""
    write_tensors(path, *contents(model))


def contents(model: Layer) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """The tensors and the metadata of a model's file."""
    architecture = {"dtype": model.state.dtype_name, "model": Describer().layer(model, "")}
    to_numpy = model.backend.to_numpy
    tensors = {name: to_numpy(part.value) for name, part in model.named_stored().items()}
    return tensors, {"architecture": json.dumps(architecture)}


def load_weights(model: Layer, path: str | Path) -> None:
    """Read weights into a model, see `Sequential.load_weights`."""
    values = fitting(model, read_tensors(path)[0], path, model.state.dtype_name)
    state, stored = model.state, model.named_stored()
    asarray, dtype = state.backend.asarray, state.dtype
    moved = {name: asarray(value, dtype=dtype) for name, value in values.items()}
    for name, value in moved.items():
        stored[name].value[...] = value


def fitting(
    model: Layer, tensors: dict[str, np.ndarray], path: str | Path, dtype: str
) -> dict[str, np.ndarray]:
    """The tensors in this dtype, if they are what the model needs: names, shapes, numbers."""
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
