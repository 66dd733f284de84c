"""The confusion matrix, and the scores derived from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..losses.checking import as_outputs, expect_one_array
from ..types import Array
from .base import check_two_classes, fitting_targets, higher_is_better, labelled, predicted_classes

_AVERAGES = ("auto", "binary", "macro", "micro", "weighted")


def confusion_matrix(
    outputs: Array, targets: Array, *, threshold: float = 0.0, ignore_index: int | None = None
) -> Array:
    """Confusion matrix, with true classes in rows and predicted classes in columns.

    ``M[i, j]`` is the number of samples of class i that are predicted as class j. Samples with NaN
    outputs are not counted.

    Parameters
    ----------
    outputs : array
        ``(samples, classes)``, or ``(samples, ..., classes)`` with several labels per sample. Each
        label then counts as one sample. For two classes, a single output per sample is also
        allowed: ``(samples,)`` or ``(samples, 1)``.
    targets : array
        Labels or one-hot rows. For a single output, zeros and ones with the shape of the outputs.
    threshold : float, optional
        A single output above this value predicts class 1. Use 0 for logits and 0.5 for
        probabilities.
    ignore_index : int, optional
        The label to leave out, such as that of padding. It does not apply to a single output.

    Returns
    -------
    array
        The matrix, ``(classes, classes)``, with integer entries.

    Raises
    ------
    ShapeError
        If the shape of the targets does not match the outputs.
    DataError
        If targets in host memory contain labels out of range, or rows that do not sum to 1.

    Examples
    --------
    >>> import numpy as np
    >>> outputs = np.asarray([[0.9, 0.1], [0.2, 0.8], [0.7, 0.3]])
    >>> confusion_matrix(outputs, np.asarray([0, 1, 1]))
    array([[1, 0],
           [1, 1]])
    """
    name = "confusion_matrix"
    xp, outputs, predicted, actual = _of_classes(name, outputs, targets, threshold, ignore_index)
    classes = outputs.shape[1]
    entries = xp.where(predicted >= 0, classes * actual + predicted, -1)
    return xp.reshape(_occurrences(xp, entries, classes * classes), (classes, classes))


@higher_is_better
def precision(
    outputs: Array,
    targets: Array,
    *,
    average: str = "auto",
    threshold: float = 0.0,
    ignore_index: int | None = None,
) -> Array:
    """Precision: the share of correct predictions among all predictions of a class.

    Formula: ``right / predicted``, where ``predicted`` counts the samples predicted as the class,
    and ``right`` counts the correct predictions among these. The precision of a class that is never
    predicted is 0, as in scikit-learn.

    Parameters
    ----------
    outputs, targets : array
        See `confusion_matrix`.
    average : {"auto", "binary", "macro", "micro", "weighted"}, optional
        How to combine the scores of the classes. "binary" is for two classes and returns the score
        of class 1 alone. "macro" is the mean over all classes that occur among the targets or the
        predictions. "weighted" is the mean in which the weight of a class is its number of samples.
        "micro" adds up the counts of all classes before the division. "auto" is "binary" for two
        classes and "macro" for more.
    threshold, ignore_index : optional
        See `confusion_matrix`.

    Returns
    -------
    array
        The score, as a 0-d array. See `chainrule.metrics` for the dtype.

    Raises
    ------
    ShapeError
        If the shape of the targets does not match the outputs.
    DataError
        See `confusion_matrix`.
    ValueError
        If `average` is unknown, or if it is "binary" for more than two classes.

    Examples
    --------
    >>> import numpy as np
    >>> logits, targets = np.asarray([2.0, 1.0, 3.0, -1.0]), np.asarray([1, 0, 1, 1])
    >>> round(float(precision(logits, targets)), 3)
    0.667
    """
    counts = _Counts.of("precision", outputs, targets, average, threshold, ignore_index)
    return counts.averaged(counts.right, counts.predicted)


@higher_is_better
def recall(
    outputs: Array,
    targets: Array,
    *,
    average: str = "auto",
    threshold: float = 0.0,
    ignore_index: int | None = None,
) -> Array:
    """Recall: the share of correct predictions among all samples of a class.

    Formula: ``right / actual``, where ``actual`` counts the samples of the class, and ``right``
    counts the correct predictions among these. The recall of a class without samples is 0, as in
    scikit-learn.

    Parameters
    ----------
    outputs, targets, average, threshold, ignore_index
        See `precision`, also for the result and the errors.

    Examples
    --------
    >>> import numpy as np
    >>> logits, targets = np.asarray([2.0, 1.0, -3.0, -1.0]), np.asarray([1, 0, 1, 1])
    >>> round(float(recall(logits, targets)), 3)
    0.333
    """
    counts = _Counts.of("recall", outputs, targets, average, threshold, ignore_index)
    return counts.averaged(counts.right, counts.actual)


@higher_is_better
def f1(
    outputs: Array,
    targets: Array,
    *,
    average: str = "auto",
    threshold: float = 0.0,
    ignore_index: int | None = None,
) -> Array:
    """F1 score: the harmonic mean of precision and recall.

    Formula: ``2 right / (predicted + actual)``, with the counts of `precision` and `recall`. If a
    class has neither samples nor predictions, its score is 0, as in scikit-learn.

    Source: C. van Rijsbergen, "Information retrieval", 1979.

    Parameters
    ----------
    outputs, targets, average, threshold, ignore_index
        See `precision`, also for the result and the errors. "macro" is the mean of the F1 scores of
        all classes. It is not the F1 score of the mean precision and the mean recall.

    Examples
    --------
    >>> import numpy as np
    >>> logits, targets = np.asarray([2.0, 1.0, -3.0, -1.0]), np.asarray([1, 0, 1, 1])
    >>> round(float(f1(logits, targets)), 3)
    0.4
    """
    counts = _Counts.of("f1", outputs, targets, average, threshold, ignore_index)
    return counts.averaged(2.0 * counts.right, counts.predicted + counts.actual)


def _of_classes(
    name: str, outputs: Array, targets: Array, threshold: float, ignore_index: int | None
) -> tuple[Any, Array, Array, Array]:
    """Return the namespace, the outputs ``(samples, classes)``, and the predicted and true classes.

    Both classes of a sample with an ignored label are -1.
    """
    expect_one_array(name, outputs, targets)
    xp, outputs = as_outputs(outputs)
    if outputs.ndim == 1 or outputs.shape[1:] == (1,):
        # Turn a single output into two outputs: the threshold for class 0, and the output for class
        # 1.
        xp, outputs, targets = fitting_targets(name, outputs, targets)
        outputs = xp.reshape(outputs, (-1,))
        targets = xp.astype(xp.reshape(targets, (-1,)), outputs.dtype)
        check_two_classes(xp, targets)
        targets = targets > 0.5
        outputs = xp.stack([xp.full_like(outputs, threshold), outputs], axis=1)
    xp, outputs, actual = labelled(name, outputs, targets, ignore_index=ignore_index)
    predicted = xp.where(actual < 0, -1, predicted_classes(xp, outputs))
    return xp, outputs, predicted, actual


def _occurrences(xp: Any, numbers: Array, count: int) -> Array:
    """Count how often each integer from 0 to ``count - 1`` occurs in `numbers`."""
    ordered, each = xp.sort(numbers), xp.arange(count, dtype=xp.int64, device=numbers.device)
    above = xp.searchsorted(ordered, each, side="right")
    return xp.astype(above - xp.searchsorted(ordered, each, side="left"), xp.int64)


@dataclass
class _Counts:
    """Three counts per class, in float64: correct predictions, all predictions, and all samples."""

    xp: Any
    dtype: Any  # the dtype of the result
    average: str
    right: Array
    predicted: Array
    actual: Array

    @classmethod
    def of(
        cls,
        name: str,
        outputs: Array,
        targets: Array,
        average: str,
        threshold: float,
        ignore_index: int | None,
    ) -> _Counts:
        if average not in _AVERAGES:
            raise ValueError(
                f"{name}: expected average to be one of {_AVERAGES}, found {average!r}"
            )
        xp, outputs, predicted, actual = _of_classes(
            name, outputs, targets, threshold, ignore_index
        )
        classes = outputs.shape[1]
        if average == "auto":
            average = "binary" if classes == 2 else "macro"
        if average == "binary" and classes != 2:
            raise ValueError(f"{name}: average='binary' is for two classes, found {classes}")
        right = xp.where(actual == predicted, actual, -1)
        counts = (_occurrences(xp, labels, classes) for labels in (right, predicted, actual))
        return cls(xp, outputs.dtype, average, *(xp.astype(n, xp.float64) for n in counts))

    def averaged(self, part: Array, whole: Array) -> Array:
        """Average ``part / whole`` over the classes."""
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
    """Return ``part / whole``, or 0 where both are 0. `whole` must hold integer counts."""
    return part / xp.maximum(whole, 1.0)
