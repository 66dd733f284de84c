"""The norms of the gradients, step by step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..backends import Backend
from ..formulas import scaled_norm
from ..types import Array
from .base import Callback, Training


class GradientNorms(Callback):
    """Record the norm of the gradient of each weight array at each step, after clipping.

    The norms stay on the device until training ends. Further calls of `fit` append to the recorded
    norms.

    Attributes
    ----------
    norms : dict of str to list of float
        A dict from parameter names to lists with one norm per step. Parameters with one axis, such
        as biases, are left out.

    Examples
    --------
    >>> x = [[-1.0], [0.0], [1.0], [2.0]]
    >>> trainer = cr.Trainer(cr.mlp([1, 1]), loss=cr.MSELoss(), optimizer=cr.SGD(0.2))
    >>> recorder = GradientNorms()
    >>> history = trainer.fit(x, x, epochs=3, callbacks=[recorder], verbose=0)
    >>> np.round(recorder.norms["0.weight"], 2)
    array([2.56, 0.85, 0.34])
    """

    def __init__(self) -> None:
        self.norms: dict[str, list[float]] = {}
        self._steps: list[Array] = []
        self._names: list[str] = []
        self._backend: Backend | None = None

    def on_step_end(self, trainer: Training) -> None:
        xp, named = trainer.model.xp, trainer.model.named_parameters()
        weights = {name: p for name, p in named.items() if len(p.shape) > 1}
        if not weights:
            return
        self._backend, self._names = trainer.model.backend, list(weights)
        factors = [scaled_norm(xp, xp.reshape(p.grad, (-1,)), axis=0) for p in weights.values()]
        self._steps.append(xp.concat([scale * norm for scale, norm in factors]))

    def on_fit_end(self, trainer: Training) -> None:
        self._read()

    def _read(self) -> None:
        if self._steps and self._backend is not None:
            table = self._backend.to_numpy(self._backend.xp.stack(self._steps))
            for name, column in zip(self._names, table.T.tolist(), strict=True):
                self.norms.setdefault(name, []).extend(column)
            self._steps.clear()

    def state(self) -> dict[str, Any]:
        self._read()
        return {name: np.asarray(norms) for name, norms in self.norms.items()}

    def load_state(self, state: Mapping[str, Any]) -> None:
        self._steps.clear()
        self.norms = {name: norms.tolist() for name, norms in state.items()}
