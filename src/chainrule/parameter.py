"""Parameters, and the two flat vectors in which all parameters of a model and their gradients live.

Each parameter is a view into its model's vector. An optimizer step, a gradient norm or an average
of weights is therefore one operation on one vector, whatever the depth of the model.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from . import initializers
from .backend import Array, Backend
from .errors import DataError, ShapeError

_WEIGHTS = 1  # keeps the stream that draws weights apart from others that start from the same seed


class Parameter:
    """An array that a layer learns. Assign it to an attribute of a layer, in ``__init__``.

    Parameters
    ----------
    shape : tuple of int
        Its shape; weights of a linear map are ``(out, in)``.
    init : callable, optional
        Gives its first value: a function of a NumPy Generator and a shape, see
        `chainrule.initializers`. Zeros if not given.
    decay : bool, optional
        Whether an optimizer's weight decay applies to it. Biases say no.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        *,
        init: initializers.Initializer | None = None,
        decay: bool = True,
    ) -> None:
        if init is not None and (not callable(init) or isinstance(init, type)):
            raise TypeError(
                f"expected an initializer such as initializers.he_normal(), found {init!r}"
                + (": are its parentheses missing?" if isinstance(init, type) else "")
            )
        self.shape = tuple(operator.index(n) for n in shape)
        if min(self.shape, default=1) < 1:
            raise ShapeError(f"expected positive sizes for a parameter, found {self.shape}")
        self.init: initializers.Initializer = initializers.zeros() if init is None else init
        self.decay = decay
        self.trainable = True
        self._layer: Any = None  # the layer that it was assigned to
        self._state: ModelState | None = None
        self._part = slice(0)  # its place in the flat vectors
        self._value: Array = None
        self._grad: Array = None
        self._written = -1  # the generation of its gradient, see ModelState

    @property
    def size(self) -> int:
        """The number of its elements."""
        return math.prod(self.shape)

    @property
    def value(self) -> Array:
        """Its value, a view into the model's vector: write to it with ``value[...] = ``."""
        if self._value is None:
            self._value = self._view(self.state.values)
        return self._value

    @property
    def grad(self) -> Array:
        """The gradient of the loss by it, from the last backward pass."""
        if self._grad is None:
            self._grad = self._view(self.state.grads)
        return self._grad

    def add_grad(self, grad: Array) -> None:
        """Add `grad`; the first to come after an optimizer's step overwrites the one before.

        Raises
        ------
        ShapeError
            If `grad` does not have the parameter's own shape.
        """
        if grad.shape != self.shape:
            expected, found = self.shape, tuple(grad.shape)
            raise ShapeError(f"expected a gradient of shape {expected}, found {found}")
        if self._accumulates():
            total = self.grad
            total += grad
        elif self.trainable:
            self.grad[...] = grad

    def add_grad_matmul(self, a: Array, b: Array) -> None:
        """Add the matrix product ``a @ b``; where it is the first, it is computed in place."""
        if self._accumulates():
            total = self.grad
            total += a @ b
        elif self.trainable:
            self.state.backend.matmul(a, b, out=self.grad)

    def _accumulates(self) -> bool:
        """Whether there is a gradient since the last step already; if not, there is one now."""
        if not self.trainable:
            return False
        current = self.state.generation
        already = self._written == current
        self._written = current
        return already

    @property
    def state(self) -> ModelState:
        """What it shares with the other parameters of its model; draws first values if need be."""
        if self._state is None and self._layer is not None:
            self._layer.state  # noqa: B018  (draws the values of the whole model)
        if self._state is None:
            raise RuntimeError(
                f"{self!r} has no value: it belongs to no layer, being assigned to no attribute of "
                "one"
                if self._layer is None
                else f"{self!r} was added to a model that has its weights already"
            )
        return self._state

    def _view(self, vector: Array) -> Array:
        return self.state.backend.xp.reshape(vector[self._part], self.shape, copy=False)

    def __getstate__(self) -> dict[str, Any]:
        # A copied view is a view no more: the copy makes its own, of the copied vector.
        return {**self.__dict__, "_value": None, "_grad": None}

    def __repr__(self) -> str:
        return f"Parameter({self.shape})"


