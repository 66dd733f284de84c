"""A callback made of functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .base import Callback, Training


class LambdaCallback(Callback):
    """Call functions during training. Checkpoints do not save any state of these functions.

    Parameters
    ----------
    on_fit_start, on_epoch_start, on_step_end, on_epoch_end, on_fit_end : callable, optional
        Functions that take the trainer. See `Callback` for when each function is called.

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
        for name, function in (
            ("on_fit_start", on_fit_start),
            ("on_epoch_start", on_epoch_start),
            ("on_step_end", on_step_end),
            ("on_epoch_end", on_epoch_end),
            ("on_fit_end", on_fit_end),
        ):
            if function is None:
                continue
            if not callable(function):
                raise TypeError(f"expected {name} to be a function, found {function!r}")
            setattr(self, name, function)  # an instance attribute hides the method of the class
