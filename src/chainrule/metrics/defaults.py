"""Metrics that a `Trainer` reports by default."""

from __future__ import annotations

from functools import partial

from ..losses import CrossEntropyLoss, Loss
from .accuracy import accuracy, binary_accuracy
from .base import Metric

_BY_OUTPUTS: dict[str, Metric] = {
    "logits": accuracy,
    "binary logits": binary_accuracy(0.0),
    "binary probabilities": binary_accuracy(0.5),
}


def default_metrics(loss: Loss) -> dict[str, Metric]:
    """Return the accuracy if the loss is for classification, and no metrics otherwise.

    Examples
    --------
    >>> list(default_metrics(cr.CrossEntropyLoss()))
    ['accuracy']
    >>> default_metrics(cr.MSELoss())
    {}
    """
    if isinstance(loss, CrossEntropyLoss) and loss.ignore_index is not None:
        return {"accuracy": partial(accuracy, ignore_index=loss.ignore_index)}
    return {"accuracy": _BY_OUTPUTS[loss.outputs]} if loss.outputs in _BY_OUTPUTS else {}
