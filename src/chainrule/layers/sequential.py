"""A chain of layers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, overload

from ..backends.base import BackendLike
from ..errors import ShapeError, what_is_meant
from ..parameter import Stored
from ..types import Array, Backward
from .base import Layer
from .model import Model


class Sequential(Model):
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
    _where = frozenset({"backend", "dtype", "device", "seed"})

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
            outermost `Sequential` converts `dy` to the model's dtype, and computes `dx` only where
            it is asked for by ``input_gradient=True``, and returns None otherwise; an inner one
            always does.

        Raises
        ------
        TypeError
            If a layer returns an output or a gradient of another dtype than the model's.
        """
        passed, dtype = [], self.state.dtype
        is_model = not self._name  # only what is inside of a model has a name
        if is_model:
            x = self.enter(x)
        for layer in self.layers:
            given = x.shape
            x, back = layer._checked_forward(x, training, dtype)
            passed.append((layer, back, given))
        shape = x.shape

        def backward(dy: Array, input_gradient: bool = not is_model) -> Array | None:
            if is_model:
                dy = self._converted(dy)
            if dy.shape != shape:
                raise ShapeError(
                    f"expected a gradient of shape {tuple(shape)}, found {tuple(dy.shape)}"
                )
            first = -1 if input_gradient else self._first_trainable()
            layer: Layer = self
            try:
                for layer, back, given in reversed(passed[first + 1 :]):
                    dx = back(dy)
                    if not hasattr(dx, "dtype") or dx.dtype != dtype or dx.shape != given:
                        layer._refuse_gradient(dx, dy, given)
                    dy = dx
                if input_gradient:
                    return dy
                if first < len(passed):
                    layer, back, _ = passed[first]
                    if layer.takes_input_gradient:
                        back(dy, input_gradient=False)
                    else:
                        back(dy)
            except ValueError as error:
                layer._wrote_to_input(error)
                raise
            return None

        return x, backward

    def _first_trainable(self) -> int:
        """The first layer that the gradient has to reach."""
        for i, layer in enumerate(self.layers):
            if layer.trainable:
                return i
        return len(self.layers)

    def _output(self, x: Array) -> Array:
        if type(self).forward is not Sequential.forward:
            return super()._output(x)
        x, dtype = self.enter(x), self.state.dtype
        for layer in self.layers:  # not self.forward: each activation is let go at once
            x = layer._checked_forward(x, False, dtype)[0]
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


def _no_layer(thing: Any) -> str:
    several = isinstance(thing, list | tuple)
    hint = ": is Sequential(*layers) meant?" if several else what_is_meant(thing)
    return f"expected layers, found {thing!r}{hint}"