class ModelState:
    """What the layers of one model share: the flat vectors, the backend, and the counters.

    Attributes
    ----------
    parameters : list of Parameter
        Each parameter once, those with weight decay first, in the order of the vectors.
    values, grads : array
        The flat vectors, ``(size,)``, of the model's dtype.
    generation : int
        Of gradients; one optimizer step ends it. A gradient of an earlier generation is stale.
    draws : int
        The number of random masks drawn so far, see `chainrule.layers.Dropout`.
    """

    def __init__(
        self, parameters: Sequence[Parameter], *, backend: Backend, dtype: str, seed: int
    ) -> None:
        self.backend = backend
        self.dtype_name = dtype
        self.dtype = backend.dtype(dtype)
        self.seed = seed
        self.generation = 0
        self.draws = 0
        rng = np.random.default_rng([seed, _WEIGHTS])
        drawn = {id(p): self._draw(p, rng) for p in parameters}
        self.parameters = sorted(parameters, key=lambda p: not p.decay)  # a stable sort
        flat = np.zeros(sum(p.size for p in parameters))
        offset = 0
        for p in self.parameters:
            p._part = slice(offset, offset + p.size)
            flat[p._part] = drawn[id(p)].reshape(-1)
            offset += p.size
        self.values = self._vector(flat)
        self.grads = self._vector(np.zeros_like(flat))
        for p in self.parameters:  # last, so that a failure leaves the layers free
            p._state = self
            if isinstance(p.init, initializers.given):
                p.init = initializers.zeros()  # used once: not to be kept beside the values

    @staticmethod
    def _draw(parameter: Parameter, rng: np.random.Generator) -> np.ndarray:
        value = np.asarray(parameter.init(rng, parameter.shape))
        if value.shape != parameter.shape:
            raise ShapeError(
                f"initializer {parameter.init!r} gave shape {value.shape}, "
                f"expected {parameter.shape}"
            )
        if not np.isfinite(value).all():
            raise DataError(f"initializer {parameter.init!r} gave NaN or infinity")
        return value

    def _vector(self, flat: np.ndarray) -> Array:
        # Cast on the host: not every library converts float64 as NumPy does.
        xp, device = self.backend.xp, self.backend.device
        return xp.asarray(flat.astype(self.dtype_name), dtype=self.dtype, device=device, copy=True)

    def zero_grad(self) -> None:
        """Forget all gradients: the next that is added overwrites, one never added is zero."""
        self.generation += 1

    def settle_grads(self) -> None:
        """Write zeros where no backward pass has written since the last step, or none should."""
        for p in self.parameters:
            if p._written != self.generation or not p.trainable:
                p.grad[...] = 0.0
                p._written = self.generation

    def trainable_parts(self, decays: Callable[[Parameter], bool]) -> list[tuple[slice, bool]]:
        """The longest stretches of the vectors that are trained and `decays` agrees on."""
        parts: list[tuple[slice, bool]] = []
        for p in self.parameters:
            if not p.trainable:
                continue
            part, decay = p._part, decays(p)
            if parts and (parts[-1][0].stop, parts[-1][1]) == (part.start, decay):
                part = slice(parts.pop()[0].start, part.stop)
            parts.append((part, decay))
        return parts

    def __getstate__(self) -> dict[str, Any]:
        to_numpy = self.backend.to_numpy
        hosted = {"values": to_numpy(self.values).copy(), "grads": to_numpy(self.grads).copy()}
        return {**self.__dict__, **hosted, "dtype": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.dtype = self.backend.dtype(self.dtype_name)
        self.values = self._vector(self.values)
        self.grads = self._vector(self.grads)
