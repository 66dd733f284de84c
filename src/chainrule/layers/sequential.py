"""A chain of layers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, overload

from ..backends.base import BackendLike
from ..checks import instance
from ..errors import ShapeError
from ..forms import Padded, fits, shape_of
from ..model_state import ModelState
from ..parameter import Stored
from ..types import Arrays, Backward, Shapes
from .base import Layer
from .hints import Hints
from .model import Model
from .tree import Tree


class Chain:
    """Base class of `Sequential` and `Slice`, with the methods of a sequence."""

    layers: tuple[Layer, ...]

    def __len__(self) -> int:
        return len(self.layers)

    def __iter__(self) -> Iterator[Layer]:
        return iter(self.layers)

    @overload
    def __getitem__(self, index: int) -> Layer: ...
    @overload
    def __getitem__(self, index: slice) -> Slice: ...
    def __getitem__(self: Any, index: int | slice) -> Layer | Slice:
        """Return a layer or, for an index such as ``[:2]``, a `Slice` (a view of the layers)."""
        found: Layer | tuple[Layer, ...] = self.layers[index]
        return Slice(self, found) if isinstance(found, tuple) else found


class Sequential(Chain, Model):
    """A chain of layers. The outermost `Sequential` is the model.

    Parameters
    ----------
    *layers : Layer
        The layers, in the order in which they are applied. A layer may itself be a `Sequential`.
    backend, dtype, device, seed : optional
        For the outermost `Sequential` only (see `Layer.bind`). The defaults are NumPy, float32 and
        seed 0. So two models with the same layers start with the same weights unless their seeds
        differ.

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
    takes_several = True
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
            several = isinstance(layer, list | tuple)
            hint = ": did you mean Sequential(*layers)?" if several else ""
            instance(Layer, layer, "layers", hint)
        self.layers = layers
        options = {"backend": backend, "dtype": dtype, "device": device, "seed": seed}
        given = {name: option for name, option in options.items() if option is not None}
        if given:
            self.bind(**given)

    @property
    def takes_integers(self) -> bool:  # type: ignore[override]
        """Whether the first layer takes integers (see `Layer.takes_integers`)."""
        return bool(self.layers) and self.layers[0].takes_integers

    def children(self) -> Iterator[tuple[str, Tree | Stored]]:
        """Yield the layers, each named by its number, and then the parts that a subclass adds."""
        return ((name.removeprefix("layers."), part) for name, part in super().children())

    def forward(self, x: Arrays, *, training: bool = False) -> tuple[Arrays, Backward]:
        """Return the output of the last layer, and the function for the backward pass.

        Parameters
        ----------
        x : array, or tuple or dict of arrays
            The input, ``(batch, ...)``, as an array of the model's backend, or several inputs. The
            outermost `Sequential` converts inputs to the model's dtype, except integers among
            several inputs (see `enter`).
        training : bool, optional
            Whether to run in training mode. See `Layer.forward`.

        Returns
        -------
        y : array, or tuple or dict of arrays
            The output. If the last layer returns padded sequences and their lengths, the outermost
            `Sequential` returns only the sequences.
        backward : callable
            ``backward(dy, input_gradient=False)`` adds to the gradients of the parameters. The
            outermost `Sequential` converts `dy` to the model's dtype. With ``input_gradient=True``,
            ``backward`` returns `dx`, in the same form as `x`. Otherwise, it returns None. For an
            inner `Sequential`, ``input_gradient=True`` is the default.

        Raises
        ------
        TypeError
            If a layer returns an output or a gradient whose dtype is not the model's dtype.
        """
        passed, dtype = [], self.state.dtype
        is_model = not any(self._names)  # only layers inside a model have names
        if is_model:
            x = self.enter(x)
        for layer in self.layers:
            given = shape_of(x)
            x, back = layer._checked_forward(x, training, dtype)
            passed.append((layer, back, given))
        padded = is_model and isinstance(x, Padded)
        y = x.x if padded else x
        shape = shape_of(y)

        def backward(dy: Arrays, input_gradient: bool = not is_model) -> Arrays | None:
            if is_model:
                dy = self.enter(dy, gradient=True)
            if not fits(dy, shape):
                raise ShapeError(f"expected a gradient of shape {shape}, found {shape_of(dy)}")
            dy = Padded(dy, None) if padded else dy
            first = -1  # the first layer whose gradients are needed
            if not input_gradient:
                trainable = (i for i, layer in enumerate(self.layers) if layer.trainable)
                first = next(trainable, len(passed))
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

        return y, backward

    def check_input(self, x: Arrays) -> None:
        """Check the integers in the input with each layer, up to the first that mixes steps."""
        if type(self).forward is Sequential.forward:
            for layer in self.layers:
                layer.check_input(x)
                if layer._is_custom or not layer.per_step:
                    break

    def _output(self, x: Arrays) -> Arrays:
        if type(self).forward is not Sequential.forward:
            return super()._output(x)
        x, dtype = self.enter(x), self.state.dtype
        for layer in self.layers:  # self.forward would store all activations
            x = layer._checked_forward(x, False, dtype)[0]
        return x.x if isinstance(x, Padded) else x

    def __repr__(self) -> str:
        return _lines(self, self.children())


