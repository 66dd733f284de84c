"""Metrics: functions of outputs and targets. An evaluation reports metrics along with the loss.

A metric is any function of outputs and targets that returns one number as a 0-d array. A `Trainer`
takes a list of metrics, or a dict with names of your choice. The metrics in this module never copy
values from a device to the host. Targets may be a list, a data frame or an array of another
library. The targets are moved to the device of the outputs. If targets in host memory contain NaN
or labels out of range, a metric raises a `DataError`. NaN in the outputs does not raise an error.
Depending on the metric, samples with NaN outputs count as wrong, or the result is NaN.

For classification, outputs are logits or probabilities ``(samples, classes)``. Targets are one-hot
rows, or labels ``(samples,)`` from 0 to ``classes - 1``. Each row of the targets must sum to 1, so
several labels per sample raise a `DataError`. For several labels per sample, use `binary_accuracy`.
If a row is not one-hot (a smoothed or mixed label), the class of the largest entry counts.

For two classes, `precision`, `recall`, `f1` and `confusion_matrix` also accept a single output per
sample, ``(samples,)`` or ``(samples, 1)``. Outputs above `threshold` mean class 1. Targets are 0 or
1, and have the shape of the outputs.

Outputs and targets may have any real dtype. Counts and sums are computed in integers or float64. If
the outputs are float32 or float64, the result has the same dtype. Otherwise the result is float64.

The attribute ``higher_is_better`` of a metric is True if larger values are better, and False if
smaller values are better. Callbacks that monitor a metric use this attribute, so also set it on
custom metrics.

A `Trainer` also computes a metric during training if the metric is a mean over samples and has a
function ``per_sample(xp, outputs, targets)``. This function returns numbers or booleans, either one
per sample, ``(samples,)``, or one per output, ``(samples, outputs)``. The arguments are the arrays
of one step and their namespace, `xp`. Targets may be integers. The function must neither change the
arrays nor copy values to the host. The mean over samples is weighted by the sample weights.
`accuracy`, `binary_accuracy`, `top_k_accuracy` and `mean_absolute_error` have this function.

Examples
--------
>>> from functools import partial
>>> metrics = [accuracy, top_k_accuracy(5)]
>>> metrics = {"accuracy": accuracy, "f1": partial(f1, average="weighted")}

A custom metric that is also computed during training: the share of samples whose largest error is
below 0.1.

>>> import numpy as np
>>> def close(outputs, targets):
...     return np.mean(close.per_sample(np, outputs, targets))
>>> close.per_sample = lambda xp, y, t: xp.all(xp.abs(y - t) < 0.1, axis=1)
>>> close.higher_is_better = True
>>> x = np.ones((4, 2))
>>> trainer = cr.Trainer(cr.mlp([2, 1]), loss=cr.MSELoss(), optimizer=cr.SGD(0.0), metrics=[close])
>>> trainer.fit(x, trainer.model.predict(x), verbose=0)["close"]
[1.0]
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
