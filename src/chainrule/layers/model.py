"""Methods that only models have, such as `predict`, `summary`, `save` and `load_weights`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from array_api_compat import is_array_api_obj

from ..backends.conversion import like, on_host, to_numpy
from ..checks import whole
from ..errors import DataError, shown
from ..types import Array
from . import storage
from .base import Layer
from .layer_norm import LayerNorm
from .linear import Linear
from .normalization import BatchNorm
from .windowed import Windowed


class Model(Layer):
    """Base class of layers that can serve as a complete model, such as `Sequential`."""

    layers: tuple[Layer, ...]

    def enter(self, x: Any) -> Array:
        """Convert an input or a gradient to the model's dtype. NumPy arrays become read-only views.

        Raises
        ------
        TypeError
            If `x` is not an array of the model's backend.
        DataError
            If `x` does not hold real numbers.
        """
        state, own = self.state, self.state.backend.array_type
        if not isinstance(x, own):
            raise TypeError(
                f"expected an array of backend {state.backend.name!r}, found "
                f"{type(x).__module__}.{type(x).__name__}: model.backend.asarray(x) converts it"
            )
        array: Array = x
        if type(x) is not own or array.dtype != state.dtype:
            array = self._cast(array)
        return state.backend.read_only(array)

    def _cast(self, x: Array) -> Array:
        """Cast `x` to the model's dtype. Raise an error if a number in host memory overflows."""
        state, xp = self.state, self.xp
        with np.errstate(over="ignore"):
            cast = state.backend.asarray(x, dtype=state.dtype)
        may_overflow = x.dtype == xp.float64 != state.dtype and on_host(cast)
        if may_overflow and not bool(xp.all(xp.isfinite(cast) | ~xp.isfinite(x))):
            found = float(xp.max(xp.where(xp.isfinite(x), xp.abs(x), 0.0)))
            raise DataError(
                f"expected numbers within the range of {state.dtype_name}, found the absolute "
                f"value {found:.3g}"
            )
        return cast

    def predict(self, x: Any, *, batch_size: int = 1024) -> Any:
        """Return the outputs for all samples, computed in inference mode.

        Parameters
        ----------
        x : array
            ``(samples, features)``: an array of any library, a list or a data frame. The data is
            moved to the device one batch at a time.
        batch_size : int, optional
            The number of samples per batch.

        Returns
        -------
        array
            The outputs of the last layer, as an array of the same library as `x`. For a list or a
            frame, the result is a NumPy array. The result does not share memory with `x` or the
            model.
        """
        backend = self.backend
        if isinstance(x, backend.array_type):
            return self._outputs(x, batch_size)
        if isinstance(x, tuple) and any(getattr(item, "ndim", 0) > 1 for item in x):
            raise TypeError(
                f"expected one array of inputs, found {shown(x)}: to join the columns of several "
                "arrays, use numpy.concatenate(x, axis=1)"
            )
        given = x if is_array_api_obj(x) else to_numpy(x)
        outputs = self._outputs(given, batch_size)
        return backend.to_numpy(outputs) if isinstance(given, np.ndarray) else like(x, outputs)

    def _outputs(self, x: Array, batch_size: int) -> Array:
        batch_size = whole("batch_size", batch_size, least=1)
        if x.ndim == 0 or x.shape[0] == 0:
            raise DataError(f"expected at least one sample, found an array of shape {x.shape}")
        backend, samples = self.backend, x.shape[0]
        if samples <= batch_size:  # copy, because some layers return their input
            return backend.xp.asarray(self._output(backend.asarray(x)), copy=True)
        starts = range(0, samples, batch_size)
        batches = (x[i : min(i + batch_size, samples), ...] for i in starts)
        return backend.xp.concat([self._output(backend.asarray(x)) for x in batches], axis=0)

    def _output(self, x: Array) -> Array:
        return self._checked_forward(x, False, self.state.dtype)[0]

    def summary(self, input_shape: tuple[int, ...] | None = None) -> str:
        """Return a table of the layers with output shapes and parameter counts.

        Parameters
        ----------
        input_shape : tuple of int, optional
            The shape of one sample, such as ``(28, 28)``. By default, the first `Linear`,
            `BatchNorm` or `LayerNorm` determines the shape.

        Examples
        --------
        >>> model = cr.Sequential(cr.Linear(4, 3), cr.ReLU(), cr.Linear(3, 2))
        >>> print(model.summary())
        layer  kind          output      parameters
        0      Linear(4, 3)  (batch, 3)          15
        1      ReLU()        (batch, 3)           0
        2      Linear(3, 2)  (batch, 2)           8
        total 23 parameters, 23 trainable
        """
        if input_shape is None:
            input_shape = sample_shape(self, "summary")
        x = self.xp.zeros((1, *input_shape), dtype=self.state.dtype, device=self.backend.device)
        rows = [("layer", "kind", "output", "parameters")]
        for i, layer in enumerate(self.layers):
            x = layer._checked_forward(x, False, self.state.dtype)[0]
            shape = ", ".join(["batch", *map(str, x.shape[1:])])
            count = sum(p.size for p in layer.parameters())
            rows.append((str(i), " ".join(repr(layer).split()), f"({shape})", f"{count:,}"))
        a, b, c, d = (max(map(len, column)) for column in zip(*rows, strict=True))
        lines = [f"{r[0]:<{a}}  {r[1]:<{b}}  {r[2]:<{c}}  {r[3]:>{d}}" for r in rows]
        parameters = self.parameters()
        total = sum(p.size for p in parameters)
        trained = sum(p.size for p in parameters if p.trainable)
        return "\n".join([*lines, f"total {total:,} parameters, {trained:,} trainable"])

    def save(self, path: str | Path) -> None:
        """Save weights, buffers and architecture to a file that `chainrule.load` can read.

        The file is a safetensors file. An equivalent ``torch.nn.Sequential`` can load the tensors
        unchanged. The architecture is stored as the class and the constructor arguments of each
        layer. Constructor arguments may be numbers, strings, layers, initializers, and lists of
        these types. Other attributes of custom layers are not saved. Frozen parameters stay frozen
        when the model is loaded.

        Raises
        ------
        DivergenceError
            If a parameter or a buffer holds NaN or infinity.
        TypeError
            If a constructor argument has a type that cannot be stored, or if the layers cannot be
            rebuilt from their arguments.
        ValueError
            If the names and the architecture take more than 4 MiB.
        OSError
            If the file cannot be written.

        After any of these errors, an existing file is unchanged.
        """
        storage.save_model(self, path)

    def load_weights(self, path: str | Path) -> None:
        """Read weights and buffers from a safetensors file. Any library may have written the file.

        PyTorch's ``num_batches_tracked`` is ignored. Frozen parameters get new values too, and stay
        frozen.

        Raises
        ------
        FileFormatError
            If the file is damaged or does not fit the model. The model stays unchanged.
        """
        storage.load_weights(self, path)


def sample_shape(model: Layer, function: str) -> tuple[int, ...]:
    """Return the shape of one sample, as determined by the first layer with a fixed input size.

    If there is no such layer, the error says that `function` needs the shape. In a network that
    begins with layers for images, no layer fixes the height and the width.
    """
    parts = [model, *(part for _, part in model._walk())]
    of_images = any(isinstance(part, Windowed) for part in parts)
    for part in parts:
        if isinstance(part, Windowed):
            break
        if isinstance(part, Linear):
            return (part.in_features,)
        if isinstance(part, BatchNorm | LayerNorm) and not of_images:
            return (part.features,)
    raise ValueError(f"{function} needs input_shape=, the shape of one sample")
