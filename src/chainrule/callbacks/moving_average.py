"""An average of the weights over the steps of a training."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

from array_api_compat import array_namespace

from ..checks import below_one
from ..errors import ShapeError
from ..layers import Layer
from ..types import Array
from .base import Callback, Training


class ExponentialMovingAverage(Callback):
    """Keeps an average of the weights in which a step counts the less, the longer it is ago.

    ``average += (1 - decay) * (values - average)`` after each step, one operation on the flat
    vector of all weights. It starts from the weights with which the training starts, and reaches
    back over some ``1 / (1 - decay)`` steps. The training itself is not changed.

    Only what is learned is averaged. Running statistics, such as those of ``BatchNorm``, stay those
    of the training, in `applied` too.

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

    def __init__(self, decay: float = 0.999) -> None:
        self.decay = below_one("decay", decay)
        self._average: Array = None

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
        self._new = xp.asarray(1.0 - self.decay, dtype=state.dtype, device=backend.device)
        self._update = backend.elementwise(lambda xp: _towards, outputs=1)

    def on_step_end(self, trainer: Training) -> None:
        self._update(self._average, trainer.model.state.values, self._new)

    def on_fit_end(self, trainer: Training) -> None:
        del self._update  # it may be compiled, and then cannot be pickled

    @contextlib.contextmanager
    def applied(self, model: Layer) -> Iterator[Layer]:
        """Give the model the averages as its weights for as long as a ``with`` block takes.

        Parameters
        ----------
        model : Layer
            The model, of the same parameters as the one that was trained.

        Yields
        ------
        Layer
            The model itself. Its own weights are back in place afterwards, after an error too.
        """
        own = model.state.snapshot("values")
        self.copy_to(model)
        try:
            yield model
        finally:
            model.state.restore(own)

    def copy_to(self, model: Layer) -> None:
        """Give the model the averages as its weights.

        Parameters
        ----------
        model : Layer
            The model, of the same parameters as the one that was trained, on any backend.

        Raises
        ------
        ShapeError
            If it has another number of weights.
        """
        state, average = model.state, self.average
        if average.shape != state.values.shape:
            raise ShapeError(
                f"expected a model of {average.shape[0]} weights, as the one that was trained, "
                f"found one of {state.values.shape[0]}"
            )
        state.values[...] = state.backend.asarray(average, dtype=state.dtype)

    def state(self) -> dict[str, Any]:
        if self._average is None:
            return {}
        # A copy: the next step writes to the average itself.
        return {"average": array_namespace(self._average).asarray(self._average, copy=True)}

    def load_state(self, state: Mapping[str, Any]) -> None:
        self._average = state.get("average")


def _towards(average: Array, values: Array, new: Array) -> tuple[Array, ...]:
    return (average + new * (values - average),)
