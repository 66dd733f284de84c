"""A chain of layers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self, overload

import numpy as np
from array_api_compat import is_array_api_obj

from ..backend import Array, BackendLike, beside, host_array
from ..checks import whole
from ..errors import DataError, ShapeError
from ..parameter import ModelState, Stored
from .base import Backward, Layer
from .linear import Linear

_WHERE = frozenset({"backend", "dtype", "device", "seed"})


class Sequential(Layer):
    """Layers one after another; the outermost one is the model.

    Parameters
    ----------
    *layers : Layer
        In the order in which they are applied; another `Sequential` is a layer too.
    backend, dtype, device, seed : optional
        See `Layer.bind`; for the outermost `Sequential` only. By default NumPy, float32, seed 0.

    Examples
    --------
    >>> model = cr.Sequential(cr.Linear(4, 3), cr.ReLU(), cr.Linear(3, 2), seed=1)
    >>> model
    Sequential(
      0: Linear(4, 3)
      1: ReLU()
      2: Linear(3, 2)
    )
    >>> len(model), model[0], list(model.named_parameters())
    (3, Linear(4, 3), ['0.weight', '0.bias', '2.weight', '2.bias'])
    >>> model.predict(np.ones((5, 4))).shape
    (5, 2)
    """

    takes_input_gradient = True

    def __init__(
        self,
        *layers: Layer,
        backend: BackendLike | None = None,
        dtype: str | None = None,
        device: Any = None,
        seed: int | None = None,
    ) -> None:
        for layer in layers:
            if not isinstance(layer, Layer):
                raise TypeError(_no_layer(layer))
        self.layers = layers
        options = {"backend": backend, "dtype": dtype, "device": device, "seed": seed}
        given = {name: option for name, option in options.items() if option is not None}
        if given:
            self.bind(**given)

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        # Where a model computes is chosen by who makes it, not a part of what it is.
        return super().__new__(cls, *args, **{k: v for k, v in kwargs.items() if k not in _WHERE})

    def children(self) -> Iterator[tuple[str, Layer | Stored]]:
        """The layers by their number, and what a subclass has in other attributes."""
        return ((name.removeprefix("layers."), part) for name, part in super().children())

    def forward(self, x: Array, *, training: bool = False) -> tuple[Array, Backward]:
        """The output of the last layer, and the function that pulls a gradient back to the first.

        Parameters
        ----------
        x : array
            The input, ``(batch, ...)``, of the model's backend; the outermost `Sequential` converts
            it to the model's dtype.
        training : bool, optional
            Whether this is a step of training; dropout acts only then, and batch normalisation
            takes its statistics from the batch.

        Returns
        -------
        y : array
            The output.
        backward : callable
            ``backward(dy, input_gradient=False)`` adds the gradients of the parameters. The
            outermost `Sequential` computes `dx` only where it is asked for by
            ``input_gradient=True``, and returns None otherwise; an inner one always does.
        """
        state = self.state
        is_model = not self._name  # only what is inside of a model has a name
        if is_model:
            x = self._enter(x, state)
        backs = []
        for layer in self.layers:
            x, back = _forward(layer, x, training)
            backs.append(back)
        shape = x.shape

        def backward(dy: Array, input_gradient: bool = not is_model) -> Array | None:
            if dy.shape != shape:
                raise ShapeError(
                    f"expected a gradient of shape {tuple(shape)}, found {tuple(dy.shape)}"
                )
            if input_gradient:
                for back in reversed(backs):
                    dy = back(dy)
                return dy
            first = self._first_trainable()
            if first < len(backs):
                for back in reversed(backs[first + 1 :]):
                    dy = back(dy)
                if self.layers[first].takes_input_gradient:
                    backs[first](dy, input_gradient=False)
                else:
                    backs[first](dy)
            return None

        return x, backward

    @staticmethod
    def _enter(x: Any, state: ModelState) -> Array:
        """The input in the model's dtype."""
        if not isinstance(x, state.backend.array_type):
            raise TypeError(
                f"expected an array of backend {state.backend.name!r}, found "
                f"{type(x).__module__}.{type(x).__name__}: model.backend.asarray(x) makes one"
            )
        array: Array = x
        return array if array.dtype == state.dtype else state.backend.xp.astype(array, state.dtype)

    def _first_trainable(self) -> int:
        """The first layer that the gradient has to reach."""
        for i, layer in enumerate(self.layers):
            if layer.trainable:
                return i
        return len(self.layers)

    def predict(self, x: Any, *, batch_size: int = 1024) -> Any:
        """The outputs for all of `x`, in inference mode.

        Parameters
        ----------
        x : array
            ``(samples, features)``, of any library, a list or a frame; moved to the device a batch
            at a time.
        batch_size : int, optional
            How many samples are computed at once.

        Returns
        -------
        array
            The raw outputs of the last layer, an array of the same library as `x`; NumPy's for
            lists and frames.
        """
        backend = self.backend
        if isinstance(x, backend.array_type):
            return self._outputs(x, batch_size)
        given = x if is_array_api_obj(x) else host_array(x)
        outputs = self._outputs(given, batch_size)
        return backend.to_numpy(outputs) if isinstance(given, np.ndarray) else beside(x, outputs)

    def _outputs(self, x: Array, batch_size: int) -> Array:
        batch_size = whole("batch_size", batch_size, least=1)
        if x.ndim == 0 or x.shape[0] == 0:
            raise DataError(f"expected at least one sample, found an array of shape {x.shape}")
        backend, samples = self.backend, x.shape[0]
        if samples <= batch_size:
            return self._output(backend.asarray(x))
        starts = range(0, samples, batch_size)
        batches = (x[i : min(i + batch_size, samples), ...] for i in starts)
        return backend.xp.concat([self._output(backend.asarray(x)) for x in batches], axis=0)

    def _output(self, x: Array) -> Array:
        if type(self).forward is not Sequential.forward:
            return self.forward(x)[0]
        x = self._enter(x, self.state)
        for layer in self.layers:  # not self.forward: each activation is let go at once
            x = _forward(layer, x, training=False)[0]
        return x

    # As a collection and as text.

    def __len__(self) -> int:
        return len(self.layers)

    def __iter__(self) -> Iterator[Layer]:
        return iter(self.layers)

    @overload
    def __getitem__(self, index: int) -> Layer: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Layer, ...]: ...
    def __getitem__(self, index: int | slice) -> Layer | tuple[Layer, ...]:
        """One layer, or a tuple of them: they stay in this model."""
        return self.layers[index]

    def __repr__(self) -> str:
        lines = [f"{name}: {layer!r}".replace("\n", "\n  ") for name, layer in self.children()]
        return "\n  ".join([f"{type(self).__name__}(", *lines]) + "\n)"

    def summary(self, input_shape: tuple[int, ...] | None = None) -> str:
        """A table of the layers, with the shapes of their outputs and their parameters.

        Parameters
        ----------
        input_shape : tuple of int, optional
            Of one sample, ``(28, 28)`` for example; the first `Linear`'s inputs if not given.

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
            sizes = [part.in_features for _, part in self._walk() if isinstance(part, Linear)]
            if not sizes:
                raise ValueError("summary needs input_shape=, the shape of one sample")
            input_shape = (sizes[0],)
        x = self.xp.zeros((1, *input_shape), dtype=self.state.dtype, device=self.backend.device)
        rows = [("layer", "kind", "output", "parameters")]
        for i, layer in enumerate(self.layers):
            x = layer.forward(x)[0]
            shape = ", ".join(["batch", *map(str, x.shape[1:])])
            count = sum(p.size for p in layer.parameters())
            rows.append((str(i), " ".join(repr(layer).split()), f"({shape})", f"{count:,}"))
        a, b, c, d = (max(map(len, column)) for column in zip(*rows, strict=True))
        lines = [f"{r[0]:<{a}}  {r[1]:<{b}}  {r[2]:<{c}}  {r[3]:>{d}}" for r in rows]
        parameters = self.parameters()
        total = sum(p.size for p in parameters)
        trained = sum(p.size for p in parameters if p.trainable)
        return "\n".join([*lines, f"total {total:,} parameters, {trained:,} trainable"])

    # In files.

    def save(self, path: str | Path) -> None:
        """Write weights, buffers and architecture to a safetensors file, see `chainrule.load`.

        The tensors load into an equivalent ``torch.nn.Sequential`` as they are. The architecture is
        the classes of the layers and their constructors' arguments: numbers, strings, layers,
        initializers, and lists of them. What else a layer of one's own keeps in attributes is not
        saved, nor is what is frozen.

        Raises
        ------
        TypeError
            If an argument of a layer cannot be written.
        OSError
            If the file cannot be written; an older one is then left as it was.
        """
        from ..checkpoint import save_model

        save_model(self, path)

    def load_weights(self, path: str | Path) -> None:
        """Read weights and buffers from a safetensors file, also one that another library wrote.

        What PyTorch counts beside running statistics, ``num_batches_tracked``, is left out.

        Raises
        ------
        FileFormatError
            If the file is damaged or does not fit; the model is then left as it was.
        """
        from ..checkpoint import load_weights

        load_weights(self, path)


def _forward(layer: Layer, x: Array, training: bool) -> tuple[Array, Backward]:
    result = layer.forward(x, training=training)
    if type(result) is not tuple or len(result) != 2:
        raise TypeError(f"{layer!r}: expected forward to return y and backward, found {result!r}")
    return result


def _no_layer(thing: Any) -> str:
    hint = ""
    if isinstance(thing, type):
        hint = f": is {thing.__name__}() meant?"
    elif isinstance(thing, list | tuple):
        hint = ": is Sequential(*layers) meant?"
    return f"expected layers, found {thing!r}{hint}"
