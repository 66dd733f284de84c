"""Parameters and buffers, and the flat vectors in which a model stores their values.

The value of each parameter is a view into a vector of the model, and the gradient is a view into a
second vector. So an optimizer step, a gradient norm or an average of weights is one operation on a
vector, however deep the model is. Buffers are views into a third vector.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn, Protocol

import numpy as np

from . import initializers
from .backends import Backend
from .backends.conversion import to_numpy
from .checks import above_zero, flag, is_function
from .errors import DataError, ShapeError, blaming, other_dtype, shown
from .formulas import scaled_norm
from .masks import split_key
from .types import Array

_VECTORS = ("values", "_grads", "buffers")  # the names of the vectors in `ModelState`
_WEIGHTS = 1  # makes these random numbers independent of other uses of the seed


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
    _first_value_is = "init"  # the constructor argument for the initial value

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
            raise ShapeError(f"expected positive sizes for a {kind}, found {self.shape}")
        self.init = init
        self._layer: Any = None  # the layer that this object was assigned to
        self._state: ModelState | None = None
        self._part = slice(0)  # the place of the array in the vector
        self._value: Array = None
        self._first: np.ndarray | None = None  # the initial value, or None if `init` draws it

    @property
    def size(self) -> int:
        """The number of elements."""
        return math.prod(self.shape)

    @property
    def value(self) -> Array:
        """The value, as a view into the model's vector. Change the value with ``value[...] =``."""
        if self._value is None:
            self._value = self._view(self._vector)
        return self._value

    @value.setter
    def value(self, value: Any) -> NoReturn:
        raise AttributeError(
            f"the value of {self!r} is a view into the model's vector: write .value[...] = array"
        )

    @property
    def state(self) -> ModelState:
        """The state of the model. The first use of this attribute draws all values."""
        if self._state is None and self._layer is not None:
            self._layer.bind_model()
        if self._state is None:
            raise RuntimeError(
                f"{self!r} has no value, because it belongs to no layer: assign it to an attribute "
                "of a layer, in __init__"
                if self._layer is None
                else f"{self!r} was added to a model that already has its weights"
            )
        return self._state

    def _no_array(self, *_: Any, **__: Any) -> NoReturn:
        raise TypeError(f"{self!r} is not an array, but its .value is one")

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
    """An array that a layer learns. Assign it to an attribute of a layer, in ``__init__``.

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

        The gradient is zero if the last backward pass did not reach this parameter, and after
        `Layer.zero_grad`.
        """
        self._settle(self.state.shown)
        return self._gradient()

    def add_grad(self, grad: Array) -> None:
        """Add `grad` to the gradient; the first call after an optimizer step replaces the gradient.

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
        dtype = self.state.dtype
        if a.dtype != dtype or b.dtype != dtype:
            raise self._other_dtype(b if a.dtype == dtype else a)
        if not self.trainable:
            return
        total = self._gradient()
        if self._is_first():
            self.state.backend.matmul(a, b, out=total)
        else:
            total += self.state.backend.matmul(a, b)

    def _gradient(self) -> Array:
        """Return the view into the gradient vector, which may hold gradients of an earlier step."""
        if self._grad is None:
            self._grad = self._view("_grads")
        return self._grad

    def _other_dtype(self, array: Array) -> TypeError:
        layer = "" if self._layer is None else f"{self._layer._label()}: "
        return other_dtype(f"{layer}gradient of {self!r}", array.dtype, self.value.dtype)

    def _is_first(self) -> bool:
        """Return whether the gradient is out of date, and mark it as up to date."""
        state = self.state
        first, self._zeroed = self._written != state.generation, False
        self._written = state.shown = state.generation
        return first

    def _settle(self, shown: int) -> None:
        """Set the gradient to zero if it was not computed in generation `shown`, or if frozen."""
        if self.trainable and self._written == shown:
            return
        if self.trainable or not self._zeroed:
            self._gradient()[...] = 0.0
        self._written, self._zeroed = shown, not self.trainable

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "_grad": None}


class StepInputs(Protocol):
    """Inputs that change from step to step while the operations stay the same.

    When a device repeats a step without running Python, these inputs are read from tables on the
    device (see `chainrule.training.repeated`).
    """

    def numbers(self, state: ModelState, values: Sequence[float]) -> Array:
        """Return the numbers of an optimizer step as one array, which needs only one transfer."""

    def key(self, state: ModelState) -> tuple[Any, Any]:
        """Return the key of the next random mask: two integers or 0-d arrays."""


class HostInputs:
    """The inputs of a step that runs in Python."""

    def numbers(self, state: ModelState, values: Sequence[float]) -> Array:
        return state.backend.asarray(np.asarray(values, dtype=state.dtype_name))

    def key(self, state: ModelState) -> tuple[Any, Any]:
        return split_key(state.seed, state.draws)


class ModelState:
    """The state that all layers of a model share: flat vectors, backend and counters.

    Attributes
    ----------
    parameters : list of Parameter
        Each parameter once, in the order of the vectors. Parameters with weight decay come first.
    values : array
        The flat vector of all parameters, ``(size,)``, in the model's dtype.
    buffers : array
        The flat vector of all buffers, in the order of definition.
    generation : int
        The number of the current generation of gradients. Every optimizer step begins a new
        generation. In a new generation, the first gradient of each parameter overwrites the old
        gradient.
    shown : int
        The generation of the last backward pass. `grads` holds the gradients of this generation.
    draws : int
        The number of random masks drawn so far (see `chainrule.layers.Dropout`).
    inputs : StepInputs
        The source of the optimizer's numbers and of the keys of random masks.
    """

    def __init__(
        self,
        parameters: Sequence[Parameter],
        buffers: Sequence[Buffer] = (),
        *,
        backend: Backend,
        dtype: str,
        seed: int,
        first: Mapping[int, Any] | None = None,
    ) -> None:
        self.backend = backend
        self.dtype_name = dtype
        self.dtype = backend.dtype(dtype)
        self.seed = seed
        self.generation = self.shown = 0
        self.draws = 0
        self.inputs: StepInputs = HostInputs()
        rng = np.random.default_rng([seed, _WEIGHTS])
        given = first or {}
        drawn = {
            id(part): self._first_value(part, given.get(id(part)), rng)
            for part in (*parameters, *buffers)
        }
        self.parameters = sorted(parameters, key=lambda p: not p.decay)  # sorting is stable
        self.values = self._laid_out(self.parameters, drawn)
        self._grads = backend.xp.zeros_like(self.values)
        self.buffers = self._laid_out(buffers, drawn)
        for part in (*parameters, *buffers):  # last, so that an error leaves the layers unbound
            part._state, part._first = self, None

    def _first_value(self, part: Stored, given: Any, rng: np.random.Generator) -> np.ndarray:
        """Return the given value, or else the value that the initializer draws."""
        source = "values="
        if given is None:
            drawn = isinstance(part, Parameter) and part._first is None
            source = f"initializer {part.init!r}" if drawn else f"{part._first_value_is}="
            given = part._first
        with blaming(f"{source} for {part!r}"):
            value = to_numpy(part.init(rng, part.shape) if given is None else given)
        if value.shape != part.shape:
            raise ShapeError(f"{source} gave shape {value.shape}, expected {part.shape}")
        with np.errstate(over="ignore"):
            value = value.astype(self.dtype_name)
        if not np.isfinite(value).all():
            raise DataError(f"{source} gave NaN or infinity in {self.dtype_name} for {part!r}")
        return value

    def _laid_out(self, parts: Sequence[Stored], drawn: dict[int, np.ndarray]) -> Array:
        """Put the initial values of all parts into one vector, and set each part's place."""
        flat = np.empty(sum(part.size for part in parts), dtype=self.dtype_name)
        offset = 0
        for part in parts:
            part._part = slice(offset, offset + part.size)
            flat[part._part] = drawn.pop(id(part)).reshape(-1)
            offset += part.size
        return self._vector(flat)

    def _vector(self, flat: np.ndarray) -> Array:
        # Convert the dtype with NumPy, because libraries do not all round float64 in the same way.
        xp, device = self.backend.xp, self.backend.device
        return xp.asarray(flat.astype(self.dtype_name), dtype=self.dtype, device=device, copy=True)

    def next_key(self) -> tuple[Any, Any]:
        """Return the key of the next random mask: two integers or 0-d arrays."""
        key = self.inputs.key(self)
        self.draws += 1
        return key

    def snapshot(self, *names: str) -> dict[str, Array]:
        """Return copies of the vectors with these names, by default of values and buffers."""
        xp, names = self.backend.xp, names or ("values", "buffers")
        vectors = {name: getattr(self, name) for name in names}
        return {name: xp.asarray(v, copy=True) for name, v in vectors.items() if v.shape[0]}

    def restore(self, snapshot: Mapping[str, Array]) -> None:
        """Restore the vectors of a `snapshot`. The vectors may be arrays of any library."""
        for name, vector in snapshot.items():
            getattr(self, name)[...] = self.backend.asarray(vector, dtype=self.dtype)

    @property
    def grads(self) -> Array:
        """The flat vector of all gradients (see `Parameter.grad`)."""
        shown = self.shown
        for p in self.parameters:
            p._settle(shown)
        return self._grads

    @grads.setter
    def grads(self, grads: Array) -> None:  # allows ``state.grads *= factor``
        if grads is not self._grads:
            self._grads[...] = grads

    def zero_grad(self) -> None:
        """Set all gradients to zero."""
        self.generation += 1
        self.shown = self.generation

    def begin_step(self) -> Array:
        """Return the gradients since the last step, which are zero where no gradient was added."""
        self.shown = self.generation
        return self.grads

    def end_step(self) -> None:
        """Begin a new generation: the next gradients overwrite the gradients of this step."""
        self.generation += 1

    def note_step(self) -> None:
        """Record that a device has repeated a step without Python; `grads` holds the gradients."""
        self.shown = self.generation
        for p in self.parameters:
            p._written = self.shown
        self.end_step()

    def limit_norms(self) -> None:
        """Scale down rows whose norm is above the `max_norm` of their parameter."""
        xp = self.backend.xp
        for p in self.parameters:
            if p.max_norm is not None and p.trainable:
                value, rows = p.value, tuple(range(1, len(p.shape)))
                scale, norm = scaled_norm(xp, value, axis=rows)
                limited = value / scale * (p.max_norm / xp.maximum(norm, 1.0))
                value[...] = xp.where(scale * norm > p.max_norm, limited, value)

    def __getstate__(self) -> dict[str, Any]:
        to_numpy = self.backend.to_numpy
        hosted = {name: to_numpy(getattr(self, name)).copy() for name in _VECTORS}
        return {**self.__dict__, **hosted, "dtype": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.dtype = self.backend.dtype(self.dtype_name)
        for name in _VECTORS:
            setattr(self, name, self._vector(getattr(self, name)))
