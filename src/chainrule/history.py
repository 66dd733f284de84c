"""The record of a training run."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

from .files.atomic import write_atomically


def shown(number: float) -> str:
    """Format a number with four decimals, or with an exponent if it is very small or large.

    Examples
    --------
    >>> shown(2.3026), shown(0.0), shown(2.379e-7), shown(1.5e9)
    ('2.3026', '0.0000', '2.379e-07', '1.500e+09')
    """
    plain = number == 0.0 or 1e-2 <= abs(number) < 1e5
    return f"{number:.4f}" if plain else f"{number:.3e}"


class History:
    """Training measurements, one row per epoch.

    Attributes
    ----------
    epochs : list of dict
        One dict per epoch, with these columns:

        - ``epoch``, counted from 1;
        - ``loss``: the weighted mean over all samples of the epoch, or the sum if the loss is a
          sum;
        - metrics that are means over samples, such as ``accuracy``. They are measured during the
          steps, while dropout is active and the weights change (see the notes of `Trainer`);
        - with validation data, ``val_loss`` and all metrics, such as ``val_accuracy``, measured
          after the epoch;
        - ``lr``: the learning rate of the last step. If layers have different rates, there is a
          column for each of these layers, such as ``lr[0]``;
        - ``seconds``: the duration of the epoch.

        A callback can add more columns in `Callback.on_epoch_end`.
    step_losses : list of float
        The loss of every step.

    Examples
    --------
    >>> history = History()
    >>> history.epochs.append({"epoch": 1, "loss": 0.5, "seconds": 0.1})
    >>> history["loss"], len(history)
    ([0.5], 1)
    """

    def __init__(self) -> None:
        self.epochs: list[dict[str, float]] = []
        self.step_losses: list[float] = []

    def __len__(self) -> int:
        return len(self.epochs)

    def __getitem__(self, name: str) -> list[float]:
        """Return one column as a list with one number per epoch. A missing number becomes NaN."""
        names = self._names()
        if name not in names:
            raise KeyError(f"no {name!r} in this history; it has {', '.join(names) or 'no epochs'}")
        return [row.get(name, float("nan")) for row in self.epochs]

    def _names(self) -> list[str]:
        return list(dict.fromkeys(name for row in self.epochs for name in row))

    def to_dict(self) -> dict[str, list[float]]:
        """Return a dict from column names to columns."""
        return {name: self[name] for name in self._names()}

    def to_csv(self, path: str | Path) -> None:
        """Write the rows to a CSV file with a header."""
        text = io.StringIO(newline="")
        writer: Any = csv.DictWriter(text, self._names())
        writer.writeheader()
        writer.writerows(self.epochs)
        write_atomically(path, text.getvalue().encode())

    def __repr__(self) -> str:
        return f"<History of {len(self)} epochs: {', '.join(self._names())}>"
