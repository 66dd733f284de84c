"""Exponential moving average of the weights."""

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
    """Keep an exponential moving average of the weights. Training itself does not change.

    After each step, the callback computes ``average += (1 - decay) * (values - average)`` for the
    flat vector of all weights. The average initially equals the weights, and later covers about the
    last ``1 / (1 - decay)`` steps.

    Only parameters are averaged. Running statistics, such as those of ``BatchNorm``, are copied
    from the last step.

    Source: B. Polyak and A. Juditsky, "Acceleration of stochastic approximation by averaging",
    1992; for exponential averages, A. Tarvainen and H. Valpola, "Mean teachers are better role
    models", 2017.

    Parameters
    ----------
    decay : float, optional
        The weight of the old average in each update, at least 0 and below 1.

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
        self._vectors: dict[str, Array] = {}  # the average of `values`, and the last `buffers`

    @property
    def average(self) -> Array:
        """The averaged weights, in the order of the model's flat vector of weights.

        Raises
        ------
        RuntimeError
            If no model has been trained with this callback yet.
        """
        if not self._vectors:
            raise RuntimeError("there is no average yet: train with fit(..., callbacks=[this])")
        return self._vectors["values"]

    def on_fit_start(self, trainer: Training) -> None:
        state = trainer.model.state
        backend, xp = state.backend, state.backend.xp
        before = self._vectors if trainer.resuming else {}
        values = backend.asarray(before.get("values", state.values), dtype=state.dtype)
        start = {"values": values, "buffers": state.buffers}
        self._vectors = {name: xp.asarray(v, copy=True) for name, v in start.items()}
        self._new = xp.asarray(1.0 - self.decay, dtype=state.dtype, device=backend.device)
        self._update = backend.elementwise(lambda xp: _towards, outputs=1)

    def on_step_end(self, trainer: Training) -> None:
        state = trainer.model.state
        self._update(self._vectors["values"], state.values, self._new)
        if state.buffers.shape[0]:
            self._vectors["buffers"][...] = state.buffers

    def on_fit_end(self, trainer: Training) -> None:
        del self._update  # a compiled function cannot be pickled

    @contextlib.contextmanager
    def applied(self, model: Layer) -> Iterator[Layer]:
        """Use the averages as the weights of a model within a ``with`` block. See `copy_to`.

        Parameters
        ----------
        model : Layer
            A model with the same parameters as the trained model.

        Yields
        ------
        Layer
            The model itself. At the end of the block, even after an error, the model's own weights
            and running statistics are restored.

        Raises
        ------
        RuntimeError
            At the end of the block, if the weights were changed within the block, for instance by
            training.
        """
        state, own = model.state, model.state.snapshot()
        self.copy_to(model)
        averaged = state.backend.xp.asarray(state.values, copy=True)
        try:
            yield model
            # An average that is NaN counts as unchanged.
            same = (state.values == averaged) | (averaged != averaged)
            unchanged = bool(state.backend.xp.all(same))
        finally:
            state.restore(own)
        if not unchanged:
            raise RuntimeError(
                "the weights were changed within applied(model). These changes are lost: to train "
                "from the averages, use copy_to(model)"
            )

    def copy_to(self, model: Layer) -> None:
        """Copy the averaged weights and the last running statistics into a model.

        Parameters
        ----------
        model : Layer
            A model with the same parameters as the trained model, on any backend.

        Raises
        ------
        ShapeError
            If the model has a different number of weights or running statistics.
        """
        state, kept = model.state, {"values": self.average, "buffers": self._vectors["buffers"]}
        expected, found = (
            [v.shape[0] for v in vectors]
            for vectors in (kept.values(), (state.values, state.buffers))
        )
        if found != expected:
            raise ShapeError(
                "expected a model with {} weights and {} running statistics (as in the trained "
                "model), found {} and {}".format(*expected, *found)
            )
        state.restore(kept)

    def state(self) -> dict[str, Any]:
        # Copy the arrays, because the next step overwrites them.
        return {n: array_namespace(v).asarray(v, copy=True) for n, v in self._vectors.items()}

    def load_state(self, state: Mapping[str, Any]) -> None:
        self._vectors = dict(state)


def _towards(average: Array, values: Array, new: Array) -> tuple[Array, ...]:
    return (average + new * (values - average),)
