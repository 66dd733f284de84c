"""An average of the weights over the steps of a training."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

from array_api_compat import array_namespace

from ..checks import Checked, below_one
from ..errors import ShapeError
from ..layers import Layer
from ..types import Array
from .base import Callback, Training


class ExponentialMovingAverage(Callback):
    """Keeps an average of the weights in which a step counts the less, the longer it is ago.

    ``average += (1 - decay) * (values - average)`` after each step, one operation on the flat
    vector of all weights. It starts from the weights with which the training starts, and reaches
    back over some ``1 / (1 - decay)`` steps. The training itself is not changed.

    Only what is learned is averaged. Running statistics, such as those of ``BatchNorm``, are those
    of the last step; they go wherever the averages go.

    Source: B. Polyak and A. Juditsky, "Acceleration of stochastic approximation by averaging",
    1992; in the form of A. Tarvainen and H. Valpola, "Mean teachers are better role models", 2017.

    Parameters
    ----------
    decay : float, optional
        How much of the average is kept at a step, at least 0 and below 1.

    Examples
    --------
    >>> import chainrule as cr
    >>> x = [[-1.0], [0.0], [1.0], [2.0]]
    >>> trainer = cr.Trainer(cr.mlp([1, 1]), loss=cr.MSELoss(), optimizer=cr.SGD(0.2))
    >>> average = ExponentialMovingAverage(decay=0.9)
    >>> history = trainer.fit(x, x, epochs=100, callbacks=[average], verbose=0)
    >>> with average.applied(trainer.model) as model:
    ...     y = model.predict(x)
    """

    decay = Checked(below_one)

    def __init__(self, decay: float = 0.999) -> None:
        self.decay = decay
        self._average: Array = None
        self._buffers: Array = None

    @property
    def average(self) -> Array:
        """The averages, in the order of the model's flat vector of weights.

        Raises
        ------
        RuntimeError
            If there was no training yet.
        """
        if self._average is None:
            raise RuntimeError("there is no average yet: give it to fit as one of its callbacks")
        return self._average

    def on_fit_start(self, trainer: Training) -> None:
        state = trainer.model.state
        backend, xp = state.backend, state.backend.xp
        start = self._average if trainer.resuming and self._average is not None else state.values
        start = backend.asarray(start, dtype=state.dtype)
        self._average = xp.asarray(start, copy=True)
        self._buffers = xp.asarray(state.buffers, copy=True)
        self._new = xp.asarray(1.0 - self.decay, dtype=state.dtype, device=backend.device)
        self._update = backend.elementwise(lambda xp: _towards, outputs=1)

    def on_step_end(self, trainer: Training) -> None:
        state = trainer.model.state
        self._update(self._average, state.values, self._new)
        if state.buffers.shape[0]:
            self._buffers[...] = state.buffers

    def on_fit_end(self, trainer: Training) -> None:
        del self._update  # it may be compiled, and then cannot be pickled

    @contextlib.contextmanager
    def applied(self, model: Layer) -> Iterator[Layer]:
        """Give the model the averages for as long as a ``with`` block takes, see `copy_to`.

        Parameters
        ----------
        model : Layer
            The model, of the same parameters as the one that was trained.

        Yields
        ------
        Layer
            The model itself. Its own weights and running statistics are back in place afterwards,
            after an error too.
        """
        own = model.state.snapshot()
        self.copy_to(model)
        try:
            yield model
        finally:
            model.state.restore(own)

    def copy_to(self, model: Layer) -> None:
        """Give the model the averages as its weights, and the running statistics that go with them.

        Parameters
        ----------
        model : Layer
            The model, of the same parameters as the one that was trained, on any backend.

        Raises
        ------
        ShapeError
            If it has another number of weights or of running statistics.
        """
        state, kept = model.state, {"values": self.average, "buffers": self._buffers}
        expected, found = (
            [v.shape[0] for v in vectors]
            for vectors in (kept.values(), (state.values, state.buffers))
        )
        if found != expected:
            raise ShapeError(
                "expected a model of {} weights and {} running statistics, as the one that was "
                "trained, found one of {} and {}".format(*expected, *found)
            )
        state.restore(kept)

    def state(self) -> dict[str, Any]:
        if self._average is None:
            return {}
        # Copies: the next step writes to the arrays themselves.
        vectors = {"average": self._average, "buffers": self._buffers}
        return {name: array_namespace(v).asarray(v, copy=True) for name, v in vectors.items()}

    def load_state(self, state: Mapping[str, Any]) -> None:
        self._average, self._buffers = state.get("average"), state.get("buffers")


def _towards(average: Array, values: Array, new: Array) -> tuple[Array, ...]:
    return (average + new * (values - average),)
