"""The loss and the metrics of a model on some data."""

from __future__ import annotations

from collections.abc import Iterable

from ..metrics import Metric


def named_metrics(metrics: dict[str, Metric] | Iterable[Metric]) -> dict[str, Metric]:
    """Metrics by name, each of its own name and callable."""
    if not isinstance(metrics, dict):
        pairs = [(getattr(m, "__name__", type(m).__name__), m) for m in metrics]
        metrics = dict(pairs)
        if len(metrics) < len(pairs):
            raise ValueError("expected metrics of different names: give them as a dict")
    for name, metric in metrics.items():
        if not callable(metric):
            raise TypeError(f"expected metrics that are functions, found {name!r}: {metric!r}")
        if name == "loss":
            raise ValueError("a metric cannot be called 'loss': that is the loss itself")
    return metrics
