"""Helpers for metrics: argument checks, exact counts, and the attribute ``higher_is_better``."""

from __future__ import annotations

from functools import partial
from typing import Any, Protocol, TypeVar

from ..backends.conversion import like, on_host
from ..checks import flag
from ..errors import DataError, ShapeError
from ..losses.checking import (
    as_labels,
    as_outputs,
    check_labels,
    check_range,
    check_sums,
    expect_one_array,
)
from ..types import Array


class Metric(Protocol):
    """A function of outputs and targets that returns a number, such as `accuracy`.

    `Trainer` takes any function of this kind.

    Examples
    --------
    >>> def largest_error(outputs, targets):
    ...     return abs(outputs - targets).max()
    >>> x = np.asarray([[0.0], [1.0]])
    >>> trainer = cr.Trainer(
    ...     cr.mlp([1, 1]), loss=cr.MSELoss(), optimizer=cr.SGD(0.1), metrics=[largest_error]
    ... )
    >>> list(trainer.evaluate(x, x))
    ['loss', 'largest_error']
    """

    def __call__(self, outputs: Array, targets: Array, /) -> Array: ...


_Marked = TypeVar("_Marked", bound=Metric)


def higher_is_better(metric: _Marked) -> _Marked:
    """Mark a metric for which higher values are better."""
    metric.higher_is_better = True  # type: ignore[attr-defined]
    return metric


def lower_is_better(metric: _Marked) -> _Marked:
    """Mark a metric as one for which lower values are better."""
    metric.higher_is_better = False  # type: ignore[attr-defined]
    return metric


def direction(metric: Metric | None) -> bool | None:
    """Return whether higher values of a metric are better, or None if the metric is not marked."""
    while isinstance(metric, partial):
        metric = metric.func
    mark = getattr(metric, "higher_is_better", None)
    return None if mark is None else flag("higher_is_better", mark)


def labelled(
    name: str, outputs: Array, targets: Array, *, ignore_index: int | None = None
) -> tuple[Any, Array, Array]:
    """Return the namespace, the outputs ``(samples, classes)``, and the targets as labels.

    If a sample has several labels, such as one for each step of a sequence, each label counts as
    one sample. Labels equal to `ignore_index` are replaced by -1.
    """
    expect_one_array(name, outputs, targets)
    xp, outputs = as_outputs(outputs)
    if outputs.ndim < 2 or outputs.shape[-1] < 2:
        hint = " (for one output, use binary_accuracy)" if outputs.shape[1:] in ((), (1,)) else ""
        raise ShapeError(
            f"{name}: expected outputs of shape (samples, ..., classes) with at least two classes, "
            f"found {tuple(outputs.shape)}{hint}"
        )
    shapes = outputs.shape[:-1], outputs.shape
    xp, outputs, targets = fitting_targets(name, outputs, targets, *shapes)
    if outputs.ndim > 2:
        targets = xp.reshape(targets, (-1, *targets.shape[outputs.ndim - 1 :]))
        outputs = xp.reshape(outputs, (-1, outputs.shape[-1]))
    if targets.ndim > 1:
        rows = xp.astype(targets, outputs.dtype)
        if on_host(targets):
            hint = " (for several labels per sample, use binary_accuracy)"
            check_sums(xp, rows, f"{name}: expected labels, or rows that sum to 1", hint)
        return xp, outputs, xp.argmax(rows, axis=-1)
    labels = as_labels(xp, targets)
    ignored = None if ignore_index is None else labels == ignore_index
    if on_host(targets):
        fractions = xp.isdtype(targets.dtype, "real floating")
        if fractions and bool(xp.any(xp.astype(labels, targets.dtype) != targets)):
            raise DataError(f"{name}: expected integer labels, found fractions")
        counted = labels if ignored is None else xp.where(ignored, 0, labels)
        check_labels(xp, counted, outputs.shape[1], f"{name}: ")
    return xp, outputs, labels if ignored is None else xp.where(ignored, -1, labels)


def fitting_targets(
    name: str, outputs: Array, targets: Array, *shapes: tuple[int, ...]
) -> tuple[Any, Array, Array]:
    """Check outputs and targets, and return the namespace and both arrays.

    The targets must have one of the given `shapes`, or by default the shape of the outputs.
    """
    expect_one_array(name, outputs, targets)
    xp, outputs = as_outputs(outputs)
    targets = like(outputs, targets)
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


def check_two_classes(xp: Any, targets: Array) -> None:
    """Raise a `DataError` if a target in host memory is below 0 or above 1."""
    if on_host(targets):
        check_range(xp, targets, 0, 1, "targets of two classes")


def predicted_classes(xp: Any, outputs: Array) -> Array:
    """Return the class with the largest output for each sample, or -1 if an output is NaN."""
    return xp.where(xp.any(xp.isnan(outputs), axis=-1), -1, xp.argmax(outputs, axis=-1))


def share(xp: Any, right: Array, dtype: Any, *, among: Array | None = None) -> Array:
    """Return the share of True values in `right`, or in the part of `right` that `among` selects.

    The counts are float64, because float32 cannot represent large counts exactly. If `among`
    selects no elements, the share is 0.
    """
    if among is None:
        return xp.astype(xp.mean(xp.astype(right, xp.float64)), dtype)
    right, total = (xp.sum(xp.astype(b, xp.float64)) for b in (right & among, among))
    return xp.astype(right / xp.maximum(total, 1.0), dtype)
