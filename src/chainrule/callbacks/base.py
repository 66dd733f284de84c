"""The base class of all callbacks, and the attributes of a trainer that they may use."""

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
        """The number of epochs done, in all calls of `fit`."""

    @property
    def steps_done(self) -> int:
        """The number of steps done in the current epoch."""

    def stop(self) -> None:
        """End the training after the current epoch."""

    def save(self, path: str | Path) -> None:
        """Write everything that the training needs to continue."""


def list_of_callbacks(callbacks: Any) -> list[Callback]:
    """Check callbacks and return them as a list.

    Raises
    ------
    TypeError
        If they are not in an iterable, or if one is not a callback.
    """
    if not isinstance(callbacks, Iterable):
        hint = ": write callbacks=[...]" if isinstance(callbacks, Callback) else ""
        raise TypeError(f"expected a list of callbacks, found {callbacks!r}{hint}")
    listeners = list(callbacks)
    for listener in listeners:
        if not isinstance(listener, Callback):
            raise TypeError(f"expected callbacks, found {listener!r}{what_is_meant(listener)}")
    return listeners


class Callback:
    """Base class of all callbacks. `Trainer.fit` calls these methods; override those you need.

    Each method receives the trainer, with its ``model``, ``optimizer`` and ``history``. The current
    epoch is ``epoch`` and the last one is ``epochs``, both counted from 1 across all calls of
    `fit`; each epoch has ``steps_per_epoch`` steps. ``trainer.stop()`` ends the training after the
    current epoch.

    Callbacks are called in the order in which they are given, except that those with `last` set
    come after all others. `on_fit_end` is called in reverse order. A callback starts afresh in each
    call of `fit`, unless that call resumes an interrupted one. Then ``trainer.resuming`` is true,
    and the callback keeps its state, or the state restored by `load_state`.

    If a callback writes a number to ``trainer.history.epochs[-1]`` in `on_epoch_end`, it becomes a
    column of the history, of progress lines and of log files.

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
    """Whether to call this callback after all others, because it uses their results."""

    def on_fit_start(self, trainer: Any) -> None:
        """Before the first epoch."""

    def on_epoch_start(self, trainer: Any) -> None:
        """Before the first step of an epoch."""

    def on_step_end(self, trainer: Any) -> None:
        """After a step. Reading a number from the device here makes the device wait."""

    def on_epoch_end(self, trainer: Any) -> None:
        """After an epoch; its measurements are the last row of ``trainer.history``."""

    def on_fit_end(self, trainer: Any) -> None:
        """After the last epoch, or when the training ends with an error."""

    def state(self) -> dict[str, Any]:
        """Return the state that the callback needs to resume after a restart; by default empty.

        Returns
        -------
        dict
            Values that JSON supports (None, numbers, strings, lists and dicts of them) and arrays,
            with strings as keys. Arrays must not be written to afterwards.
        """
        return {}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Restore the state, before `on_fit_start`, when a call of `fit` resumes.

        Parameters
        ----------
        state : dict
            The values that `state` returned; arrays are NumPy arrays.
        """
