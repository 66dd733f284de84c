"""Functions as a callback."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .base import Callback, Training


class LambdaCallback(Callback):
    """Calls functions of the trainer. It keeps no state: what they remember is theirs.

    Parameters
    ----------
    on_fit_start, on_epoch_start, on_step_end, on_epoch_end, on_fit_end : callable, optional
        ``function(trainer)``, see `Callback`.

    Examples
    --------
    >>> import chainrule as cr
    >>> x = [[-1.0], [0.0], [1.0], [2.0]]
    >>> trainer = cr.Trainer(cr.mlp([1, 1]), loss=cr.MSELoss(), optimizer=cr.SGD(0.2))
    >>> count = LambdaCallback(on_epoch_end=lambda trainer: print("epoch", trainer.epoch))
    >>> history = trainer.fit(x, x, epochs=2, callbacks=[count], verbose=0)
    epoch 1
    epoch 2
    """

    def __init__(
        self,
        *,
        on_fit_start: Callable[[Training], Any] | None = None,
        on_epoch_start: Callable[[Training], Any] | None = None,
        on_step_end: Callable[[Training], Any] | None = None,
        on_epoch_end: Callable[[Training], Any] | None = None,
        on_fit_end: Callable[[Training], Any] | None = None,
    ) -> None:
        self._functions = {
            "on_fit_start": on_fit_start,
            "on_epoch_start": on_epoch_start,
            "on_step_end": on_step_end,
            "on_epoch_end": on_epoch_end,
            "on_fit_end": on_fit_end,
        }
        for name, function in self._functions.items():
            if function is not None and not callable(function):
                raise TypeError(f"expected {name} to be a function, found {function!r}")

    def on_fit_start(self, trainer: Training) -> None:
        self._call("on_fit_start", trainer)

    def on_epoch_start(self, trainer: Training) -> None:
        self._call("on_epoch_start", trainer)

    def on_step_end(self, trainer: Training) -> None:
        self._call("on_step_end", trainer)

    def on_epoch_end(self, trainer: Training) -> None:
        self._call("on_epoch_end", trainer)

    def on_fit_end(self, trainer: Training) -> None:
        self._call("on_fit_end", trainer)

    def _call(self, moment: str, trainer: Training) -> None:
        function = self._functions[moment]
        if function is not None:
            function(trainer)
