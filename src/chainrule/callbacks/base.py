"""The base class of all callbacks, and the trainer attributes that callbacks may use."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, ClassVar, Protocol

from ..checks import instance
from ..errors import shown
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
    of_estimator: bool

    @property
    def epochs_done(self) -> int:
        """The number of completed epochs, over all calls of `fit`."""

    @property
    def steps_done(self) -> int:
        """The number of completed steps in the current epoch."""

    def stop(self) -> None:
        """Stop training after the current epoch."""

    def save(self, path: str | Path) -> None:
        """Write everything that is needed to resume training."""


def list_of_callbacks(callbacks: Any) -> list[Callback]:
    """Check callbacks and return them as a list.

    Raises
    ------
    TypeError
        If `callbacks` is not iterable, or if an element is not a callback.
    """
    if not isinstance(callbacks, Iterable):
        hint = ": write callbacks=[...]" if isinstance(callbacks, Callback) else ""
        raise TypeError(f"expected a list of callbacks, found {shown(callbacks)}{hint}")
    return [instance(Callback, callback, "callbacks") for callback in callbacks]


class Callback:
    """Base class of all callbacks. Override the methods that `Trainer.fit` should call.

    Each ``on_...`` method receives the trainer, which has the attributes ``model``, ``optimizer``
    and ``history``. ``trainer.epoch`` is the number of the current epoch, and ``trainer.epochs`` is
    the number of the last epoch. Both are counted from 1 across all calls of `fit`. Each epoch has
    ``trainer.steps_per_epoch`` steps. ``trainer.stop()`` ends training after the current epoch.

    Callbacks are called in the given order, except that callbacks with ``last = True`` come after
    all others. For `on_fit_end`, the order is reversed. Most callbacks start afresh in each call of
    `fit`, unless `fit` resumes an interrupted training run. In that case, ``trainer.resuming`` is
    true, and the callback keeps its current state or the state that `load_state` restored.

    If `on_epoch_end` writes a number to ``trainer.history.epochs[-1]``, the history gets a column
    for this number. Progress lines and log files also show the number.

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
    """Whether to call this callback after all others, for instance to use their results."""

    writes: ClassVar[bool] = False
    """Whether the callback writes files or prints. If several processes train together, only the
    first process calls such a callback."""

    @property
    def after_each_step(self) -> bool:
        """Whether to call `on_step_end` after each step. By default, if the class defines it.

        If no callback needs this, compiled steps run many at a time (see `Trainer`), and
        `on_step_end` is called once after several steps.
        """
        return getattr(self.on_step_end, "__func__", None) is not Callback.on_step_end

    def on_fit_start(self, trainer: Any) -> None:
        """Called before the first epoch."""

    def on_epoch_start(self, trainer: Any) -> None:
        """Called before the first step of each epoch."""

    def on_step_end(self, trainer: Any) -> None:
        """Called after each step, or after several steps unless `after_each_step` is true.

        Reading numbers from the device here slows down training.
        """

    def on_epoch_end(self, trainer: Any) -> None:
        """Called after each epoch. The last row of ``trainer.history`` describes this epoch."""

    def on_fit_end(self, trainer: Any) -> None:
        """Called after the last epoch, or when training ends with an error."""

    def state(self) -> dict[str, Any]:
        """Return the state that the callback needs to resume after a restart. The default is an
        empty state.

        Returns
        -------
        dict
            A dict with strings as keys. Its values are arrays, or values that JSON supports (None,
            numbers, strings, and lists or dicts of these). The callback must not modify the arrays
            later.
        """
        return {}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Restore a saved state. A resumed `fit` calls this method before `on_fit_start`.

        Parameters
        ----------
        state : dict
            The dict that `state` returned, with all arrays as NumPy arrays.
        """
