"""What an evaluation reports beside the loss: functions of outputs and targets, on the device."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from array_api_compat import array_namespace

from .backend import Array
from .errors import ShapeError
from .losses import BCELoss, BCEWithLogitsLoss, CrossEntropyLoss, Loss

Metric: TypeAlias = Callable[[Array, Array], Array]


def accuracy(outputs: Array, targets: Array) -> Array:
    """The share of samples whose largest output is that of their class.

    Parameters
    ----------
    outputs : array
        ``(samples, classes)``: logits or probabilities.
    targets : array
        Labels ``(samples,)``, or one-hot rows of the shape of the outputs.

    Returns
    -------
    array
        0-d, of the outputs' dtype.

    Raises
    ------
    ShapeError
        If there are fewer than two outputs, or the targets do not go with them.

    Examples
    --------
    >>> import numpy as np
    >>> float(accuracy(np.asarray([[0.1, 0.9], [0.8, 0.2]]), np.asarray([1, 1])))
    0.5
    """
    xp = array_namespace(outputs)
    if outputs.ndim != 2 or outputs.shape[1] < 2:
        raise ShapeError(
            "accuracy: expected outputs of shape (samples, classes) with at least two classes, "
            f"found {tuple(outputs.shape)} (for one output, binary_accuracy)"
        )
    _same_samples("accuracy", targets, outputs.shape[:1], outputs.shape)
    labels = targets if targets.ndim == 1 else xp.argmax(targets, axis=-1)
    return xp.mean(xp.astype(xp.argmax(outputs, axis=-1) == labels, outputs.dtype))


@dataclass(frozen=True)
class binary_accuracy:  # noqa: N801  (used as a function)
    """The share of outputs on their target's side of `threshold`: 0 for logits, 0.5 otherwise."""

    threshold: float

    def __call__(self, outputs: Array, targets: Array) -> Array:
        xp = array_namespace(outputs)
        _same_samples("binary_accuracy", targets, outputs.shape)
        right = (outputs > self.threshold) == (xp.astype(targets, outputs.dtype) > 0.5)
        return xp.mean(xp.astype(right, outputs.dtype))


def _same_samples(name: str, targets: Array, *expected: tuple[int, ...]) -> None:
    if targets.shape not in expected:
        wanted = " or ".join(str(tuple(shape)) for shape in expected)
        found = tuple(targets.shape)
        raise ShapeError(f"{name}: expected targets of shape {wanted}, found {found}")


def default_metrics(loss: Loss) -> dict[str, Metric]:
    """What a `Trainer` with this loss reports if it is not told."""
    if isinstance(loss, CrossEntropyLoss):
        return {"accuracy": accuracy}
    if isinstance(loss, BCEWithLogitsLoss):
        return {"accuracy": binary_accuracy(0.0)}
    if isinstance(loss, BCELoss):
        return {"accuracy": binary_accuracy(0.5)}
    return {}
