"""The state of a model: flat vectors of its parameters and buffers, and its counters.

The value of each parameter is a view into one vector, and the gradient is a view into a second
vector. Buffers are views into a third vector. So an optimizer step, a gradient norm or an average
of weights is a single operation on a vector, no matter how many layers the model has.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from .backends import Backend
from .backends.conversion import to_numpy
from .errors import DataError, ShapeError, blaming
from .formulas import scaled_norm
from .masks import split_key
from .parameter import Buffer, Parameter, Stored
from .types import Array

_VECTORS = ("values", "_grads", "buffers")  # the names of the vectors in `ModelState`
_WEIGHTS = 1  # makes these random numbers independent of other uses of the seed


class StepInputs(Protocol):
    """Inputs that can differ in every training step.

    The inputs are the numbers that an optimizer step uses, such as the learning rate, and the keys
    of random masks. When a device repeats a step without running Python, the device reads these
    inputs from tables (see `chainrule.training.repeated`).
    """

    def numbers(self, state: ModelState, values: Sequence[float]) -> Array:
        """Return the numbers that an optimizer step uses, as one array, moved in one transfer."""

    def key(self, state: ModelState) -> tuple[Any, Any, int]:
        """Return the key of the next random mask (see `chainrule.masks.split_key`)."""


class HostInputs:
    """The inputs of a step that runs in Python."""

    def numbers(self, state: ModelState, values: Sequence[float]) -> Array:
        return state.backend.asarray(np.asarray(values, dtype=state.dtype_name))

    def key(self, state: ModelState) -> tuple[Any, Any, int]:
        return split_key(state.seed, state.draws, state.share.start)


class Share(Protocol):
    """The samples of a batch that this process trains on. Other processes train on the rest.

    Attributes
    ----------
    start : int
        The number of samples of the batch that come before the first sample of the share.
    """

    start: int

    def of_batch(self, values: int) -> int:
        """Return the number of values in the whole batch if there are this many in the share."""

    def moments(
        self, samples: Any, centred: Array, first: Array, mean: Array, variance: Array
    ) -> tuple[Any, Array, Array]:
        """Turn statistics of this share into statistics of the whole batch.

        Parameters
        ----------
        samples : int
            The number of values of each feature in this share.
        centred : array
            ``(samples, features)``, the values minus their mean. This array is overwritten with the
            values minus the mean of the batch.
        first : array
            ``(features,)``, the first value of each feature.
        mean, variance : array
            ``(features,)``, the mean of the values minus `first`, and the variance of the values.

        Returns
        -------
        samples, mean, variance
            The number of values in the whole batch, their mean and their variance.
        """

    def sums(self, *vectors: Array) -> tuple[Array, ...]:
        """Return the sums of vectors of equal length over all shares of the batch."""


class WholeBatch:
    """The share of a process that trains alone: all samples of the batch."""

    start = 0

    def of_batch(self, values: int) -> int:
        return values

    def moments(
        self, samples: Any, centred: Array, first: Array, mean: Array, variance: Array
    ) -> tuple[Any, Array, Array]:
        return samples, first + mean, variance

    def sums(self, *vectors: Array) -> tuple[Array, ...]:
        return vectors


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
        The source of the numbers that an optimizer step uses, such as the learning rate, and of the
        keys of random masks.
    share : Share
        The samples of the batch that this process trains on. The share is set for each forward
        pass in training.
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
        self.share: Share = WholeBatch()
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
        """Return the given initial value, or the value that the initializer draws."""
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
        """Put the initial values of all parts into one vector, and record each part's slice."""
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

    def next_key(self) -> tuple[Any, Any, int]:
        """Return the key of the next random mask (see `chainrule.masks.split_key`)."""
        key = self.inputs.key(self)
        self.draws += 1
        return key

    def snapshot(self, *names: str) -> dict[str, Array]:
        """Return copies of the vectors with these names. The default is `values` and `buffers`."""
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

    def lengthen_gradients(self, more: int) -> Array:
        """Move the gradients to the front of a longer vector, and return this vector.

        The gradients and `more` further elements are then one array, which several processes can
        add up at once.
        """
        xp, size = self.backend.xp, self.values.shape[0]
        vector = xp.zeros((size + more,), dtype=self.dtype, device=self.backend.device)
        vector[:size] = self._grads
        self._grads = vector[:size]
        for p in self.parameters:
            p._grad = None  # was a view into the old vector
        return vector

    def zero_grad(self) -> None:
        """Set all gradients to zero."""
        self.generation += 1
        self.shown = self.generation

    def begin_step(self) -> Array:
        """Return the gradients that were added since the last step. Other gradients are zero."""
        self.shown = self.generation
        return self.grads

    def end_step(self) -> None:
        """Begin a new generation, so that the next gradients overwrite those of this step."""
        self.generation += 1

    def note_step(self) -> None:
        """Record a step that a device has repeated without Python: `grads` is now up to date."""
        self.shown = self.generation
        for p in self.parameters:
            p._written, p._zeroed = self.shown, False
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
        return {**self.__dict__, **hosted, "dtype": None, "share": WholeBatch()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.dtype = self.backend.dtype(self.dtype_name)
        for name in _VECTORS:
            setattr(self, name, self._vector(getattr(self, name)))
