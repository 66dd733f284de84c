"""A column of the history that a callback watches, and the comparison of two values."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Mapping
from typing import Any

from ..checks import Checked, at_least_zero, one_of
from ..metrics.base import direction
from .base import Callback, Training
from .lambda_callback import LambdaCallback

_FALLING = {
    "loss", "error", "errors", "err", "mae", "mse", "rmse", "msle", "rmsle", "mape", "smape",
    "brier", "deviance", "divergence", "distance", "entropy", "crossentropy", "bce", "nll",
    "logloss", "perplexity", "cost", "regret", "risk",
}  # fmt: skip
_RISING = {
    "accuracy", "acc", "auc", "auroc", "auprc", "f1", "precision", "recall", "sensitivity",
    "specificity", "r2", "score", "iou", "jaccard", "dice", "kappa", "mcc", "correlation",
}  # fmt: skip
_UNCLEAR = {  # these words reverse the direction, or change the meaning in another way
    "neg", "negative", "negated", "minus", "opposite", "inv", "inverse", "inverted", "reciprocal",
    "reversed", "non", "not", "no", "free", "without", "drop", "decrease", "increase", "reduction",
    "improvement", "gain", "change", "gap", "difference", "delta", "saving", "savings", "std",
    "var", "variance",
}  # fmt: skip


def direction_by_name(name: str) -> bool | None:
    """Return whether the words in a name say that higher is better, or None if unknown.

    If two words disagree, lower is better, because a ``score_error`` is an error. If a word or a
    minus sign may reverse the direction, as in ``neg_mean_squared_error``, ``1-accuracy`` and
    ``error_reduction``, the result is None.

    Examples
    --------
    >>> direction_by_name("val_top_5_accuracy"), direction_by_name("val_brier_score")
    (True, False)
    >>> direction_by_name("val_neg_log_loss") is direction_by_name("width") is None
    True
    """
    words = set(re.split(r"[\W_]+", name.lower()))
    minus = re.match(r"(val_)?(1\.?0?\s*)?[-\N{MINUS SIGN}]", name)
    if minus or words & _UNCLEAR or not words & (_FALLING | _RISING):
        return None
    return not words & _FALLING


class Monitor:
    """A column of the history to watch.

    Parameters
    ----------
    name : str
        The name of the column, such as ``"val_loss"``.
    mode : {"auto", "min", "max"}
        Whether lower or higher values are better. See `EarlyStopping`.
    min_delta : float, optional
        A change counts as an improvement only if it is larger than `min_delta`.

    Examples
    --------
    >>> accuracy = Monitor("val_accuracy", "auto", 0.01)
    >>> accuracy.better(0.95, than=0.93), accuracy.better(0.935, than=0.93)
    (True, False)
    """

    min_delta = Checked(at_least_zero)

    def __init__(self, name: str, mode: str, min_delta: float = 0.0) -> None:
        if not isinstance(name, str):
            raise TypeError(f"expected monitor to be a name such as 'val_loss', found {name!r}")
        self.name = name
        self.min_delta = min_delta
        self.asked = mode = one_of("auto", "min", "max")("mode", mode)
        self.mode = _mode(direction_by_name(name)) if mode == "auto" else mode
        self.before: Mapping[str, Any] = {}  # the state saved before a restart

    def start(self, trainer: Training) -> None:
        """Determine before the first training step whether lower or higher values are better.

        Raises
        ------
        ValueError
            If the direction is unknown, if the column or the mode was different before a restart,
            or if neither the trainer nor a custom callback can add the column to the history.
        """
        if self.asked == "auto":
            marked = direction(trainer.metrics.get(self.name.removeprefix("val_")))
            self.mode = _mode(direction_by_name(self.name) if marked is None else marked)
        if self.mode == "auto":
            raise ValueError(
                f"monitor {self.name!r}: expected mode='min' or mode='max', found 'auto', but the "
                "name does not show whether higher is better (a metric can also have an attribute "
                "higher_is_better)"
            )
        if all(map(_only_reads, trainer.listeners)):
            self._expect_among(trainer.columns)
        for key, found in self.state().items():
            if trainer.resuming and self.before.get(key, found) != found:
                raise ValueError(
                    f"expected {key}={self.before[key]!r} as before the restart, found {found!r}"
                )

    def read(self, trainer: Training) -> float:
        """Return the value of the last epoch from the history.

        Raises
        ------
        ValueError
            If the history has no column of this name.
        """
        row = trainer.history.epochs[-1]
        self._expect_among([*row])
        return row[self.name]

    def _expect_among(self, columns: list[str]) -> None:
        if self.name in columns:
            return
        close, hint = difflib.get_close_matches(self.name, columns, n=1), ""
        if self.name.startswith("val_") and "val_loss" not in columns:
            hint = ": it needs fit(validation_data=...), or early_stopping=True in an estimator"
        elif f"val_{self.name}" in columns:
            hint = f": did you mean 'val_{self.name}'?"
        elif close:
            hint = f": did you mean {close[0]!r}?"
        raise ValueError(
            f"expected monitor to be one of {', '.join(columns)}, found {self.name!r}{hint}"
        )

    def state(self) -> dict[str, str]:
        """Return the name and the mode, which `start` compares with `before` after a restart."""
        return {"monitor": self.name, "mode": self.mode}

    def better(self, new: float, *, than: float | None) -> bool:
        """Return whether `new` improves on the best value so far. NaN is never an improvement."""
        delta: float = self.min_delta
        if self.mode == "max":
            return new > (-math.inf if than is None else than) + delta
        return new < (math.inf if than is None else than) - delta

    def best(self, values: list[float]) -> float | None:
        """Return the best of these values, ignoring NaN, or None if no value remains."""
        best = None
        for value in values:
            if self.better(value, than=best):
                best = value
        return best


def _only_reads(listener: Callback) -> bool:
    """Return whether a callback is built in, and therefore never writes to the history."""
    own = type(listener).__module__.startswith("chainrule.")
    return own and not isinstance(listener, LambdaCallback)


def _mode(higher_is_better: bool | None) -> str:
    return {None: "auto", True: "max", False: "min"}[higher_is_better]
