"""The moments of a training at which a callback is called, and the state that it keeps."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, ClassVar, Protocol

from ..errors import what_is_meant
from ..history import History
from ..layers import Sequential
from ..metrics import Metric
from ..optimizers import Optimizer


class Training(Protocol):
    """The attributes of a `Trainer` that a callback may use."""

    model: Sequential
    optimizer: Optimizer
    metrics: dict[str, Metric]
    history: History
    listeners: list[Callback]
    columns: list[str]
    epoch: int
    epochs: int
    steps_per_epoch: int
    resuming: bool
    consistent: bool
    own_files: bool

    @property
    def epochs_done(self) -> int:
        """How many epochs are done, in all calls of `fit`."""

    @property
    def steps_done(self) -> int:
        """How many steps of the current epoch are done."""

    def stop(self) -> None:
        """End the training after the current epoch."""

    def save(self, path: str | Path) -> None:
        """Write all that the training needs to continue."""


def list_of_callbacks(callbacks: Any) -> list[Callback]:
    """The callbacks that were given in a list.

    Raises
    ------
    TypeError
        If they are in none, or if there is something else among them.
    """
    if not isinstance(callbacks, Iterable):
        raise TypeError(f"expected a list of callbacks, found {callbacks!r}")
    listeners = list(callbacks)
    for listener in listeners:
        if not isinstance(listener, Callback):
            raise TypeError(f"expected callbacks, found {listener!r}{what_is_meant(listener)}")
    return listeners


class Callback:
    """Called by `Trainer.fit` at these moments; override those that matter.

    All see the trainer: its ``model``, ``optimizer`` and ``history``, and where it is: ``epoch``
    of ``epochs`` (counted from 1, through all calls of `fit`), ``steps_per_epoch``.
    ``trainer.stop()`` ends the training after the current epoch.

    Callbacks are called in the order in which they are given, those that are `last` after all
    others; `on_fit_end` comes in the opposite order. One that is used in a further call of `fit`
    starts afresh. In a call that goes on where another stopped, ``trainer.resuming`` is true, and
    then what it had, or what `load_state` gave it, stays.

    Examples
    --------
    >>> class StopAt(Callback):
    ...     def __init__(self, loss):
    ...         self.loss = loss
    ...
    ...     def on_epoch_end(self, trainer):
    ...         if trainer.history["loss"][-1] < self.loss:
    ...             trainer.stop()
    """

    last: ClassVar[bool] = False
    """Whether its turn is after all that are not, because it looks at what they have done."""

    def on_fit_start(self, trainer: Any) -> None:
        """Before the first epoch."""

    def on_epoch_start(self, trainer: Any) -> None:
        """Before the first step of an epoch."""

    def on_step_end(self, trainer: Any) -> None:
        """After a step; to read a number from the device here makes it wait."""

    def on_epoch_end(self, trainer: Any) -> None:
        """After an epoch; its numbers are the last of ``trainer.history``."""

    def on_fit_end(self, trainer: Any) -> None:
        """After the last epoch, or when the training ends by an error."""

    def state(self) -> dict[str, Any]:
        """What it needs to go on after a restart: nothing, unless overridden.

        Returns
        -------
        dict
            Values that JSON has (None, numbers, strings, lists and dicts of them) and arrays, under
            strings. Arrays in it are not written to afterwards.
        """
        return {}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Take up what `state` gave, before `on_fit_start` of a call of `fit` that goes on.

        Parameters
        ----------
        state : dict
            The same values; arrays are NumPy's, in host memory.
        """
