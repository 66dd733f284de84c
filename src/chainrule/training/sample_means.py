"""Training metrics: metrics computed from the outputs of the training steps."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial
from typing import Any

from ..backends import Backend
from ..backends.base import kernel
from ..errors import ShapeError, report_writing, shown
from ..forms import each, first
from ..formulas import count
from ..losses.base import along, total
from ..metrics import Metric
from ..types import Array


class SampleMeans:
    """Computes sums over each training batch, for metrics that are means over samples.

    A metric that is a mean over samples has a function ``per_sample(xp, outputs, targets)``. The
    function returns an array of numbers or booleans, ``(samples,)`` or ``(samples, outputs)``. It
    must not copy values to the host. It need not check its arguments, because the metric itself is
    called on the first batch to check them.

    Parameters
    ----------
    metrics : mapping of str to callable
        The metrics of a `Trainer`. Metrics that are not means over samples are ignored.
    """

    def __init__(self, metrics: Mapping[str, Metric]) -> None:
        found = {name: _per_sample(metric) for name, metric in metrics.items()}
        means = {name: mean for name, mean in found.items() if mean is not None}
        self.names = list(means)
        self._means = list(means.values())
        self._unchecked = {name: metrics[name] for name in self.names}
        modules = [str(getattr(mean, "__module__", "")) for mean, _ in self._means]
        # A custom metric may write to its arguments.
        self._may_write = not all(module.startswith("chainrule.") for module in modules)

    def __len__(self) -> int:
        """Return the length of the tuple that `sums` returns."""
        return 2 * len(self.names)

    def sums(
        self, backend: Backend, outputs: Array, targets: Array, sample_weight: Array | None = None
    ) -> tuple[Any, ...]:
        """Return two numbers for each metric: the weight of the batch, and the weighted sum.

        Returns
        -------
        tuple of float or array
            Floats or 0-d arrays.
        """
        if not self.names:
            return ()
        xp, one = backend.xp, first(outputs)
        if self._unchecked or self._may_write:
            outputs, targets = each(backend.read_only, outputs), each(backend.read_only, targets)
        for name, metric in self._unchecked.items():
            computed(name, metric, outputs, targets)
        self._unchecked = {}
        dtype, sums = one.dtype, list[Any]()
        for name, (per_sample, ignored) in zip(self.names, self._means, strict=True):
            values = per_sample(xp, outputs, targets)
            if getattr(values, "shape", ())[:1] != one.shape[:1]:
                raise ShapeError(
                    f"metric {name!r}: expected per_sample to return one value for each of the "
                    f"{one.shape[0]} samples, found {shown(values)}"
                )
            weight = None if sample_weight is None else xp.astype(sample_weight, dtype)
            if ignored is not None and targets.ndim < outputs.ndim:
                present = xp.astype(targets != ignored, dtype)
                weight = present if weight is None else along(weight, present) * present
            if weight is not None and weight.shape != values.shape[: weight.ndim]:
                raise ShapeError(
                    f"metric {name!r}: expected per_sample to return one value for each of the "
                    f"weights of shape {tuple(weight.shape)}, found {shown(values)}"
                )
            sums.append(float(one.shape[0]) if weight is None else xp.sum(weight))
            sums.append(_sum(xp, values, weight, dtype))
        return tuple(sums)

    def means(
        self, backend: Backend, outputs: Array, targets: Array, sample_weight: Array
    ) -> dict[str, Array]:
        """Return the weighted mean of each metric, or 0 if all samples are ignored."""
        xp, sums = backend.xp, self.sums(backend, outputs, targets, sample_weight)
        pairs = zip(self.names, sums[::2], sums[1::2], strict=True)
        return {
            name: xp.where(total > 0.0, of_metric / xp.where(total > 0.0, total, 1.0), 0.0)
            for name, total, of_metric in pairs
        }


def computed(name: str, metric: Metric, outputs: Array, targets: Array) -> Any:
    """Compute a metric. Add the metric's name to any error that it raises."""
    try:
        return metric(outputs, targets)
    except Exception as error:
        report_writing(f"metric {name!r}", error)
        error.add_note(f"(in the metric {name!r})")
        raise


def _per_sample(metric: Any) -> tuple[Any, int | None] | None:
    """Return a metric's `per_sample` and the label to ignore, or None if it has no `per_sample`."""
    ignored = getattr(metric, "ignore_index", None)
    if isinstance(metric, partial) and not metric.args and {*metric.keywords} == {"ignore_index"}:
        metric, ignored = metric.func, metric.keywords["ignore_index"]
    return (metric.per_sample, ignored) if hasattr(metric, "per_sample") else None


def _sum(xp: Any, values: Array, weight: Array | None, dtype: Any) -> Array:
    """Average the values that share a weight, and return the weighted sum of these averages."""
    outputs = math.prod(values.shape[1 if weight is None else weight.ndim :])
    if weight is None and values.dtype == xp.bool:  # counting is faster than summing
        of_batch = kernel(xp, count)(values, dtype)
    else:
        values = xp.astype(values, dtype)
        of_batch = total(xp, values, weight)
    return of_batch if outputs == 1 else of_batch / outputs
