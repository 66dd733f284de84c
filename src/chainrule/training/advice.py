"""Warnings about models and data that are valid, but unlikely to train well."""

from __future__ import annotations

import itertools
import math
import warnings
from collections.abc import Iterator

import numpy as np

from ..backends.conversion import on_host
from ..data import Batches, BatchStream
from ..data.moving import to_device
from ..forms import several
from ..layers import (
    BatchNorm,
    Dropout,
    Flatten,
    GroupNorm,
    Identity,
    Layer,
    LayerNorm,
    Linear,
    LogSoftmax,
    Sequential,
    Sigmoid,
    Softmax,
)
from ..layers.convolution import Convolution
from ..layers.recurrence import Recurrent
from ..losses import Loss
from ..types import Array

_LARGE = 30.0  # inputs with a root mean square above this number cause a warning
_ROWS, _ELEMENTS = 1000, 2**20  # examine at most this many rows and elements
_NORMS = BatchNorm | LayerNorm | GroupNorm
_PASSING = (Identity, Flatten, Dropout)  # layers that do not change probabilities


def advise(model: Sequential, loss: Loss, batches: Batches | BatchStream) -> None:
    """Warn if training is unlikely to work well. `Trainer.fit` calls this function."""
    found = [about_parameters(model), about_last_layer(model, loss)]
    if isinstance(batches, Batches) and not several(batches.arrays[0]):
        found.append(about_scale(model, batches.arrays[0]))
    for message in filter(None, found):
        warnings.warn(message, UserWarning, stacklevel=3)


def about_parameters(model: Sequential) -> str | None:
    """Return a warning if all parameters are frozen, so that no step changes the model."""
    if model.trainable or not model.parameters():
        return None
    return "all parameters are frozen, so training changes nothing: call model.unfreeze()"


def about_last_layer(model: Sequential, loss: Loss) -> str | None:
    """Return a warning if a loss that expects logits follows a `Softmax` or `Sigmoid` layer."""
    if type(model).forward is not Sequential.forward:
        return None
    last = [layer for layer in _leaves(model) if not isinstance(layer, _PASSING)][-1:]
    for outputs, layers in (("logits", Softmax | LogSoftmax), ("binary logits", Sigmoid)):
        if loss.outputs == outputs and last and isinstance(last[0], layers):
            return (
                f"{last[0]!r} at the end of the model repeats part of {type(loss).__name__}, which "
                "takes logits. Remove this layer: it makes training slower and less accurate"
            )
    return None


def about_scale(model: Sequential, x: Array) -> str | None:
    """Return a warning if the inputs of the first trained layer are far above unit scale.

    The layer may be a `Linear`, a convolution or a recurrent layer. Its inputs are computed from
    part of `x`. There is no warning if the model is not in host memory, or if a normalisation layer
    or another trained layer comes first.

    Parameters
    ----------
    model : Sequential
        The model.
    x : array
        The training inputs, as returned by `chainrule.training.checking.move_checked`.
    """
    state = model.state
    if not on_host(state.values) or type(model).forward is not Sequential.forward:
        return None
    rows = min(x.shape[0], _ROWS, max(1, _ELEMENTS // math.prod(x.shape[1:])))
    x = model.enter(to_device(state.backend, x[:rows, ...]))
    leaves = [*_leaves(model)]
    for layer, following in itertools.zip_longest(leaves, leaves[1:]):
        if isinstance(layer, Linear | Convolution | Recurrent) and layer.trainable:
            if isinstance(following, _NORMS):
                return None
            rms = _root_mean_square(state.backend.to_numpy(x))
            if not math.isfinite(rms):
                return (
                    f"the inputs of {layer._label()}, contain NaN or infinity, although the data "
                    "does not: check the layers before it"
                )
            if rms <= _LARGE:
                return None
            return (
                f"the inputs of {layer._label()}, have a root mean square of {rms:.3g}, so "
                "training may be slow or diverge. Scale the inputs: for images from "
                "0 to 255, add cr.Rescaling(1 / 255) as the first layer; for other data, "
                "standardise each column to mean 0 and standard deviation 1"
            )
        if layer.trainable or isinstance(layer, _NORMS):
            return None
        if type(layer) not in Layer.built_in.values():
            return None
        x = layer.forward(x)[0]
    return None


def _leaves(model: Sequential) -> Iterator[Layer]:
    """Yield the layers in order, including the layers of nested `Sequential` models."""
    for layer in model:
        if type(layer).forward is Sequential.forward:
            yield from _leaves(layer)  # type: ignore[arg-type]
        else:
            yield layer


def _root_mean_square(x: np.ndarray) -> float:
    """Return the root mean square, computed without overflow."""
    largest = float(np.max(np.abs(x)))
    if not 0.0 < largest < math.inf:
        return largest
    return largest * math.sqrt(np.mean((x / largest) ** 2))
