"""The base class of layers, with the methods `forward`, `bind` and `copy`."""

from __future__ import annotations

import copy
import threading
from collections.abc import Mapping
from typing import Any, ClassVar, Self

import numpy as np

from ..backends import Backend, get_backend
from ..backends.base import BackendLike
from ..backends.conversion import to_numpy
from ..checks import whole
from ..errors import DataError, ShapeError, blaming, other_dtype, shown
from ..forms import (
    OF_SEQUENCES,
    Padded,
    WithStates,
    each,
    fits,
    is_shape_of_one,
    named,
    several,
    shape_of,
)
from ..model_state import ModelState
from ..parameter import Stored
from ..types import Array, Arrays, Backward
from .tree import Tree

# Held while a model is being bound, because two threads may use a new model at the same time.
_binding = threading.RLock()


class Layer(Tree):
    """A function with parameters, and its derivative.

    To write a custom layer, define `forward`, and assign parameters, buffers and inner layers to
    attributes in ``__init__``. The outermost layer is the model. The first use of a model draws the
    values of all parameters and binds every layer to the model. A layer belongs to one model only.

    A layer that needs random numbers gets a key from ``self.state.next_key()``, and passes it to
    `chainrule.masks.keep_mask`, which returns a random mask. Use each key for one mask only. Masks
    depend only on the model's seed and on the number of keys used so far. So masks are the same on
    every backend, and do not change if training is interrupted and resumed.

    Examples
    --------
    A layer that multiplies each feature by a learned gain:

    >>> class Scale(cr.Layer):
    ...     def __init__(self, features):
    ...         self.gain = cr.Parameter((features,), init=cr.initializers.constant(1.0))
    ...
    ...     def forward(self, x, *, training=False):
    ...         gain = self.gain
    ...
    ...         def backward(dy):
    ...             gain.add_grad(self.xp.sum(dy * x, axis=0))
    ...             return dy * gain.value
    ...
    ...         return x * gain.value, backward
    >>> Scale(5)
    Scale(5)

    A layer that flips the sign of a tenth of the elements in training, at random:

    >>> from chainrule.masks import keep_mask
    >>> class FlipSigns(cr.Layer):
    ...     def forward(self, x, *, training=False):
    ...         if not training:
    ...             return x, lambda dy: dy
    ...         xp, draw = self.xp, self.backend.kernel(keep_mask)
    ...         kept = draw(x.shape, 0.9, self.state.next_key(), x.device)
    ...         return xp.where(kept, x, -x), lambda dy: xp.where(kept, dy, -dy)
    >>> y, _ = FlipSigns().forward(np.ones((100, 100)), training=True)
    >>> round(float((y < 0).mean()), 2)
    0.1
    """

    built_in: ClassVar[dict[str, type[Layer]]] = {}
    """A dict from names to built-in layer classes. Model files use these names."""

    takes_input_gradient = False
    """Whether `backward` accepts ``input_gradient=False``, which skips the computation of `dx`."""

    takes_several: ClassVar[bool] = True
    """Whether `forward` takes several inputs in a tuple or a dict. Most built-in layers do not."""

    per_step: ClassVar[bool] = False
    """Whether `forward` computes each step of a sequence ``(batch, time, ...)`` in the same way,
    independently of all other steps. If so, a model applies the layer to the sequences of
    ``(x, lengths)`` or ``{"x": x, "h": h}``, and passes lengths and states on to the next layer."""

    takes_integers: bool = False
    """Whether integers are a valid input, such as the indices of an `Embedding`. If this is the
    first layer of a model, the model does not convert integers to its own dtype. The gradient with
    respect to integers is None."""

    _is_custom: ClassVar[bool] = True
    """Whether this layer class is defined outside of chainrule. A model passes read-only views or
    copies of `x` and `dy` to custom layers, so that writing to either changes no other array."""

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if cls.__module__.startswith(f"{__package__}."):
            Layer.built_in[cls.__name__] = cls
            cls._is_custom = False
        else:
            cls._is_custom = True  # set, because a subclass of a built-in layer would inherit False
        if "forward" in vars(cls) and "takes_input_gradient" not in vars(cls):
            cls.takes_input_gradient = False  # the new `backward` may lack this argument
        if "forward" in vars(cls) and "takes_several" not in vars(cls):
            cls.takes_several = cls._is_custom
        if "forward" in vars(cls) and "per_step" not in vars(cls):
            cls.per_step = False

    def forward(self, x: Arrays, *, training: bool = False) -> tuple[Arrays, Backward]:
        """Return the output, and the function for the backward pass through this layer.

        Parameters
        ----------
        x : array, or tuple or dict of arrays
            The input, ``(batch, features)``, or several inputs. Do not write to `x` or `dy`,
            because other code also uses these arrays. With NumPy, a model passes `x` and `dy` as
            read-only views. Other libraries have no read-only views, so a custom layer gets copies.
        training : bool, optional
            Whether to run in training mode. In training mode, dropout is active, and batch
            normalisation uses the statistics of the batch.

        Returns
        -------
        y : array, or tuple or dict of arrays
            The output, or several outputs.
        backward : callable
            A function that takes `dy`, the gradient of the loss with respect to `y`. The function
            adds to the gradients of the parameters. It returns `dx`, the gradient of the loss with
            respect to `x`, in the same form as `x`. The gradient of integers is None. In a tuple or
            a dict, None stands for any missing gradient. Call ``backward`` before the parameters
            change.
        """
        raise NotImplementedError(f"{type(self).__name__} has no forward method")

    def _checked_forward(self, x: Arrays, training: bool, dtype: Any) -> tuple[Arrays, Backward]:
        """Call `forward`, and check that it returns arrays of this dtype and a function."""
        if (self.per_step or not self.takes_several) and several(x):
            return self._forward_each_step(x, training, dtype)
        if self._is_custom:
            x = each(self._read_only, x)
        try:
            result = self.forward(x, training=training)
        except Exception as error:
            self._wrote_to_input(error)
            if self._is_custom:
                self._blame_inputs(error, x)
            elif not self.takes_several and isinstance(error, TypeError | RuntimeError):
                self._expect_floats(x)  # the layer may have mixed integers and floats
            raise
        if type(result) is not tuple or len(result) != 2 or not callable(result[1]):
            raise TypeError(
                f"{self._label()}: expected forward to return an array and a function, found "
                f"{shown(result)}"
            )
        y, back = result
        if not hasattr(y, "dtype") or y.dtype != dtype:
            self._leaves_dtype("output", y, x)
        if self._is_custom:
            return y, lambda dy, **options: back(each(self._read_only, dy), **options)
        return result

    def _forward_each_step(self, x: Arrays, training: bool, dtype: Any) -> tuple[Arrays, Backward]:
        """Apply `forward` to the sequences among several inputs, and pass on all other inputs."""
        sequences = self._sequences(x)
        if sequences is None or not self.per_step:
            hint = (
                "a list of rows is one array, and numpy.concatenate(x, axis=1) joins the columns "
                "of several arrays"
            )
            if sequences is not None:
                hint = "this layer takes no lengths or states, because it may mix the steps"
            raise TypeError(
                f"{self._label()}: expected one array as input, found {shown(x)}: {hint}"
            )
        y, back = self._checked_forward(sequences, training, dtype)

        def through(dy: Array | None, **options: Any) -> Array | None:
            return None if dy is None else back(dy, **options)

        if isinstance(x, dict):
            return {**x, "x": y}, lambda dy, **o: {**dy, "x": through(dy["x"], **o)}
        made = WithStates if isinstance(x, WithStates) else Padded._make
        return made((y, *x[1:])), lambda dy, **o: (through(dy[0], **o), *dy[1:])

    def _sequences(self, x: Arrays) -> Array | None:
        """Return the sequences if the other inputs are their lengths or states, otherwise None."""
        if isinstance(x, WithStates):
            return x[0]
        if isinstance(x, dict):
            sequences = x.get("x") if x.keys() <= OF_SEQUENCES else None
        else:
            integers = len(x) == 2 and self.xp.isdtype(x[1].dtype, "integral")
            sequences = x[0] if integers and x[1].ndim == 1 else None
        axes = 2 if self.takes_integers else 3  # (batch, time) or (batch, time, features)
        return None if sequences is None or sequences.ndim < axes else sequences

    def _blame_inputs(self, error: Exception, x: Arrays) -> None:
        """Raise an error that names a missing input, or add the input's shape to `error`."""
        if isinstance(x, dict) and isinstance(error, KeyError) and not {*error.args[:1]} <= {*x}:
            expected, found = error.args[0], ", ".join(map(repr, x))
            raise DataError(
                f"{self._label()}: expected an input named {expected!r}, found {found}"
            ) from error
        error.add_note(f"(in {self._label()}, with input of shape {shape_of(x)})")

    def _expect_floats(self, x: Arrays) -> None:
        """Raise a TypeError if this array holds integers."""
        if not self.xp.isdtype(x.dtype, "real floating"):
            raise TypeError(
                f"{self._label()}: expected input in {self.state.dtype_name}, found {x.dtype}: "
                "integers in a tuple or a dict of inputs are not converted"
            )

    def _read_only(self, x: Array | None) -> Array | None:
        return None if x is None else self.backend.read_only(x)

    def bind(
        self,
        backend: BackendLike = "numpy",
        *,
        dtype: str = "float32",
        device: Any = None,
        seed: int = 0,
        values: Mapping[str, Any] | None = None,
    ) -> Self:
        """Make this layer a model: choose a backend, and draw the values of all parameters.

        If you do not call this method, the first use of the model calls it with the defaults.

        Parameters
        ----------
        backend : str, Backend or namespace, optional
            The backend, as for `chainrule.get_backend`.
        dtype : {"float32", "float64"}, optional
            The dtype in which the model computes.
        device : optional
            The device, in the notation of the backend's library, such as ``"cuda:0"``.
        seed : int, optional
            The seed of the initial values and of dropout masks. A `Trainer` also uses this seed for
            the order of its batches.
        values : mapping of str to array, optional
            A dict from the names of parameters or buffers to their initial values. All others are
            initialised as usual.

        Returns
        -------
        Layer
            The layer itself.

        Raises
        ------
        ValueError
            If this layer, or a layer within it, already belongs to a model; if two parameters have
            the same name; if the backend or the dtype is unknown; or if the seed is below 0.
        TypeError
            If the seed is not a whole number.
        KeyError
            If `values` contains a name that is not in the model.
        DataError
            If an array in `values` does not hold real numbers.
        """
        backend = get_backend(backend, device=device)
        seed = whole("seed", seed, least=0)
        parts = [("", self), *self._walk()]
        if self._state is not None:
            raise ValueError(
                f"this {type(self).__name__} already has its weights, because it was used, or "
                "created with backend=, dtype=, device= or seed=. Call bind earlier, or call "
                "copy().bind(...), which keeps the weights"
            )
        for _, part in parts:
            if part._state is not None:
                raise ValueError(
                    f"{part!r} already belongs to a model, or was used before this model was "
                    "created: use layer.copy() in the new model. A list of layers must be complete "
                    "before it is assigned to an attribute"
                )
        stored, first = self.named_stored(), dict[int, Any]()
        names = [name for name, part in parts if isinstance(part, Stored)]
        if len(names) > len(stored):
            twice = next(name for i, name in enumerate(names) if name in names[:i])
            raise ValueError(
                f"{self!r}: expected a different name for every parameter and buffer, found two "
                f"called {twice!r}"
            )
        for name, given in (values or {}).items():
            if name not in stored:
                raise KeyError(f"values: found {name!r}, expected one of {', '.join(stored)}")
            with blaming(f"values, {name!r}"):
                value = to_numpy(given)
            before = first.setdefault(id(stored[name]), value)
            if before is not value and not np.array_equal(before, value):
                raise ValueError(
                    f"{name!r} is a shared parameter or buffer: expected equal values for all of "
                    "its names, found different values"
                )
        stored_once = self.parameters(), list(self.named_buffers().values())
        state = ModelState(*stored_once, backend=backend, dtype=dtype, seed=seed, first=first)
        uses = dict[int, list[str]]()
        for name, part in parts:
            part._state = state
            if isinstance(part, Layer):
                part._names = uses.setdefault(id(part), [])
                part._names.append(name)
        return self

    @property
    def state(self) -> ModelState:
        """The state that all layers of a model share: flat vectors, backend and counters."""
        if self._state is None:
            self.bind_model()
        if self._state is None:
            raise RuntimeError(
                f"{self!r} was added after the weights of the model had been drawn: add all layers "
                "before the model is first used"
            )
        return self._state

    def bind_model(self) -> None:
        """Bind the outermost layer with the defaults of `bind`, unless it is already bound."""
        root = self
        while root._parent is not None:
            root = root._parent
        with _binding:
            if root._state is None:
                root.bind()

    @property
    def backend(self) -> Backend:
        """The backend of the layer's model."""
        return self.state.backend

    @property
    def xp(self) -> Any:
        """The Array API namespace of the layer's model."""
        return self.state.backend.xp

    def zero_grad(self) -> None:
        """Set the gradients of the whole model to zero."""
        self.state.zero_grad()

    def copy(self) -> Self:
        """Return a copy of the layer with the same values. The copy belongs to no model yet.

        Frozen parameters stay frozen. To also copy the backend, the dtype and the counter of random
        masks, use ``copy.deepcopy(model)``.
        """
        outside = {id(self._parent): None, id(self._state): None}
        twin = copy.deepcopy(self, outside)
        if self._state is not None:
            pairs = zip(self._named(Stored).values(), twin._named(Stored).values(), strict=True)
            for old, new in pairs:
                new._first = self.backend.to_numpy(old.value).copy()
        return twin

    def check_input(self, x: Arrays) -> None:
        """Raise an error if integers in the input, such as indices and lengths, are out of range.

        `Trainer` calls this method with all samples before the first step.
        """

    def expect_batch(self, samples: int) -> None:
        """Raise a `ShapeError` if a training batch with this many samples is too small.

        `Trainer` calls this method before the first step.
        """

    def _leaves_dtype(self, what: str, result: Arrays, given: Arrays) -> None:
        """Raise a TypeError with this layer's name if the dtype of `result` is wrong.

        In a tuple or a dict, integers are allowed, and a gradient may be None. The gradient of a
        layer that takes integers is also None. If the input `given` already has a wrong dtype,
        there is no error, because the layer is not the cause.
        """
        xp, dtype, one = self.xp, self.state.dtype, not several(result)
        for name, array in named(what, result).items():
            if array is None and what == "gradient" and (self.takes_integers or not one):
                continue
            if not hasattr(array, "dtype"):
                raise TypeError(
                    f"{self._label()}: expected the {name} to be an array, found {shown(array)}"
                )
            if array.dtype != dtype and (one or xp.isdtype(array.dtype, "real floating")):
                before = [a.dtype for a in named("x", given).values() if a is not None]
                if all(d == dtype or not xp.isdtype(d, "real floating") for d in before):
                    if not self.takes_several:
                        self._expect_floats(given)
                    expected = self.state.dtype_name
                    raise other_dtype(f"{self._label()}: {name}", array.dtype, expected)

    def _refuse_gradient(self, dx: Arrays, dy: Arrays, shape: Any) -> None:
        """Raise an error with this layer's name if `dx` does not fit an input of this shape."""
        if several(dx) and is_shape_of_one(shape):
            raise TypeError(
                f"{self._label()}: expected the gradient to be an array, found {shown(dx)}"
            )
        self._leaves_dtype("gradient", dx, dy)
        if not fits(dx, shape):
            raise ShapeError(
                f"{self._label()}: expected a gradient of shape {shape} (the input's shape), "
                f"found {shape_of(dx)}"
            )
