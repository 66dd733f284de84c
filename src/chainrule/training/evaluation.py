"""Evaluate the loss and the metrics of a model, and read numbers from a device."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from numbers import Real
from typing import Any

import numpy as np
from array_api_compat import array_namespace, is_array_api_obj

from .. import metrics as metrics_module
from ..backends.conversion import to_numpy
from ..checks import is_function
from ..data.moving import to_device
from ..errors import ShapeError, blaming, shown, what_is_meant
from ..forms import each, first, rows
from ..layers import Sequential
from ..losses import Loss
from ..metrics import Metric
from ..model_state import ModelState
from ..types import Array, Arrays
from .ranks import OneRank, Ranks, bounds_of
from .sample_means import SampleMeans, computed

_TRIED = 64  # before training, the metrics are tried on this number of samples


def measure(
    model: Sequential,
    loss: Loss,
    metrics: Mapping[str, Metric],
    data: tuple[Array, ...],
    *,
    batch_size: int = 1024,
    ranks: Ranks | None = None,
) -> dict[str, Any]:
    """Compute the loss and the metrics over all samples. The results stay on the device.

    As in training, sample weights apply to the loss and to metrics that are means over samples.

    Parameters
    ----------
    model, loss, metrics
        See `Trainer`.
    data : tuple of array
        Inputs, targets and optional weights, as returned by `chainrule.training.checking`.
    batch_size : int, optional
        The number of samples in each forward pass.
    ranks : Ranks, optional
        The processes that share the forward passes.
    """
    x, y, *weight = data
    backend = model.backend
    outputs = _outputs(model, x, batch_size, ranks or OneRank())
    # Use read-only views, because a metric could change the outputs or the user's targets.
    outputs, y = (each(backend.read_only, arrays) for arrays in (outputs, to_device(backend, y)))
    numbers = {"loss": loss(outputs, y, sample_weight=weight[0] if weight else None)[0]}
    for name, metric in metrics.items():
        numbers[name] = computed(name, metric, outputs, y)
        _expect_number(name, numbers[name])
    if weight:
        numbers |= SampleMeans(metrics).means(backend, outputs, y, weight[0])
    return numbers


def _outputs(model: Sequential, x: Arrays, batch_size: int, ranks: Ranks) -> Arrays:
    """Return the outputs of the model. Each rank computes the outputs of some of the samples."""
    xp, samples = model.xp, first(x).shape[0]
    start, stop = bounds_of(ranks, samples)
    part = rows(x, slice(start, max(stop, start + 1)))  # a forward pass needs at least one sample
    outputs = each(model.backend.asarray, model.predict(part, batch_size=batch_size))
    if ranks.size == 1:
        return outputs

    def of_all_ranks(own: Array) -> Array:
        whole = xp.zeros((samples, *own.shape[1:]), dtype=own.dtype, device=model.backend.device)
        whole[start:stop, ...] = own[: stop - start, ...]
        ranks.add_up(whole)
        return whole

    return each(of_all_ranks, outputs)


def try_metrics(
    model: Sequential, loss: Loss, metrics: Mapping[str, Metric], data: tuple[Array, ...]
) -> None:
    """Check that the metrics work on a small part of the data, before training starts.

    If a metric fails, try again on all of the data, because the small part may lack some classes.
    """
    try:
        measure(model, loss, metrics, tuple(rows(x, slice(_TRIED)) for x in data))
    except Exception:
        measure(model, loss, metrics, data)


def _expect_number(name: str, value: Any) -> None:
    """Raise an error unless the value of a metric is a number or a 0-d array."""
    message = f"metric {name!r}: expected one number, found {shown(value)}"
    if not is_array_api_obj(value):
        if not isinstance(value, Real):
            raise TypeError(message)
    elif value.ndim != 0:
        raise ShapeError(message)
    elif array_namespace(value).isdtype(value.dtype, "complex floating"):
        raise TypeError(message)
    elif isinstance(value, np.ndarray | np.generic):  # it may be masked, or a date
        with blaming(f"metric {name!r}"):
            to_numpy(value)


def read_numbers(state: ModelState, numbers: Sequence[Any]) -> list[float]:
    """Convert numbers and 0-d arrays to floats, with one transfer from the device."""
    xp, backend = state.backend.xp, state.backend
    kinds = float, Real  # checking for float first is faster
    arrays = [
        xp.asarray(number, dtype=state.dtype, device=backend.device)
        for number in numbers
        if not isinstance(number, kinds)
    ]
    read = iter(backend.to_numpy(xp.stack(arrays)).tolist() if arrays else ())
    return [float(n) if isinstance(n, kinds) else next(read) for n in numbers]


def named_metrics(metrics: Any) -> dict[str, Metric]:
    """Check that all metrics are functions with different names, and return them as a dict."""
    if isinstance(metrics, str) or not isinstance(metrics, Iterable):
        raise TypeError(f"expected a list or a dict of metrics, found {shown(metrics)}")
    if not isinstance(metrics, dict):
        metrics = [(getattr(m, "__name__", type(m).__name__), m) for m in metrics]
    named: dict[str, Metric] = dict(metrics)
    if len(named) < len(metrics):
        raise ValueError("expected metrics with different names: pass a dict from names to metrics")
    metric: Any
    for name, metric in named.items():
        if not is_function(metric):
            hint = what_is_meant(metric)
            if isinstance(metric, str):
                close = difflib.get_close_matches(metric, metrics_module.__all__, n=1, cutoff=0.5)
                hint = f": write cr.metrics.{close[0]}" if close else ": see cr.metrics"
            raise TypeError(f"expected metrics that are functions, found {shown(metric)}{hint}")
        if name in ("epoch", "loss", "lr", "seconds") or name.startswith(("val_", "lr[")):
            raise ValueError(
                f"a metric cannot have the name {name!r}: the history uses this name for a column"
            )
    return named
