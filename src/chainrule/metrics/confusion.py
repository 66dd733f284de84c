"""The confusion matrix, and the scores that follow from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..losses.base import as_outputs
from ..types import Array
from .base import check_two_classes, fitting_targets, higher_is_better, labelled, predicted_classes

_AVERAGES = ("auto", "binary", "macro", "micro", "weighted")


def confusion_matrix(outputs: Array, targets: Array, *, threshold: float = 0.0) -> Array:
    """How many samples of each class are taken for which: classes in rows, predictions in columns.

    ``M[i, j]``, the number of samples of class i whose largest output is the j-th. A sample with
    NaN is taken for no class.

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
        ``(classes, classes)`` integers.

    Raises
    ------
    ShapeError
        If the targets do not go with the outputs.
    DataError
        If targets in host memory are not classes: labels out of range, rows that do not sum to 1.

    Examples
    --------
    >>> import numpy as np
    >>> outputs = np.asarray([[0.9, 0.1], [0.2, 0.8], [0.7, 0.3]])
    >>> confusion_matrix(outputs, np.asarray([0, 1, 1]))
    array([[1, 0],
           [1, 1]])
    """
    xp, outputs, actual = _of_classes("confusion_matrix", outputs, targets, threshold)
    classes, predicted = outputs.shape[1], predicted_classes(xp, outputs)
    entries = xp.where(predicted >= 0, classes * actual + predicted, -1)
    return xp.reshape(_occurrences(xp, entries, classes * classes), (classes, classes))


@higher_is_better
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
        0-d, a quotient of exact counts, see `chainrule.metrics` for its dtype.

    Raises
    ------
    ShapeError
        If the targets do not go with the outputs.
    DataError
        See `confusion_matrix`.
    ValueError
        If there is no such average, or it is "binary" and there are more than two classes.

    Examples
    --------
    >>> import numpy as np
    >>> logits, targets = np.asarray([2.0, 1.0, 3.0, -1.0]), np.asarray([1, 0, 1, 1])
    >>> round(float(precision(logits, targets)), 3)
    0.667
    """
    counts = _Counts.of("precision", outputs, targets, average, threshold)
    return counts.averaged(counts.right, counts.predicted)


@higher_is_better
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
    counts = _Counts.of("recall", outputs, targets, average, threshold)
    return counts.averaged(counts.right, counts.actual)


@higher_is_better
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
    counts = _Counts.of("f1", outputs, targets, average, threshold)
    return counts.averaged(2.0 * counts.right, counts.predicted + counts.actual)


def _of_classes(
    name: str, outputs: Array, targets: Array, threshold: float
) -> tuple[Any, Array, Array]:
    """The namespace, outputs ``(samples, classes)``, also those of one output, and labels."""
    xp, outputs = as_outputs(outputs)
    if outputs.ndim == 1 or outputs.shape[1:] == (1,):
        # One output decides between two classes as two outputs do, of which one is the threshold.
        xp, outputs, targets = fitting_targets(name, outputs, targets)
        outputs = xp.reshape(outputs, (-1,))
        targets = xp.astype(xp.reshape(targets, (-1,)), outputs.dtype)
        check_two_classes(xp, targets)
        targets = targets > 0.5
        outputs = xp.stack([xp.full_like(outputs, threshold), outputs], axis=1)
    return labelled(name, outputs, targets)


def _occurrences(xp: Any, numbers: Array, count: int) -> Array:
    """How often each of 0 to ``count - 1`` occurs, ``(count,)`` integers; others do not count."""
    ordered, each = xp.sort(numbers), xp.arange(count, dtype=xp.int64, device=numbers.device)
    above = xp.searchsorted(ordered, each, side="right")
    return xp.astype(above - xp.searchsorted(ordered, each, side="left"), xp.int64)


@dataclass
class _Counts:
    """How many samples of each class are right, are taken for it, and belong to it, in float64."""

    xp: Any
    dtype: Any  # of the result
    average: str
    right: Array
    predicted: Array
    actual: Array

    @classmethod
    def of(
        cls, name: str, outputs: Array, targets: Array, average: str, threshold: float
    ) -> _Counts:
        if average not in _AVERAGES:
            raise ValueError(
                f"{name}: expected average to be one of {_AVERAGES}, found {average!r}"
            )
        xp, outputs, actual = _of_classes(name, outputs, targets, threshold)
        classes, predicted = outputs.shape[1], predicted_classes(xp, outputs)
        if average == "auto":
            average = "binary" if classes == 2 else "macro"
        if average == "binary" and classes != 2:
            raise ValueError(f"{name}: average='binary' is for two classes, found {classes}")
        right = xp.where(actual == predicted, actual, -1)
        counts = (_occurrences(xp, labels, classes) for labels in (right, predicted, actual))
        return cls(xp, outputs.dtype, average, *(xp.astype(n, xp.float64) for n in counts))

    def averaged(self, part: Array, whole: Array) -> Array:
        """The average over the classes of ``part / whole``."""
        return self.xp.astype(self._averaged(part, whole), self.dtype)

    def _averaged(self, part: Array, whole: Array) -> Array:
        xp, average = self.xp, self.average
        if average == "micro":
            return _quotient(xp, xp.sum(part), xp.sum(whole))
        scores = _quotient(xp, part, whole)
        if average == "binary":
            return scores[1]
        if average == "weighted":
            return _quotient(xp, xp.sum(self.actual * scores), xp.sum(self.actual))
        occurs = xp.astype(self.predicted + self.actual > 0.0, scores.dtype)
        return _quotient(xp, xp.sum(scores), xp.sum(occurs))


def _quotient(xp: Any, part: Array, whole: Array) -> Array:
    """``part / whole``, and 0 / 0 = 0; `whole` is a count, so nothing else changes."""
    return part / xp.maximum(whole, 1.0)
