"""Reduce the learning rate when a monitored value stops improving."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..checks import Checked, at_least, at_least_zero, below_one
from .base import Callback, Training
from .monitor import Monitor


class ReduceOnPlateau(Callback):
    """Multiply the learning rate by a factor when a monitored value stops improving.

    After more than `patience` consecutive epochs without improvement, the learning rate becomes
    ``max(factor * lr, min_lr)``, as in PyTorch's ``ReduceLROnPlateau`` with
    ``threshold_mode="abs"``. Another call of `fit` starts from the reduced rate.

    Parameters
    ----------
    monitor : str, optional
        The column of the history to watch.
    factor : float, optional
        The factor, at least 0 and below 1.
    patience : int, optional
        Number of consecutive epochs without improvement to tolerate before the rate is reduced.
    min_delta : float, optional
        A change counts as an improvement only if it is larger than `min_delta`.
    cooldown : int, optional
        The number of epochs after a reduction that do not count towards `patience`.
    min_lr : float, optional
        The lowest learning rate.
    mode : {"auto", "min", "max"}, optional
        Whether lower or higher values are better. See `EarlyStopping`.

    Attributes
    ----------
    best : float or None
        The best value so far.

    Raises
    ------
    TypeError
        When training starts, if the optimizer's rate is a schedule.
    ValueError
        See `EarlyStopping`.

    Examples
    --------
    >>> import chainrule as cr
    >>> x = [[-1.0], [0.0], [1.0], [2.0]]
    >>> trainer = cr.Trainer(cr.mlp([1, 1]), loss=cr.MSELoss(), optimizer=cr.SGD(0.2))
    >>> slower = ReduceOnPlateau("loss", factor=0.5, patience=1, min_delta=1e-2)
    >>> history = trainer.fit(x, x, epochs=50, callbacks=[slower], verbose=0)
    >>> trainer.optimizer.lr < 0.2
    True
    """

    factor = Checked(below_one)
    patience = Checked(at_least(0))
    cooldown = Checked(at_least(0))
    min_lr = Checked(at_least_zero)
    best: float | None
    _waited: int  # epochs without improvement
    _resting: int  # the remaining epochs of the cooldown

    def __init__(
        self,
        monitor: str = "val_loss",
        *,
        factor: float = 0.1,
        patience: int = 10,
        min_delta: float = 0.0,
        cooldown: int = 0,
        min_lr: float = 0.0,
        mode: str = "auto",
    ) -> None:
        self.monitor = Monitor(monitor, mode, min_delta)
        self.factor = factor
        self.patience = patience
        self.cooldown = cooldown
        self.min_lr = min_lr
        self.load_state({})  # the initial state

    def on_fit_start(self, trainer: Training) -> None:
        self.monitor.start(trainer)
        lr = trainer.optimizer.lr
        if any(map(callable, lr.values() if isinstance(lr, dict) else [lr])):
            raise TypeError(
                "ReduceOnPlateau: expected the optimizer's lr to be a number, found the schedule "
                f"{trainer.optimizer.lr!r}"
            )
        if not trainer.resuming:
            self.load_state({})

    def on_epoch_end(self, trainer: Training) -> None:
        value = self.monitor.read(trainer)
        if self.monitor.better(value, than=self.best):
            self.best, self._waited = value, 0
        else:
            self._waited += 1
        if self._resting > 0:
            self._resting -= 1
            self._waited = 0
        if self._waited > self.patience:
            lr = trainer.optimizer.lr
            rates = lr if isinstance(lr, dict) else {"": lr}
            reduced = {name: self._reduced(rate) for name, rate in rates.items()}
            trainer.optimizer.lr = reduced if isinstance(lr, dict) else reduced[""]
            self._waited, self._resting = 0, self.cooldown

    def _reduced(self, lr: float) -> float:
        return float(min(lr, max(lr * self.factor, self.min_lr)))

    def state(self) -> dict[str, Any]:
        return {
            **self.monitor.state(),
            "best": self.best,
            "waited": self._waited,
            "resting": self._resting,
        }

    def load_state(self, state: Mapping[str, Any]) -> None:
        self.monitor.before = state
        self.best = state.get("best")
        self._waited = state.get("waited", 0)
        self._resting = state.get("resting", 0)
