"""Parameters and buffers of layers. Their arrays are views into the vectors of the model."""

from __future__ import annotations

import math
import operator
from typing import Any, NoReturn

import numpy as np

from . import initializers
from .backends.conversion import to_numpy
from .checks import above_zero, flag, is_function
from .errors import ShapeError, other_dtype, shown
from .types import Array


class Stored:
    """Base class of `Parameter` and `Buffer`: an array that is a view into a vector of the model.

    Parameters
    ----------
    shape : tuple of int
        The shape of the array.
    init : callable
        A function that returns the initial value (see `chainrule.initializers`).
    """

    _vector = ""  # the name of the vector in `ModelState`
    _first_value_is = "init"  # the name of the constructor argument for the initial value

    def __init__(self, shape: tuple[int, ...], init: initializers.Initializer) -> None:
        kind = type(self).__name__.lower()
        try:
            self.shape = tuple(operator.index(n) for n in shape)
        except TypeError:
            raise TypeError(
                f"expected the shape of a {kind}, such as (3,), found {shown(shape)}; "
                f"pass the initial value as {self._first_value_is}="
            ) from None
        if min(self.shape, default=1) < 1:
            raise ShapeError(
                f"expected positive integers as the shape of a {kind}, found {self.shape}"
            )
        self.init = init
        self._layer: Any = None  # the layer that this object was assigned to
        self._state: Any = None  # the `ModelState` of its model
        self._part = slice(0)  # the slice of the vector that holds the array
        self._value: Array = None
        self._first: np.ndarray | None = None  # the initial value, or None if `init` draws it

    @property
    def size(self) -> int:
        """The number of elements."""
        return math.prod(self.shape)

    @property
    def value(self) -> Array:
        """The value, as a view into the model's vector. To change it, write ``value[...] = x``."""
        if self._value is None:
            self._value = self._view(self._vector)
        return self._value

    @value.setter
    def value(self, value: Any) -> NoReturn:
        raise AttributeError(
            f"the value of {self!r} is a view into the model's vector: write .value[...] = array"
        )

    @property
    def state(self) -> Any:
        """The state of the model. The first access to this attribute draws all values."""
        if self._state is None and self._layer is not None:
            self._layer.bind_model()
        if self._state is None:
            raise RuntimeError(
                f"{self!r} has no value, because it belongs to no layer: assign it to an attribute "
                "of a layer, in __init__"
                if self._layer is None
                else f"{self!r} was added after the weights of the model had been drawn"
            )
        return self._state

    def _no_array(self, *_: Any, **__: Any) -> NoReturn:
        raise TypeError(f"{self!r} is not an array: use its .value, which is an array")

    # Without these methods, NumPy would wrap a parameter in an array of objects.
    __array__ = __getitem__ = __setitem__ = __neg__ = _no_array
    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __pow__ = __rpow__ = _no_array
    __truediv__ = __rtruediv__ = __matmul__ = __rmatmul__ = _no_array

    def _view(self, vector: str) -> Array:
        flat = getattr(self.state, vector)[self._part]
        return self.state.backend.xp.reshape(flat, self.shape, copy=False)

    def __getstate__(self) -> dict[str, Any]:
        # A copied view would not be a view into the copied vector. So the copy creates a new view.
        return {**self.__dict__, "_value": None}

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.shape})"


class Buffer(Stored):
    """An array that a layer stores but does not learn, such as a running mean.

    Assign the buffer to an attribute of a layer, in ``__init__``. A buffer is saved and copied with
    the weights, but has no gradient, and optimizers do not change it.

    Parameters
    ----------
    shape : tuple of int
        The shape of the array.
    fill : float or array, optional
        The initial value: a number for all elements, or an array of this shape. The array is
        copied.

    Raises
    ------
    ShapeError
        If `fill` is an array of a different shape.
    DataError
        If `fill` does not hold real numbers.

    Examples
    --------
    >>> class Counted(cr.Layer):
    ...     def __init__(self):
    ...         self.steps = cr.Buffer(())
    ...
    ...     def forward(self, x, *, training=False):
    ...         if training:
    ...             self.steps.value[...] += 1.0
    ...         return x, lambda dy: dy
    >>> layer = Counted()
    >>> _ = layer.forward(np.ones((4, 3), "float32"), training=True)
    >>> layer.named_buffers(), layer.state.buffers
    ({'steps': Buffer(())}, array([1.], dtype=float32))
    """

    _vector = "buffers"
    _first_value_is = "fill"

    def __init__(self, shape: tuple[int, ...], fill: Any = 0.0) -> None:
        first = to_numpy(fill)
        number = first.ndim == 0
        super().__init__(shape, initializers.constant(float(first) if number else 0.0))
        if not number:
            self._first = first.copy()  # deleted once the model has this value
            if first.shape != self.shape:
                raise ShapeError(f"expected fill of shape {self.shape}, found {first.shape}")


