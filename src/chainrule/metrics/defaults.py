"""Metrics that a Trainer reports by default."""

from __future__ import annotations

from ..losses import BCELoss, BCEWithLogitsLoss, CrossEntropyLoss, Loss
from .accuracy import accuracy, binary_accuracy
from .base import Metric


def default_metrics(loss: Loss) -> dict[str, Metric]:
    """What a `Trainer` with this loss reports if it is not told."""
    if isinstance(loss, CrossEntropyLoss):
        return {"accuracy": accuracy}
    if isinstance(loss, BCEWithLogitsLoss):
        return {"accuracy": binary_accuracy(0.0)}
    if isinstance(loss, BCELoss):
        return {"accuracy": binary_accuracy(0.5)}
    return {}
