"""Metrics: functions of outputs and targets that an evaluation reports next to the loss.

A metric is any function of outputs and targets that returns one number as a 0-d array; a `Trainer`
takes them in a list, or as a dict under your own names. Nothing here reads a value back from
a device; targets that are a list, a frame or of another library are moved to where outputs are, and
are a `DataError` if they lie in host memory and hold NaN, or labels outside the classes. Outputs
that are NaN are no error: their samples count as wrong, or make the metric NaN.

Outputs of a classification are logits or probabilities ``(samples, classes)``, and targets labels
``(samples,)`` from 0 to ``classes - 1``, or one-hot rows. `precision`, `recall`, `f1` and
`confusion_matrix` also take the one output of a model of two classes, ``(samples,)`` or
``(samples, 1)``, with targets 0 and 1 of the same shape: class 1 is where it is above `threshold`.

Examples
--------
>>> from functools import partial
>>> metrics = [accuracy, top_k_accuracy(5)]
>>> metrics = {"accuracy": accuracy, "f1": partial(f1, average="weighted")}
"""

from .accuracy import accuracy, binary_accuracy, top_k_accuracy
from .base import Metric
from .confusion import confusion_matrix, f1, precision, recall
from .defaults import default_metrics
from .regression import mean_absolute_error, r2

__all__ = [
    "Metric",
    "accuracy",
    "binary_accuracy",
    "confusion_matrix",
    "default_metrics",
    "f1",
    "mean_absolute_error",
    "precision",
    "r2",
    "recall",
    "top_k_accuracy",
]