class Parameter(Stored):
    """An array that a layer learns. Assign the parameter to an attribute in ``__init__``.

    Parameters
    ----------
    shape : tuple of int
        The shape of the array. The weights of a linear layer have shape ``(out, in)``.
    init : callable, optional
        A function that takes a NumPy Generator and a shape, and returns the initial value (see
        `chainrule.initializers`). By default, the parameter starts at zero.
    decay : bool, optional
        Whether the weight decay and the L1 penalty of an optimizer apply to this parameter. For the
        biases of built-in layers, this is False.
    max_norm : float, optional
        The largest Euclidean norm that a row may have. After each optimizer step, longer rows are
        scaled down: ``row *= max_norm / max(norm(row), max_norm)``. A row consists of all elements
        with the same first index. For a weight of shape ``(out, in)``, a row holds the incoming
        weights of one unit. Initial values are not scaled. (N. Srivastava et al., "Dropout: a
        simple way to prevent neural networks from overfitting", 2014.)

    Attributes
    ----------
    trainable : bool
        Whether optimizers change the parameter (see `Layer.freeze`).

    Raises
    ------
    ValueError
        If `max_norm` is given for an array with fewer than two axes, or if `max_norm` is not a
        finite number above 0.

    Examples
    --------
    >>> class Shift(cr.Layer):
    ...     def __init__(self, features):
    ...         self.offset = cr.Parameter((features,))
    ...
    ...     def forward(self, x, *, training=False):
    ...         def backward(dy):
    ...             self.offset.add_grad(dy.sum(axis=0))
    ...             return dy
    ...
    ...         return x + self.offset.value, backward
    >>> layer = Shift(2)
    >>> y, backward = layer.forward(np.zeros((3, 2), dtype="float32"))
    >>> dx = backward(np.ones((3, 2), dtype="float32"))
    >>> layer.offset.value, layer.offset.grad
    (array([0., 0.], dtype=float32), array([3., 3.], dtype=float32))
    """

    _vector = "values"

    def __init__(
        self,
        shape: tuple[int, ...],
        *,
        init: initializers.Initializer | None = None,
        decay: bool = True,
        max_norm: float | None = None,
    ) -> None:
        if init is not None and not is_function(init):
            raise TypeError(
                f"expected an initializer such as initializers.he_normal(), found {shown(init)}"
                + (": are its parentheses missing?" if isinstance(init, type) else "")
            )
        super().__init__(shape, initializers.zeros() if init is None else init)
        self.decay = flag("decay", decay)
        self.max_norm = None if max_norm is None else above_zero("max_norm", max_norm)
        if max_norm is not None and len(self.shape) < 2:
            raise ValueError(f"expected at least two axes for max_norm, found {self.shape}")
        self.trainable = True
        self._grad: Array = None
        self._written = -1  # the generation of the gradient (see `ModelState`)
        self._zeroed = False  # whether the gradient was set to zero because the parameter is frozen

    @property
    def grad(self) -> Array:
        """The gradient of the loss with respect to this parameter, from the last backward pass.

        The gradient is zero after `Layer.zero_grad`, or if the last backward pass did not reach
        this parameter.
        """
        self._settle(self.state.shown)
        return self._gradient()

    def add_grad(self, grad: Array) -> None:
        """Add `grad` to the gradient. The first call after an optimizer step replaces the gradient.

        Raises
        ------
        ShapeError
            If `grad` does not have the parameter's shape.
        TypeError
            If `grad` does not have the model's dtype.
        """
        if grad.shape != self.shape:
            expected, found = self.shape, tuple(grad.shape)
            raise ShapeError(f"expected a gradient of shape {expected}, found {found}")
        if grad.dtype != self.state.dtype:
            raise self._other_dtype(grad)
        if not self.trainable:
            return
        total = self._gradient()
        if self._is_first():
            total[...] = grad
        else:
            total += grad

    def add_grad_matmul(self, a: Array, b: Array) -> None:
        """Add ``a @ b`` to the gradient, without a temporary array if possible."""
        state = self.state
        if a.dtype != state.dtype or b.dtype != state.dtype:
            raise self._other_dtype(b if a.dtype == state.dtype else a)
        if not self.trainable:
            return
        total = self._gradient()
        if self._is_first():
            state.backend.matmul(a, b, out=total)
        else:
            total += state.backend.matmul(a, b)

    def add_grad_rows(self, index: Array, rows: Array) -> None:
        """Add ``rows[i]`` to row ``index[i]`` of the gradient for every `i`.

        Indices may repeat. No temporary array of the parameter's shape is created.

        Parameters
        ----------
        index : array
            Row numbers, ``(n,)``, int64.
        rows : array
            ``(n, ...)``, in the model's dtype.

        Raises
        ------
        ShapeError
            Unless there is one row of the right shape for each index.
        TypeError
            If `rows` does not have the model's dtype.
        """
        expected, found = (*index.shape, *self.shape[1:]), tuple(rows.shape)
        if index.ndim != 1 or found != expected:
            raise ShapeError(f"expected rows of shape {expected} for a gradient, found {found}")
        if rows.dtype != self.state.dtype:
            raise self._other_dtype(rows)
        if not self.trainable:
            return
        total = self._gradient()
        if self._is_first():
            total[...] = 0.0
        self.state.backend.scatter_add(total, index, rows)

    def _gradient(self) -> Array:
        """Return the view into the gradient vector. The gradient may be from an earlier step."""
        if self._grad is None:
            self._grad = self._view("_grads")
        return self._grad

    def _other_dtype(self, array: Array) -> TypeError:
        layer = "" if self._layer is None else f"{self._layer._label()}: "
        return other_dtype(f"{layer}gradient of {self!r}", array.dtype, self.value.dtype)

    def _is_first(self) -> bool:
        """Return whether the gradient is out of date, and mark it as up to date."""
        state = self._state
        first: bool = self._written != state.generation
        self._written = state.shown = state.generation
        self._zeroed = False
        return first

    def _settle(self, shown: int) -> None:
        """Set the gradient to zero if the parameter is frozen or the gradient is out of date."""
        if self.trainable and self._written == shown:
            return
        if self.trainable or not self._zeroed:
            self._gradient()[...] = 0.0
        self._written, self._zeroed = shown, not self.trainable

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "_grad": None}
