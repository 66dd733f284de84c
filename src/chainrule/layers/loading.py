"""Models from the files that `Sequential.save` wrote."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..backends.base import BackendLike
from ..errors import FileFormatError
from ..files.tensors import read_tensors
from .architecture import Builder
from .base import Layer
from .sequential import Sequential
from .storage import fitting

MOST_PARTS = 100_000  # a shared layer counts each time: few bytes can describe 2**30 of them


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
        The classes of custom layers by name: ``{"Scale": Scale}``.

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
        If a custom model chooses a backend, dtype or seed in its constructor.
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
        model = Builder(layers or {}).layer(architecture["model"], "")
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
    dtype = dtype or saved_dtype
    if dtype not in ("float32", "float64"):
        raise FileFormatError(f"{path}: expected dtype 'float32' or 'float64', found {dtype!r}")
    values = fitting(model, tensors, path, dtype)
    return model.bind(backend, device=device, dtype=dtype, seed=seed, values=values)
