"""Training metrics, computed from the outputs of the training steps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..losses.base import times
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
    ignore_index : int, optional
        The ``ignore_index`` of the loss: samples with this label are left out.
    """

    def __init__(self, metrics: Mapping[str, Metric], ignore_index: int | None = None) -> None:
        functions: dict[str, Any] = {n: getattr(m, "func", m) for n, m in metrics.items()}
        self.names = [name for name, f in functions.items() if hasattr(f, "per_sample")]
        self.ignore_index = ignore_index
        self._values = [functions[name].per_sample for name in self.names]
        self._unchecked = {name: metrics[name] for name in self.names}

    def __len__(self) -> int:
        """The length of `sums`."""
        return len(self.names) + 1 if self.names else 0

    def sums(
        self, xp: Any, outputs: Array, targets: Array, sample_weight: Array | None = None
    ) -> tuple[Any, ...]:
        """Return the weight of a batch, and the weighted sum of each metric over its samples.

        Returns
        -------
        tuple of float or array
            Floats, or 0-d arrays with the dtype of the outputs. Empty if there are no metrics.
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
        if self.ignore_index is not None and targets.ndim == 1:
            present = xp.astype(targets != self.ignore_index, dtype)
            weight = present if weight is None else weight * present
        sums = [_sum(xp, values(xp, outputs, targets), weight, dtype) for values in self._values]
        return total if weight is None else xp.sum(weight), *sums


def _sum(xp: Any, values: Array, weight: Array | None, dtype: Any) -> Array:
    """Sum `values` over the samples; take the mean first if a sample has several values."""
    if weight is None and values.dtype == xp.bool:  # counting is three times as fast as summing
        total = xp.astype(xp.count_nonzero(values), dtype)
    else:
        values = xp.astype(values, dtype)
        if weight is not None:
            values = times(xp, values, weight[:, None] if values.ndim > 1 else weight)
        total = xp.sum(values)
    return total / values.shape[1] if values.ndim > 1 else total
