"""What the page draws of a model: its output, its units, its weights and its gradients."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np

from ..layers import Linear
from .program import Experiment
from .settings import PLANE, Settings

GRID = 48
"""The number of grid points along each side of the plane."""


class View:
    """Measures the model of an experiment.

    Parameters
    ----------
    settings : Settings
        The settings of the experiment.
    experiment : Experiment
        The experiment.
    """

    def __init__(self, settings: Settings, experiment: Experiment) -> None:
        self.settings, self.experiment = settings, experiment
        self.model = experiment.trainer.model
        self.rows_sent = 0
        line = np.linspace(-PLANE, PLANE, GRID)
        if settings.source.side:
            self.inputs = experiment.test[0][:1]
        elif settings.source.inputs == 1:
            self.inputs = line[:, None]
        else:  # rows from top to bottom, as on the screen
            self.inputs = np.stack(np.meshgrid(line, line[::-1]), axis=-1).reshape(-1, 2)

    def read(self, pixels: tuple[float, ...]) -> bool:
        """Measure the outputs for this image from now on, if the model takes such images."""
        fits = len(pixels) == self.settings.source.side**2
        if fits:
            self.inputs = np.array([pixels])
        return fits

    def start(self) -> dict[str, Any]:
        """Return the data, which the page draws once."""
        (x, y), (test_x, test_y) = self.experiment.train, self.experiment.test
        if self.settings.source.side:
            return {"images": as_bytes(test_x[:24])}
        return {
            "train": len(x),
            "grid": GRID,
            "x": joined([x, test_x], np.float32),
            "y": joined([y, test_y], np.float32),
        }

    def frame(self) -> dict[str, Any]:
        """Measure the model."""
        y, units, to_numpy = self.inputs, [], self.model.backend.to_numpy
        y = self.model.backend.asarray(y, dtype=self.model.state.dtype)
        for layer in self.model.layers:
            y, _ = layer.forward(y)
            if type(layer).__name__ == self.settings.activation:
                values = to_numpy(y)  # one image has one row, so the units of a layer are compared
                units.append(signed(values if self.settings.source.side else values.T))
        linear = [layer for layer in self.model.layers if isinstance(layer, Linear)]
        weights = [to_numpy(layer.weight.value) for layer in linear]
        if self.settings.source.side:  # the first layer is shown by its weights, as images
            units[:1] = [signed(weights.pop(0))]
        history = self.experiment.trainer.history.epochs
        rows, self.rows_sent = history[self.rows_sent :], len(history)
        return {
            "gradients": [root_mean_square(to_numpy(layer.weight.grad)) for layer in linear],
            "rows": [[finite(row.get(name)) for name in COLUMNS] for row in rows],
            "pictures": joined(units, np.int8),
            "weights": joined(weights, np.float32),
            "outputs": joined([to_numpy(y)], np.float32),
        }


COLUMNS = ("epoch", "loss", "val_loss", "val_accuracy")


def signed(values: np.ndarray) -> np.ndarray:
    """Return each row divided by its largest absolute value, as integers from -127 to 127."""
    largest = np.abs(values).max(axis=1, keepdims=True)
    return np.nan_to_num(127 * values / np.where(largest > 0, largest, 1)).astype(np.int8)


def joined(arrays: list[np.ndarray], dtype: type[np.generic]) -> np.ndarray:
    """Return the elements of all arrays in one array, with large numbers instead of infinity."""
    elements = np.concat([np.zeros(0), *(array.reshape(-1) for array in arrays)])
    return np.nan_to_num(elements.astype(dtype))


def as_bytes(shares: np.ndarray) -> np.ndarray:
    """Return numbers from 0 to 1 as integers from 0 to 255."""
    return np.asarray(255 * np.clip(np.nan_to_num(shares), 0, 1), dtype=np.uint8)


def root_mean_square(array: np.ndarray) -> float | None:
    """Return the root mean square, or None if it is not finite."""
    return finite(float(np.sqrt(np.mean(np.square(array, dtype=float)))))


def finite(number: float | None) -> float | None:
    """Return the number, or None if JSON cannot represent it."""
    return number if number is not None and math.isfinite(number) else None


def packed(message: dict[str, Any]) -> bytes:
    """Return a message as bytes: the size of the JSON, the JSON, the bytes of all arrays."""
    arrays = {name: value for name, value in message.items() if isinstance(value, np.ndarray)}
    kinds = {name: [array.dtype.name, array.size] for name, array in arrays.items()}
    text = json.dumps({**message, **kinds, "arrays": list(kinds)}).encode()
    contents = (array.tobytes() for array in arrays.values())
    return b"".join([len(text).to_bytes(4, "little"), text, *contents])
