"""Models from the files that `Sequential.save` wrote."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..backends.base import BackendLike
from ..errors import FileFormatError
from ..files.tensors import read_tensors
from .base import Layer
from .sequential import Sequential
from .storage import rebuilt


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
        If a custom model chooses a backend, dtype or seed in its constructor; if `layers` holds no
        classes of layers by name.
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
    layers = _by_name(layers)
    if "architecture" not in metadata:
        raise FileFormatError(
            f"{path}: a safetensors file without an architecture; build the model and use "
            "model.load_weights(path)"
        )
    architecture = metadata["architecture"]
    model, dtype, values = rebuilt(Sequential, architecture, tensors, layers or {}, path, dtype)
    return model.bind(backend, device=device, dtype=dtype, seed=seed, values=values)


def _by_name(layers: Any) -> Mapping[str, type[Layer]]:
    """The classes of custom layers, if it is by their names that they are given."""
    classes: Mapping[str, type[Layer]] = {} if layers is None else layers
    if not isinstance(classes, Mapping) or not all(
        isinstance(kind, type) and issubclass(kind, Layer) for kind in classes.values()
    ):
        raise TypeError(
            "expected the classes of custom layers by their names, layers={'Scale': Scale}, found "
            f"layers={layers!r}"
        )
    return classes
