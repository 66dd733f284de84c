"""Early stopping that restores the best weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..checks import Checked, at_least, flag
from ..types import Array
from .base import Callback, Training
from .monitor import Monitor


class EarlyStopping(Callback):
    """Stop training when a monitored value stops improving, and restore the best weights.

    Source: L. Prechelt, "Early stopping, but when?", 1998.

    Parameters
    ----------
    monitor : str, optional
        The column of the history to watch.
    patience : int, optional
        The number of consecutive epochs without improvement before training stops, at least 1.
    min_delta : float, optional
        A change counts as an improvement only if it is larger than `min_delta`.
    mode : {"auto", "min", "max"}, optional
        Whether lower ("min") or higher ("max") values are better. With "auto", the attribute
        ``higher_is_better`` of the monitored metric decides (see `chainrule.metrics`). Without this
        attribute, the words in the column's name decide. Lower is better for words such as loss,
        error, mse and brier. Higher is better for words such as accuracy, auc, f1, r2 and score.
        NaN never counts as an improvement.
    restore_best : bool, optional
        Whether to restore the weights and running statistics of the best epoch when `fit` ends.
        They are also restored after Ctrl-C or an error. A call of `fit` with ``resume=True`` starts
        from the last weights, not from the best weights.

    Attributes
    ----------
    best : float or None
        The best value so far.
    best_epoch : int or None
        The epoch with the best value.
    wait : int
        The number of epochs since `best_epoch`.

    Raises
    ------
    ValueError
        When training starts, if `mode` is "auto" and the direction is unknown, or if the history
        will not contain the monitored column. (If a custom callback could add this column, the
        error is raised only at the end of the first epoch.)

    Examples
    --------
    >>> import chainrule as cr
    >>> x = [[-1.0], [0.0], [1.0], [2.0]]
    >>> trainer = cr.Trainer(cr.mlp([1, 1]), loss=cr.MSELoss(), optimizer=cr.SGD(0.2))
    >>> stop = EarlyStopping("loss", patience=2, min_delta=1e-3)
    >>> history = trainer.fit(x, x, epochs=1000, callbacks=[stop], verbose=0)
    >>> len(history) == stop.best_epoch + 2 < 1000
    True
    """

    patience = Checked(at_least(1))
    restore_best = Checked(flag)
    best: float | None
    best_epoch: int | None
    wait: int
    _best: dict[str, Array]
    _last: dict[str, Array]  # the last weights, while the model holds the best weights

    def __init__(
        self,
        monitor: str = "val_loss",
        *,
        patience: int = 5,
        min_delta: float = 0.0,
        mode: str = "auto",
        restore_best: bool = True,
    ) -> None:
        self.monitor = Monitor(monitor, mode, min_delta)
        self.patience = patience
        self.restore_best = restore_best
        self.load_state({})  # the initial state

    def on_fit_start(self, trainer: Training) -> None:
        self.monitor.start(trainer)
        if trainer.resuming:
            trainer.model.state.restore(self._last)
            self._last = {}
        else:
            self.load_state({})

    def on_epoch_end(self, trainer: Training) -> None:
        value = self.monitor.read(trainer)
        if self.monitor.better(value, than=self.best):
            self.best, self.best_epoch, self.wait = value, trainer.epoch, 0
            if self.restore_best:
                self._best = trainer.model.state.snapshot()
        else:
            self.wait += 1
            if self.wait >= self.patience:
                trainer.stop()

    def on_fit_end(self, trainer: Training) -> None:
        if self._best:
            self._last = trainer.model.state.snapshot()
            trainer.model.state.restore(self._best)

    def state(self) -> dict[str, Any]:
        return {
            **self.monitor.state(),
            "best": self.best,
            "best_epoch": self.best_epoch,
            "wait": self.wait,
            **{f"best_{name}": vector for name, vector in self._best.items()},
            **{f"last_{name}": vector for name, vector in self._last.items()},
        }

    def load_state(self, state: Mapping[str, Any]) -> None:
        self.monitor.before = state
        self.best = state.get("best")
        self.best_epoch = state.get("best_epoch")
        self.wait = state.get("wait", 0)
        self._best = _named(state, "best")
        self._last = _named(state, "last")


def _named(state: Mapping[str, Any], which: str) -> dict[str, Array]:
    prefix = f"{which}_"
    vectors = (f"{prefix}values", f"{prefix}buffers")
    return {key.removeprefix(prefix): state[key] for key in vectors if key in state}
