"""A number of an epoch that a callback watches, and which of two of them is the better one."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from ..checks import at_least_zero
from .base import Training

_HIGHER_IS_BETTER = ("accuracy", "f1", "precision", "recall", "r2")


class Monitor:
    """A column of the history.

    Parameters
    ----------
    name : str
        Of the column, such as ``"val_loss"``.
    mode : {"auto", "min", "max"}
        Whether lower or higher is better; "auto" goes by the name: higher where it ends in
        accuracy, f1, precision, recall or r2, else lower.
    min_delta : float, optional
        By more than how much the better has to be better.

    Examples
    --------
    >>> accuracy = Monitor("val_accuracy", "auto", 0.01)
    >>> accuracy.better(0.95, than=0.93), accuracy.better(0.935, than=0.93)
    (True, False)
    """

    def __init__(self, name: str, mode: str, min_delta: float = 0.0) -> None:
        if not isinstance(name, str):
            raise TypeError(f"expected monitor to be a name such as 'val_loss', found {name!r}")
        if mode not in ("auto", "min", "max"):
            raise ValueError(f"expected mode to be 'auto', 'min' or 'max', found {mode!r}")
        self.name = name
        self.min_delta = at_least_zero("min_delta", min_delta)
        if mode == "auto":
            mode = "max" if name.endswith(_HIGHER_IS_BETTER) else "min"
        self.mode = mode

    def read(self, trainer: Training) -> float:
        """The number of the last epoch.

        Raises
        ------
        ValueError
            If there is none of that name.
        """
        row = trainer.history.epochs[-1]
        if self.name not in row:
            hint = ": fit needs validation_data for it" if self.name.startswith("val_") else ""
            raise ValueError(
                f"expected monitor to be one of {', '.join(row)}, found {self.name!r}{hint}"
            )
        return row[self.name]

    def state(self) -> dict[str, str]:
        """What is watched, to be compared with after a restart."""
        return {"monitor": self.name, "mode": self.mode}

    def expect(self, state: Mapping[str, Any]) -> None:
        """Raise a ValueError if another number was watched before the restart."""
        for key, found in self.state().items():
            if state.get(key, found) != found:
                raise ValueError(
                    f"expected {key}={state[key]!r} as before the restart, found {found!r}"
                )

    def better(self, new: float, *, than: float | None) -> bool:
        """Whether `new` is better than the best so far; NaN is never, nor is the worst infinity."""
        if self.mode == "max":
            return new > (-math.inf if than is None else than) + self.min_delta
        return new < (math.inf if than is None else than) - self.min_delta

    def best(self, values: list[float]) -> float | None:
        """The best of some numbers."""
        best = None
        for value in values:
            if self.better(value, than=best):
                best = value
        return best
