"""Load models from files that were written by `Sequential.save`."""

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
    """Load a model from a file that was written by `Sequential.save`.

    Parameters
    ----------
    path : str or Path
        The file.
    backend, device : optional
        The backend and device on which the model computes. See `Layer.bind`.
    dtype : {"float32", "float64"}, optional
        The dtype in which the model computes. By default, the saved dtype.
    layers : mapping of str to type, optional
        A dict from names to the classes of custom layers, such as ``{"Scale": Scale}``.

    Returns
    -------
    Sequential
        The model.

    Raises
    ------
    FileFormatError
        If the file is damaged, holds no architecture, or names an unknown layer.
    OSError
        If the file cannot be read.
    TypeError
        If a custom model chooses a backend, dtype or seed in its constructor, or if `layers` is not
        a dict from names to layer classes.

    Examples
    --------
    >>> model = cr.mlp([4, 16, 3])
    >>> model.save("model.safetensors")
    >>> loaded = cr.load("model.safetensors")
    >>> x = np.ones((2, 4))
    >>> np.array_equal(loaded.predict(x), model.predict(x))
    True
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
    """Build a model from the contents of a file (see `load`)."""
    layers = _by_name(layers)
    if "architecture" not in metadata:
        raise FileFormatError(
            f"{path}: the file holds no architecture: build the model yourself, and call "
            "model.load_weights(path)"
        )
    architecture = metadata["architecture"]
    model, dtype, values = rebuilt(Sequential, architecture, tensors, layers or {}, path, dtype)
    return model.bind(backend, device=device, dtype=dtype, seed=seed, values=values)


def _by_name(layers: Any) -> Mapping[str, type[Layer]]:
    """Return a dict from names to custom layer classes, after checking the types."""
    classes: Mapping[str, type[Layer]] = {} if layers is None else layers
    if not isinstance(classes, Mapping) or not all(
        isinstance(kind, type) and issubclass(kind, Layer) for kind in classes.values()
    ):
        raise TypeError(
            "expected a dict of custom layer classes, such as layers={'Scale': Scale}, found "
            f"layers={layers!r}"
        )
    return classes