class Slice(Chain, Hints):
    """A view of some layers of a model, such as ``model[:2]``.

    The view uses the layers of the model, with their weights. A view cannot be trained, saved or
    put into another model. For these purposes, `copy` returns an independent model.

    Parameters
    ----------
    model : Sequential
        The model.
    layers : tuple of Layer
        The layers in the view.

    Examples
    --------
    >>> model = cr.mlp([4, 8, 3])
    >>> model[:2]
    Slice(
      0: Linear(4, 8)
      1: ReLU()
    )
    >>> model[:2].predict(np.ones((5, 4))).shape
    (5, 8)
    """

    instead = "a slice shares the layers of its model, but slice.copy() is an independent model"

    def __init__(self, model: Sequential | Slice, layers: tuple[Layer, ...]) -> None:
        self.model: Sequential = model.model if isinstance(model, Slice) else model
        self.layers = layers

    def forward(self, x: Arrays, *, training: bool = False) -> tuple[Arrays, Backward]:
        """Apply the layers (see `Sequential.forward`)."""
        return self._chain(self.model.state).forward(x, training=training)

    def predict(self, x: Any, *, batch_size: int = 1024) -> Any:
        """Return the outputs for all samples in inference mode (see `Sequential.predict`)."""
        return self._chain(self.model.state).predict(x, batch_size=batch_size)

    def summary(self, input_shape: Shapes | None = None, *, input_dtype: Any = None) -> str:
        """Return a table of the layers (see `Sequential.summary`)."""
        chain = self._chain(self.model.state)
        return chain.summary(input_shape, input_dtype=input_dtype)

    def freeze(self) -> None:
        """Freeze these layers of the model (see `Layer.freeze`)."""
        for layer in self.layers:
            layer.freeze()

    def unfreeze(self) -> None:
        """Unfreeze these layers of the model (see `Layer.unfreeze`)."""
        for layer in self.layers:
            layer.unfreeze()

    def copy(self) -> Sequential:
        """Return an unbound `Sequential` with copies of the layers (see `Layer.copy`)."""
        twin = self._chain(self.model._state).copy()
        twin.layers = twin.layers  # makes the layers belong to `twin`
        return twin

    def _chain(self, state: ModelState | None) -> Sequential:
        """Return a `Sequential` of these layers. The layers still belong to their own model."""
        chain = Sequential()
        chain._parent, chain._state = self.model, state
        object.__setattr__(chain, "layers", self.layers)
        return chain

    def __repr__(self) -> str:
        return _lines(self, enumerate(self.layers))

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            if hasattr(Sequential, name):
                raise AttributeError(f"Slice has no {name!r}: {self.instead}")
            return super().__getattr__(name)


def _lines(model: Sequential | Slice, layers: Iterable[tuple[Any, Any]]) -> str:
    """Return the layers as text, with one layer per line."""
    lines = [f"{name}: {layer!r}".replace("\n", "\n  ") for name, layer in layers]
    return "\n  ".join([f"{type(model).__name__}(", *lines]) + "\n)"
