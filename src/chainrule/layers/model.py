"""Methods that only models have, such as `predict`, `summary`, `save` and `load_weights`."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from array_api_compat import is_array_api_obj

from ..backends.conversion import like, on_host, to_numpy
from ..checks import whole
from ..errors import DataError, blamed, blaming, shown
from ..forms import (
    each,
    each_named,
    each_shape,
    first,
    is_shape_of_one,
    named,
    rows,
    same_length,
    several,
)
from ..types import Array, Arrays, Shapes
from . import storage
from .base import Layer
from .layer_norm import LayerNorm
from .linear import Linear
from .normalization import BatchNorm
from .recurrence import Recurrent
from .windowed import Windowed


class Model(Layer):
    """Base class of layers that can serve as a complete model, such as `Sequential`."""

    layers: tuple[Layer, ...]

    def enter(self, x: Any, *, gradient: bool = False) -> Arrays:
        """Convert inputs or gradients to the model's dtype.

        If the first layer takes integers (see `Layer.takes_integers`), all integers keep their
        dtype. Otherwise, a single input is always converted. In a tuple or a dict, integers and
        booleans keep their dtype, because they may be indices, lengths or masks. The exception is
        uint8, the dtype of images, which is converted.

        Parameters
        ----------
        x : array, or tuple or dict of arrays
            The inputs, or the gradients with respect to the outputs.
        gradient : bool, optional
            Whether `x` is a gradient. If so, integers are converted even if the first layer takes
            integers.

        Raises
        ------
        TypeError
            If `x` is not an array of the model's backend.
        DataError
            If `x` does not hold real numbers.
        """
        state = self.state
        own = state.backend.array_type
        if several(x):
            return each_named(self._enter_one_of_several, "x", x)
        if not isinstance(x, own):
            raise TypeError(
                f"expected an array of backend {state.backend.name!r}, found "
                f"{type(x).__module__}.{type(x).__name__}: model.backend.asarray(x) converts it"
            )
        array: Array = x
        if type(x) is not own or array.dtype != state.dtype:
            stays = (
                self.takes_integers and not gradient and self.xp.isdtype(array.dtype, "integral")
            )
            array = state.backend.asarray(x) if stays else self._cast(array)
        return array

    def _enter_one_of_several(self, name: str, x: Any) -> Array | None:
        xp = self.xp
        if x is None:  # a missing gradient
            return None
        if several(x):
            raise TypeError(f"{name}: expected one array, found {shown(x)}")
        own = isinstance(x, self.backend.array_type)
        if own and x.dtype != xp.uint8 and not xp.isdtype(x.dtype, "real floating"):
            return x
        with blaming(name):
            return self.enter(x)

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
        x : array, or tuple or dict of arrays
            ``(samples, features)``: an array of any library, a list or a data frame; or several
            inputs. The data is moved to the device one batch at a time.
        batch_size : int, optional
            The number of samples per batch.

        Returns
        -------
        array, or tuple or dict of arrays
            The outputs of the last layer, as arrays of the same library as `x`, or of the library
            of the first input. For a list or a data frame, the result is a NumPy array. The result
            does not share memory with `x` or the model.
        """
        backend = self.backend
        given = each_named(blamed(lambda a: a if is_array_api_obj(a) else to_numpy(a)), "x", x)
        outputs, one = self._outputs(given, batch_size), first(given)
        if isinstance(one, backend.array_type):
            return outputs
        to_library = backend.to_numpy if isinstance(one, np.ndarray) else partial(like, one)
        return each(to_library, outputs)

    def _outputs(self, x: Arrays, batch_size: int) -> Arrays:
        backend, batch_size = self.backend, whole("batch_size", batch_size, least=1)
        for name, array in named("x", x).items():
            if array.ndim == 0 or array.shape[0] == 0:
                found = f"an array of shape {tuple(array.shape)}"
                raise DataError(f"{name}: expected at least one sample, found {found}")
        samples = same_length({name: array.shape[0] for name, array in named("x", x).items()})
        starts = range(0, samples, batch_size)
        batches: Iterable[Arrays] = [x]
        if samples > batch_size:
            batches = (rows(x, slice(i, min(i + batch_size, samples))) for i in starts)
        asarray = blamed(backend.asarray)
        parts = [self._output(each_named(asarray, "x", batch)) for batch in batches]
        if len(parts) == 1:  # copy, because some layers return their input
            outputs = each(lambda y: backend.xp.asarray(y, copy=True), parts[0])
        else:
            outputs = each(lambda *arrays: backend.xp.concat(arrays, axis=0), *parts)
        lengths = {name: sum(y.shape[:1]) for name, y in named("the output", outputs).items()}
        same_length({"x": samples, **lengths})
        return outputs

    def _output(self, x: Arrays) -> Arrays:
        return self._checked_forward(x, False, self.state.dtype)[0]

    def summary(self, input_shape: Shapes | None = None, *, input_dtype: Any = None) -> str:
        """Return a table of the layers with output shapes and parameter counts.

        Parameters
        ----------
        input_shape : tuple of int, or tuple or dict of such tuples, optional
            The shape of one sample, such as ``(28, 28)``, or the shapes of several inputs. By
            default, the first `Linear`, `BatchNorm` or `LayerNorm` determines the shape.
        input_dtype : str, or tuple or dict of str, optional
            The dtype of the input, or of each of several inputs, such as
            ``{"x": "float32", "lengths": "int64"}``. The default is the model's dtype, or int64 if
            the first layer takes integers.

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
        x = one_sample(self, input_shape, input_dtype)
        table = [("layer", "kind", "output", "parameters")]
        for i, layer in enumerate(self.layers):
            x = layer._checked_forward(x, False, self.state.dtype)[0]
            shapes = [", ".join(["batch", *map(str, a.shape[1:])]) for a in named("", x).values()]
            count = sum(p.size for p in layer.parameters())
            shown_shapes = " ".join(f"({shape})" for shape in shapes)
            table.append((str(i), " ".join(repr(layer).split()), shown_shapes, f"{count:,}"))
        a, b, c, d = (max(map(len, column)) for column in zip(*table, strict=True))
        lines = [f"{r[0]:<{a}}  {r[1]:<{b}}  {r[2]:<{c}}  {r[3]:>{d}}" for r in table]
        parameters = self.parameters()
        total = sum(p.size for p in parameters)
        trained = sum(p.size for p in parameters if p.trainable)
        return "\n".join([*lines, f"total {total:,} parameters, {trained:,} trainable"])

    def save(self, path: str | Path) -> None:
        """Save weights, buffers and architecture to a file that `chainrule.load` can read.

        The file is a safetensors file. An equivalent ``torch.nn.Sequential`` can load the tensors
        unchanged. The architecture is stored as the class and the constructor arguments of each
        layer. Constructor arguments may be numbers, strings, layers, initializers, or lists of
        these types. Other attributes of custom layers are not saved. Frozen parameters stay frozen
        when the model is loaded. An existing file is replaced once the new file is complete, so it
        is unchanged after an error.

        Raises
        ------
        DivergenceError
            If a parameter or a buffer holds NaN or infinity.
        TypeError
            If a constructor argument has a type that cannot be stored, or if the layers cannot be
            rebuilt from their arguments.
        ValueError
            If the names and the architecture together take more than 4 MiB.
        OSError
            If the file cannot be written.
        """
        storage.save_model(self, path)

    def load_weights(self, path: str | Path) -> None:
        """Read weights and buffers from a safetensors file. Any library may have written the file.

        PyTorch's ``num_batches_tracked`` is ignored. Frozen parameters also get new values, but
        stay frozen.

        Raises
        ------
        FileFormatError
            If the file is damaged or does not fit the model. The model stays unchanged.
        """
        storage.load_weights(self, path)


def one_sample(model: Layer, shape: Shapes, dtype: Any = None) -> Arrays:
    """Return a batch of one sample, filled with ones, as `Model.enter` would return it.

    Parameters
    ----------
    model : Layer
        The model.
    shape : tuple of int, or tuple or dict of such tuples
        The shape of a sample.
    dtype : str, or tuple or dict of str, optional
        The dtype of all inputs, or of each input. Floating-point numbers are converted to the
        model's dtype.

    Raises
    ------
    ValueError
        If `shape` is not the shape of a sample, or if a dtype is unknown.
    """

    def one(shape: Any, dtype: Any) -> Array:
        if np.ndim(shape) != 1 or not all(isinstance(n, int | np.integer) and n > 0 for n in shape):
            raise ValueError(
                "expected input_shape to be the shape of one sample, such as (28, 28), found "
                f"{shape!r}"
            )
        stays = dtype.kind in "biu" and several(dtypes) and dtype != np.uint8
        stays = stays or (dtype.kind in "iu" and model.takes_integers)
        kind = getattr(xp, dtype.name) if stays else model.state.dtype
        return xp.ones((1, *map(int, shape)), dtype=kind, device=model.backend.device)

    xp, dtypes = model.xp, real_dtypes(model, shape, dtype)
    return each_shape(one, shape, dtypes)


def real_dtypes(model: Layer, shape: Shapes, dtype: Any) -> Any:
    """Return NumPy's dtype of each input, in the same form as `shape`.

    A single name applies to all inputs. If `dtype` is None, the result is int64 for a model that
    takes integers, and float32 for other models.

    Raises
    ------
    ValueError
        If a dtype does not hold real numbers, or if `dtype` does not have the same form as `shape`.
    """
    if not several(dtype):
        default = "int64" if model.takes_integers else "float32"
        return each_shape(lambda _: _real_dtype(dtype or default), shape)
    if is_shape_of_one(shape) or named("", dtype).keys() != named("", shape).keys():
        raise ValueError(f"expected input_dtype in a form like {shape}, found {dtype}")
    return each(_real_dtype, dtype)


def _real_dtype(name: str) -> np.dtype[Any]:
    try:
        dtype = np.dtype(name)
    except TypeError:
        dtype = np.dtype(object)  # NumPy has no dtype of this name
    if dtype.kind not in "biuf":
        raise ValueError(f"expected input_dtype to be a dtype of real numbers, found {name!r}")
    return dtype


def sample_shape(model: Layer, function: str) -> tuple[int, ...]:
    """Return the shape of one sample, as determined by the first layer with a fixed input size.

    If there is no such layer, the error says that `function` needs the shape. In a network that
    begins with layers for images, no layer fixes the height and the width. In a network that begins
    with an `Embedding` or has recurrent layers, no layer fixes the number of steps.
    """
    parts = [model, *(part for _, part in model._walk())]
    if any(isinstance(part, Recurrent) for part in parts):
        raise ValueError(
            f"{function} needs input_shape=, the shape of one sample, such as (time, features): a "
            "recurrent layer takes any number of steps"
        )
    of_images = any(isinstance(part, Windowed) for part in parts)
    for part in parts:
        if isinstance(part, Windowed) or (isinstance(part, Layer) and part.takes_integers):
            break
        if isinstance(part, Linear):
            return (part.in_features,)
        if isinstance(part, BatchNorm | LayerNorm) and not of_images:
            return (part.features,)
    raise ValueError(f"{function} needs input_shape=, the shape of one sample")
