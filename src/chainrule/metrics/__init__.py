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
Rows of targets sum to 1, so several labels per sample are a `DataError` too: that is what
`binary_accuracy` is for. A row that is not one-hot (a smoothed or mixed label) stands for the class
of its largest entry.

Outputs and targets may be of any dtype of real numbers. Counts and sums are taken in integers and
float64, whatever it is; the result has the outputs' dtype if that is float32 or float64, and is
float64 otherwise.

A metric says by an attribute ``higher_is_better``, True or False, in which direction it improves;
callbacks that watch it go by that. Give it to your own metrics too.

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


def __dir__() -> list[str]:
    return __all__
