"""Training metrics, computed from the outputs of the training steps."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial
from typing import Any

from ..losses.base import times, total
from ..metrics import Metric
from ..types import Array


class SampleMeans:
    """Sums over each training batch, for the metrics that are means over samples.

    Such a metric has a function ``per_sample(xp, outputs, targets)``, which returns a number or a
    boolean for each sample, or an array ``(samples, outputs)`` of them. This function must not read
    from the device. It need not check its arguments: the metric itself is called on the first batch
    to check them.

    Parameters
    ----------
    metrics : mapping of str to callable
        The metrics of a `Trainer`; those that are not means are ignored.
    """

    def __init__(self, metrics: Mapping[str, Metric]) -> None:
        found = {name: _per_sample(metric) for name, metric in metrics.items()}
        means = {name: mean for name, mean in found.items() if mean is not None}
        self.names = list(means)
        self._means = list(means.values())
        self._unchecked = {name: metrics[name] for name in self.names}

    def __len__(self) -> int:
        """The length of `sums`."""
        return 2 * len(self.names)

    def sums(
        self, xp: Any, outputs: Array, targets: Array, sample_weight: Array | None = None
    ) -> tuple[Any, ...]:
        """Return for each metric the weight of a batch, and the weighted sum over its samples.

        Returns
        -------
        tuple of float or array
            Each is a float or 0-d.
        """
        if not self.names:
            return ()
        for name, metric in self._unchecked.items():
            try:
                metric(outputs, targets)
            except Exception as error:
                error.add_note(f"(in the metric {name!r})")
                raise
        self._unchecked = {}
        dtype, sums = outputs.dtype, list[Any]()
        for values, ignored in self._means:
            weight = None if sample_weight is None else xp.astype(sample_weight, dtype)
            if ignored is not None and targets.ndim == 1:
                present = xp.astype(targets != ignored, dtype)
                weight = present if weight is None else weight * present
            sums.append(float(outputs.shape[0]) if weight is None else xp.sum(weight))
            sums.append(_sum(xp, values(xp, outputs, targets), weight, dtype))
        return tuple(sums)


def _per_sample(metric: Any) -> tuple[Any, int | None] | None:
    """Return the `per_sample` of a metric and the label that it ignores; None if it is no mean."""
    ignored = None
    if isinstance(metric, partial) and not metric.args and {*metric.keywords} == {"ignore_index"}:
        metric, ignored = metric.func, metric.keywords["ignore_index"]
    return (metric.per_sample, ignored) if hasattr(metric, "per_sample") else None


def _sum(xp: Any, values: Array, weight: Array | None, dtype: Any) -> Array:
    """Return the sum over samples of their mean values, ``(samples, ...)``."""
    outputs = math.prod(values.shape[1:])
    if weight is None and values.dtype == xp.bool:  # counting takes a third of the time of summing
        of_batch = xp.astype(xp.count_nonzero(values), dtype)
    else:
        values = xp.astype(values, dtype)
        if weight is not None:
            values = times(xp, values, weight[(..., *(None,) * (values.ndim - 1))])
        of_batch = total(xp, values)
    return of_batch if outputs == 1 else of_batch / outputs
