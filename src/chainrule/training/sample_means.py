"""Metrics of the training steps, from the outputs that the steps compute anyway."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..losses.base import times
from ..metrics import Metric
from ..types import Array


class SampleMeans:
    """The metrics that are means over samples, summed over the training steps.

    Such a metric has a function ``per_sample(xp, outputs, targets)``, which returns a number or a
    boolean for each sample, or for each output ``(samples, outputs)``. It must not read from the
    device, and need not check its arguments: the metric itself checks those of the first batch.

    Parameters
    ----------
    metrics : mapping of str to callable
        The metrics of a `Trainer`; those that are not means are ignored.
    """

    def __init__(self, metrics: Mapping[str, Metric]) -> None:
        means: dict[str, Any] = {n: m for n, m in metrics.items() if hasattr(m, "per_sample")}
        self.names = list(means)
        self._values = [metric.per_sample for metric in means.values()]
        self._unchecked = means

    def __len__(self) -> int:
        """The length of `sums`."""
        return len(self.names) + 1 if self.names else 0

    def sums(
        self, xp: Any, outputs: Array, targets: Array, sample_weight: Array | None = None
    ) -> tuple[Any, ...]:
        """The weight of a batch, and the weighted sum over its samples of each metric.

        Returns
        -------
        tuple of float or array
            Each is a float or 0-d, of the outputs' dtype. Empty if there are no metrics.
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
        dtype, total = outputs.dtype, float(outputs.shape[0])
        weight = None if sample_weight is None else xp.astype(sample_weight, dtype)
        sums = [_sum(xp, values(xp, outputs, targets), weight, dtype) for values in self._values]
        return total if weight is None else xp.sum(weight), *sums


def _sum(xp: Any, values: Array, weight: Array | None, dtype: Any) -> Array:
    """The sum over samples of their mean values, ``(samples,)`` or ``(samples, outputs)``."""
    if weight is None and values.dtype == xp.bool:  # counting takes a third of the time of summing
        total = xp.astype(xp.count_nonzero(values), dtype)
    else:
        values = xp.astype(values, dtype)
        if weight is not None:
            values = times(xp, values, weight[:, None] if values.ndim > 1 else weight)
        total = xp.sum(values)
    return total / values.shape[1] if values.ndim > 1 else total
