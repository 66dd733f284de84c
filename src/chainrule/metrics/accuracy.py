"""Accuracy: the share of samples that are predicted correctly."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from ..backends.base import kernel
from ..checks import whole
from ..errors import ShapeError
from ..formulas import predicted
from ..types import Array
from .base import (
    check_two_classes,
    fitting_targets,
    higher_is_better,
    labelled,
    predicted_classes,
    share,
)

# Some metrics are classes instead of functions, so that they can be compared, copied and printed.
# ruff: noqa: N801


@higher_is_better
def accuracy(outputs: Array, targets: Array, *, ignore_index: int | None = None) -> Array:
    """Share of samples whose largest output belongs to the correct class.

    Parameters
    ----------
    outputs : array
        Logits or probabilities, ``(samples, classes)``. If there are more axes, such as
        ``(samples, time, classes)``, each position along the extra axes counts as one sample.
    targets : array
        Labels ``(samples, ...)``, or rows with the shape of the outputs. Each row is a probability
        distribution, and often one-hot. The largest entry marks the correct class.
    ignore_index : int, optional
        Samples with this label are not counted. If no samples remain, the accuracy is 0. The
        default metrics of a `Trainer` use the `ignore_index` of its `CrossEntropyLoss`. In a list
        of metrics, use ``functools.partial(accuracy, ignore_index=-100)``.

    Returns
    -------
    array
        The accuracy, as a 0-d array. See `chainrule.metrics` for the dtype.

    Raises
    ------
    ShapeError
        If there are fewer than two classes, or if the shape of the targets does not match.
    DataError
        If targets in host memory contain labels out of range, or rows that do not sum to 1.

    Examples
    --------
    >>> import numpy as np
    >>> float(accuracy(np.asarray([[0.1, 0.9], [0.8, 0.2]]), np.asarray([1, 1])))
    0.5
    """
    xp, outputs, labels = labelled("accuracy", outputs, targets, ignore_index=ignore_index)
    among = None if ignore_index is None else labels >= 0
    return share(xp, predicted_classes(xp, outputs) == labels, outputs.dtype, among=among)


def _right(xp: Any, outputs: Array, targets: Array) -> Array:
    """Return, for each sample, whether the prediction is correct."""
    return kernel(xp, predicted)(outputs, _labels(xp, outputs, targets))


accuracy.per_sample = _right  # type: ignore[attr-defined]


def _labels(xp: Any, outputs: Array, targets: Array) -> Array:
    """Return the targets as labels. Rows, such as one-hot rows, are converted to labels."""
    if targets.ndim < outputs.ndim:
        return targets
    return xp.argmax(xp.astype(targets, outputs.dtype), axis=-1)


@dataclass(frozen=True)
class binary_accuracy:
    """Share of outputs that predict the correct class, for binary or multi-label classification.

    Parameters
    ----------
    threshold : float
        Outputs above this value predict class 1, and all other outputs predict class 0. Use 0 for
        logits and 0.5 for probabilities. Targets above 0.5 mean class 1.

    Examples
    --------
    >>> import numpy as np
    >>> float(binary_accuracy(0.0)(np.asarray([[2.0], [-1.0]]), np.asarray([[1.0], [1.0]])))
    0.5
    """

    threshold: float
    higher_is_better: ClassVar[bool] = True

    def __call__(self, outputs: Array, targets: Array) -> Array:
        xp, outputs, targets = fitting_targets("binary_accuracy", outputs, targets)
        targets = xp.astype(targets, outputs.dtype)
        check_two_classes(xp, targets)
        right = self.per_sample(xp, outputs, targets)
        return share(xp, right & ~xp.isnan(outputs), outputs.dtype)

    def per_sample(self, xp: Any, outputs: Array, targets: Array) -> Array:
        """Return, for each output, whether the prediction is correct."""
        return (outputs > self.threshold) == (xp.astype(targets, outputs.dtype) > 0.5)


@dataclass(frozen=True)
class top_k_accuracy:
    """Share of samples whose correct class has one of the `k` largest outputs.

    If two outputs are equal, the class with the lower index ranks higher. If all outputs of a
    sample are equal, the sample therefore counts as correct only if its class is one of the first
    `k`. With `k` = 1, this metric equals `accuracy`.

    Parameters
    ----------
    k : int
        The number of largest outputs to consider, at least 1. The name of the metric contains `k`,
        as in ``top_2_accuracy``.
    ignore_index : int, optional
        See `accuracy`.

    Raises
    ------
    ShapeError
        When called, if there are `k` classes or fewer, or if the shape of the targets does not
        match.

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
    ignore_index: int | None = None
    higher_is_better: ClassVar[bool] = True

    def __post_init__(self) -> None:
        whole("k", self.k, least=1)

    @property
    def __name__(self) -> str:
        return f"top_{self.k}_accuracy"

    def __call__(self, outputs: Array, targets: Array) -> Array:
        name = self.__name__
        ignored = self.ignore_index
        xp, outputs, labels = labelled(name, outputs, targets, ignore_index=ignored)
        if self.k >= (classes := outputs.shape[1]):
            raise ShapeError(f"{name}: expected more than {self.k} classes, found {classes}")
        among = None if ignored is None else labels >= 0
        return share(xp, self.per_sample(xp, outputs, labels), outputs.dtype, among=among)

    def per_sample(self, xp: Any, outputs: Array, targets: Array) -> Array:
        """Return, for each sample, whether the prediction is correct."""
        labels = xp.astype(_labels(xp, outputs, targets), xp.int64)[..., None]
        classes = outputs.shape[-1]
        if self.ignore_index is not None:  # an ignored label need not be a class
            labels = xp.where((labels >= 0) & (labels < classes), labels, 0)
        own = xp.take_along_axis(outputs, labels, axis=-1)
        after = xp.arange(classes, dtype=labels.dtype, device=outputs.device) > labels
        # Count the outputs that rank below `own`. If `own` is NaN, this count is 0, so the sample
        # counts as wrong.
        beaten = (own > outputs) | ((own == outputs) & after)
        return xp.sum(xp.astype(beaten, labels.dtype), axis=-1) >= classes - self.k
