"""What an evaluation reports beside the loss: functions of outputs and targets, on the device.

A metric is any function of outputs and targets that returns one number as a 0-d array; a `Trainer`
takes them in a list, or as a dict under names of one's own. Nothing here reads a value back from
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

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from array_api_compat import array_namespace

from .backend import Array, beside, on_host
from .checks import whole
from .errors import DataError, ShapeError
from .losses import (
    BCELoss,
    BCEWithLogitsLoss,
    CrossEntropyLoss,
    Loss,
    as_outputs,
    check_range,
    one_hot,
)

Metric: TypeAlias = Callable[[Array, Array], Array]

_AVERAGES = ("auto", "binary", "macro", "micro", "weighted")

# Two of them are classes, so that they can be compared, copied and printed; used as functions.
# ruff: noqa: N801


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
    xp, outputs, labels = _labelled("accuracy", outputs, targets)
    return xp.mean(xp.astype(_predicted(xp, outputs) == labels, outputs.dtype))


@dataclass(frozen=True)
class binary_accuracy:
    """The share of outputs on their target's side of `threshold`: 0 for logits, 0.5 otherwise.

    Parameters
    ----------
    threshold : float
        Outputs above it stand for 1, others for 0; so do targets above 0.5.

    Examples
    --------
    >>> import numpy as np
    >>> float(binary_accuracy(0.0)(np.asarray([[2.0], [-1.0]]), np.asarray([[1.0], [1.0]])))
    0.5
    """

    threshold: float

    def __call__(self, outputs: Array, targets: Array) -> Array:
        xp, outputs, targets = _fitting("binary_accuracy", outputs, targets)
        right = (outputs > self.threshold) == (xp.astype(targets, outputs.dtype) > 0.5)
        return xp.mean(xp.astype(right & ~xp.isnan(outputs), outputs.dtype))


@dataclass(frozen=True)
class top_k_accuracy:
    """The share of samples whose class is among the `k` largest of their outputs.

    Of equal outputs that of the lower class counts as the larger, as in `accuracy`, which is the
    same as `k` = 1: equal outputs everywhere do not make every sample right.

    Parameters
    ----------
    k : int
        How many of the largest outputs count, at least 1. The metric is called ``top_k_accuracy``
        with this number for k.

    Raises
    ------
    ShapeError
        When it is called, if there are not more than `k` classes, or the targets do not go with
        the outputs.

    Examples
    --------
    >>> import numpy as np
    >>> outputs = np.asarray([[0.5, 0.3, 0.2], [0.5, 0.3, 0.2]])
    >>> float(top_k_accuracy(2)(outputs, np.asarray([1, 2])))
    0.5
    >>> top_k_accuracy(2).__name__
    'top_2_accuracy'
    """

    k: int

    def __post_init__(self) -> None:
        whole("k", self.k, least=1)

    @property
    def __name__(self) -> str:
        return f"top_{self.k}_accuracy"

    def __call__(self, outputs: Array, targets: Array) -> Array:
        name = self.__name__
        xp, outputs, labels = _labelled(name, outputs, targets)
        samples, classes = outputs.shape
        if self.k >= classes:
            raise ShapeError(f"{name}: expected more than {self.k} classes, found {classes}")
        rows = xp.arange(samples, device=outputs.device)
        own = outputs[rows, labels][:, None]
        after = xp.arange(classes, dtype=labels.dtype, device=outputs.device) > labels[:, None]
        # Who is beaten is counted, not who is ahead: beside NaN nobody is.
        beaten = (own > outputs) | ((own == outputs) & after)
        right = xp.sum(xp.astype(beaten, labels.dtype), axis=1) >= classes - self.k
        return xp.mean(xp.astype(right, outputs.dtype))


def confusion_matrix(outputs: Array, targets: Array, *, threshold: float = 0.0) -> Array:
    """How many samples of each class are taken for which: classes in rows, predictions in columns.

    ``M[i, j]``, the number of samples of class i whose largest output is the j-th: the product of
    the one-hot rows of both, ``targets^T predictions``. A sample with NaN is taken for no class.

    Parameters
    ----------
    outputs : array
        ``(samples, classes)``, or one output for two classes, ``(samples,)`` or ``(samples, 1)``.
    targets : array
        Labels or one-hot rows; 0 and 1 in the shape of the outputs where there is one output.
    threshold : float, optional
        Where one output turns from class 0 to class 1: 0 for logits, 0.5 for probabilities.

    Returns
    -------
    array
        ``(classes, classes)`` integers. In float32 they are exact up to 2^24.

    Raises
    ------
    ShapeError
        If the targets do not go with the outputs.

    Examples
    --------
    >>> import numpy as np
    >>> outputs = np.asarray([[0.9, 0.1], [0.2, 0.8], [0.7, 0.3]])
    >>> confusion_matrix(outputs, np.asarray([0, 1, 1]))
    array([[1, 0],
           [1, 1]])
    """
    xp, actual, predicted = _one_hot_rows("confusion_matrix", outputs, targets, threshold)
    return xp.astype(xp.matrix_transpose(actual) @ predicted, xp.int64)


def precision(
    outputs: Array, targets: Array, *, average: str = "auto", threshold: float = 0.0
) -> Array:
    """Of the samples taken for a class, the share that belongs to it: ``right / predicted``.

    A class for which no sample is taken has precision 0, as in scikit-learn.

    Parameters
    ----------
    outputs, targets : array
        See `confusion_matrix`.
    average : {"auto", "binary", "macro", "micro", "weighted"}, optional
        What is made of the classes' scores. "binary" is that of class 1 of two. "macro" is the mean
        over the classes that occur among targets or predictions, "weighted" the mean with the
        number of each class's samples as weights. "micro" sums samples up over the classes before
        it divides. "auto" is "binary" where there are two classes and "macro" where there are more.
    threshold : float, optional
        See `confusion_matrix`.

    Returns
    -------
    array
        0-d, of the outputs' dtype.

    Raises
    ------
    ShapeError
        If the targets do not go with the outputs.
    ValueError
        If there is no such average, or it is "binary" and there are more than two classes.

    Examples
    --------
    >>> import numpy as np
    >>> logits, targets = np.asarray([2.0, 1.0, 3.0, -1.0]), np.asarray([1, 0, 1, 1])
    >>> round(float(precision(logits, targets)), 3)
    0.667
    """

    def shares(right: Array, predicted: Array, actual: Array) -> tuple[Array, Array]:
        return right, predicted

    return _averaged("precision", shares, outputs, targets, average, threshold)


def recall(
    outputs: Array, targets: Array, *, average: str = "auto", threshold: float = 0.0
) -> Array:
    """Of the samples of a class, the share that is taken for it: ``right / actual``.

    A class without samples has recall 0, as in scikit-learn.

    Parameters
    ----------
    outputs, targets, average, threshold
        See `precision`, also for what is returned and raised.

    Examples
    --------
    >>> import numpy as np
    >>> logits, targets = np.asarray([2.0, 1.0, -3.0, -1.0]), np.asarray([1, 0, 1, 1])
    >>> round(float(recall(logits, targets)), 3)
    0.333
    """

    def shares(right: Array, predicted: Array, actual: Array) -> tuple[Array, Array]:
        return right, actual

    return _averaged("recall", shares, outputs, targets, average, threshold)


def f1(outputs: Array, targets: Array, *, average: str = "auto", threshold: float = 0.0) -> Array:
    """The harmonic mean of precision and recall: ``2 right / (predicted + actual)``.

    A class that does not occur has 0, as in scikit-learn.

    Source: C. van Rijsbergen, "Information retrieval", 1979.

    Parameters
    ----------
    outputs, targets, average, threshold
        See `precision`, also for what is returned and raised. "macro" is the mean of the classes'
        F1, not that of the mean precision and recall.

    Examples
    --------
    >>> import numpy as np
    >>> logits, targets = np.asarray([2.0, 1.0, -3.0, -1.0]), np.asarray([1, 0, 1, 1])
    >>> round(float(f1(logits, targets)), 3)
    0.4
    """

    def shares(right: Array, predicted: Array, actual: Array) -> tuple[Array, Array]:
        return 2.0 * right, predicted + actual

    return _averaged("f1", shares, outputs, targets, average, threshold)


def r2(outputs: Array, targets: Array) -> Array:
    """The coefficient of determination: the share of the targets' variance that is explained.

    ``1 - sum((t - y)^2) / sum((t - mean(t))^2)`` over the samples; of several outputs, the mean.
    Where the targets do not vary it is 1 if all outputs are right and else 0, as in scikit-learn.

    Parameters
    ----------
    outputs, targets : array
        ``(samples,)`` or ``(samples, features)``, both alike.

    Returns
    -------
    array
        0-d, of the outputs' dtype; at most 1, and 0 for the mean of the targets.

    Raises
    ------
    ShapeError
        If the shapes differ.

    Examples
    --------
    >>> import numpy as np
    >>> float(r2(np.asarray([1.0, 2.0, 2.0]), np.asarray([1.0, 2.0, 3.0])))
    0.5
    """
    xp, outputs, targets = _fitting("r2", outputs, targets)
    targets = xp.astype(targets, outputs.dtype)
    error = targets - outputs
    # From the first sample on, so that targets that do not vary have exactly no variance.
    targets = targets - targets[:1, ...]
    deviation = targets - xp.mean(targets, axis=0, keepdims=True)
    unexplained, total = xp.sum(error * error, axis=0), xp.sum(deviation * deviation, axis=0)
    right = xp.astype(unexplained == 0.0, total.dtype)
    share = unexplained / xp.where(total > 0.0, total, 1.0)
    return xp.mean(xp.where(total > 0.0, 1.0 - share, right))


def mean_absolute_error(outputs: Array, targets: Array) -> Array:
    """The mean of ``|y - t|`` over samples and features, in the targets' own unit.

    Parameters
    ----------
    outputs, targets : array
        ``(samples,)`` or ``(samples, features)``, both alike.

    Returns
    -------
    array
        0-d, of the outputs' dtype.

    Raises
    ------
    ShapeError
        If the shapes differ.

    Examples
    --------
    >>> import numpy as np
    >>> float(mean_absolute_error(np.asarray([1.0, 2.0, 5.0]), np.asarray([1.0, 3.0, 3.0])))
    1.0
    """
    xp, outputs, targets = _fitting("mean_absolute_error", outputs, targets)
    return xp.mean(xp.abs(outputs - xp.astype(targets, outputs.dtype)))


def default_metrics(loss: Loss) -> dict[str, Metric]:
    """What a `Trainer` with this loss reports if it is not told."""
    if isinstance(loss, CrossEntropyLoss):
        return {"accuracy": accuracy}
    if isinstance(loss, BCEWithLogitsLoss):
        return {"accuracy": binary_accuracy(0.0)}
    if isinstance(loss, BCELoss):
        return {"accuracy": binary_accuracy(0.5)}
    return {}


def _labelled(name: str, outputs: Array, targets: Array) -> tuple[Any, Array, Array]:
    """The namespace, outputs ``(samples, classes)`` and targets as labels, if they go together."""
    outputs = as_outputs(outputs)
    if outputs.ndim != 2 or outputs.shape[1] < 2:
        raise ShapeError(
            f"{name}: expected outputs of shape (samples, classes) with at least two classes, "
            f"found {tuple(outputs.shape)} (for one output, binary_accuracy)"
        )
    xp, outputs, targets = _fitting(name, outputs, targets, outputs.shape[:1], outputs.shape)
    if targets.ndim > 1:
        return xp, outputs, xp.argmax(xp.astype(targets, outputs.dtype), axis=-1)
    labels = xp.astype(targets, xp.int64)
    if on_host(targets):
        if bool(xp.any(xp.astype(labels, targets.dtype) != targets)):
            raise DataError(f"{name}: expected whole labels, found others")
        classes = outputs.shape[1]
        check_range(xp, labels, 0, classes - 1, f"labels of {classes} classes")
    return xp, outputs, labels


def _fitting(
    name: str, outputs: Array, targets: Array, *shapes: tuple[int, ...]
) -> tuple[Any, Array, Array]:
    """The namespace, outputs and, there, targets of their shape or of one of those given."""
    outputs = as_outputs(outputs)
    xp, targets = array_namespace(outputs), beside(outputs, targets)
    shapes = shapes or (outputs.shape,)
    if targets.shape not in shapes:
        wanted = " or ".join(str(tuple(shape)) for shape in shapes)
        found = tuple(targets.shape)
        raise ShapeError(f"{name}: expected targets of shape {wanted}, found {found}")
    if outputs.ndim == 0 or 0 in outputs.shape:
        found = tuple(outputs.shape)
        raise DataError(f"{name}: expected at least one sample, found outputs of shape {found}")
    floating = xp.isdtype(targets.dtype, "real floating")
    if floating and on_host(targets) and not bool(xp.all(xp.isfinite(targets))):
        raise DataError(f"{name}: expected finite targets, found NaN or infinity")
    return xp, outputs, targets


def _predicted(xp: Any, outputs: Array) -> Array:
    """What the samples are taken for: the class of the largest output, -1 where there is NaN."""
    return xp.where(xp.any(xp.isnan(outputs), axis=-1), -1, xp.argmax(outputs, axis=-1))


def _one_hot_rows(
    name: str, outputs: Array, targets: Array, threshold: float
) -> tuple[Any, Array, Array]:
    """What the samples are and what they are taken for, ``(samples, classes)`` each."""
    outputs = as_outputs(outputs)
    if outputs.ndim == 1 or outputs.shape[1:] == (1,):
        # One output decides between two classes as two outputs do, of which one is the threshold.
        xp, outputs, targets = _fitting(name, outputs, targets)
        outputs = xp.reshape(outputs, (-1,))
        targets = xp.astype(xp.reshape(targets, (-1,)), outputs.dtype)
        if on_host(targets):
            check_range(xp, targets, 0, 1, "targets of two classes")
        targets = targets > 0.5
        outputs = xp.stack([xp.full_like(outputs, threshold), outputs], axis=1)
    xp, outputs, labels = _labelled(name, outputs, targets)
    return xp, one_hot(xp, outputs, labels), one_hot(xp, outputs, _predicted(xp, outputs))


def _averaged(
    name: str,
    shares: Callable[[Array, Array, Array], tuple[Array, Array]],
    outputs: Array,
    targets: Array,
    average: str,
    threshold: float,
) -> Array:
    """An average over classes of the quotient that `shares` makes of their counts."""
    if average not in _AVERAGES:
        raise ValueError(f"{name}: expected average to be one of {_AVERAGES}, found {average!r}")
    xp, actual_rows, predicted_rows = _one_hot_rows(name, outputs, targets, threshold)
    classes = actual_rows.shape[1]
    if average == "auto":
        average = "binary" if classes == 2 else "macro"
    if average == "binary" and classes != 2:
        raise ValueError(f"{name}: average='binary' is for two classes, found {classes}")
    right = xp.sum(actual_rows * predicted_rows, axis=0)
    predicted, actual = xp.sum(predicted_rows, axis=0), xp.sum(actual_rows, axis=0)
    part, whole = shares(right, predicted, actual)
    if average == "micro":
        return _quotient(xp, xp.sum(part), xp.sum(whole))
    scores = _quotient(xp, part, whole)
    if average == "binary":
        return scores[1]
    if average == "weighted":
        return _quotient(xp, xp.sum(actual * scores), xp.sum(actual))
    occurs = xp.astype(predicted + actual > 0.0, scores.dtype)
    return _quotient(xp, xp.sum(scores), xp.sum(occurs))


def _quotient(xp: Any, part: Array, whole: Array) -> Array:
    """``part / whole``, and 0 / 0 = 0; `whole` is a count, so nothing else changes."""
    return part / xp.maximum(whole, 1.0)
