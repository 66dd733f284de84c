"""Warnings about models and data that can be trained, but train badly."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator

import numpy as np

from ..backends.conversion import on_host
from ..data.moving import to_device
from ..layers import BatchNorm, Layer, LayerNorm, Linear, LogSoftmax, Sequential, Sigmoid, Softmax
from ..losses import Loss
from ..types import Array

_LARGE = 30.0  # the root mean square of inputs above which there is a warning
_ROWS, _ELEMENTS = 1000, 2**20  # of the inputs that are looked at, at most


def about_last_layer(model: Sequential, loss: Loss) -> str | None:
    """The warning that a loss of logits gets outputs of a `Softmax` or a `Sigmoid`."""
    if type(model).forward is not Sequential.forward:
        return None
    last = [*_leaves(model)][-1:]
    for outputs, layers in (("logits", Softmax | LogSoftmax), ("binary logits", Sigmoid)):
        if loss.outputs == outputs and last and isinstance(last[0], layers):
            return (
                f"the last layer, {last[0]!r}, repeats what {type(loss).__name__} does itself: the "
                "loss takes logits. Leave the layer out: with it, training is slower and less exact"
            )
    return None


def about_scale(model: Sequential, x: Array) -> str | None:
    """The warning that the first trained `Linear` gets inputs far above unit scale.

    A sample of `x` goes through the layers before it. Nothing is said where the model is on a
    device, and where something that normalises comes first, or a layer that is not known here.

    Parameters
    ----------
    model : Sequential
        The model.
    x : array
        Its inputs, as `chainrule.training.checking` moves them.
    """
    state = model.state
    if not on_host(state.values) or type(model).forward is not Sequential.forward:
        return None
    rows = min(x.shape[0], _ROWS, max(1, _ELEMENTS // math.prod(x.shape[1:])))
    x = model.enter(to_device(state.backend, x[:rows, ...]))
    leaves = [*_leaves(model)]
    for layer, following in itertools.zip_longest(leaves, leaves[1:]):
        if isinstance(layer, Linear) and layer.trainable:
            if isinstance(following, BatchNorm | LayerNorm):
                return None
            rms = _root_mean_square(state.backend.to_numpy(x))
            if rms <= _LARGE:
                return None
            return (
                f"the inputs of {layer._label()}, have a root mean square of {rms:.3g}; training "
                "works best near 1, and may be slow or diverge. Scale them: images of 0 to 255 by "
                "cr.Rescaling(1 / 255) as the first layer, other data to mean 0 and standard "
                "deviation 1 in each column"
            )
        if layer.trainable or isinstance(layer, BatchNorm | LayerNorm):
            return None
        if type(layer) not in Layer.built_in.values():
            return None
        x = layer.forward(x)[0]
    return None


def _leaves(model: Sequential) -> Iterator[Layer]:
    """The layers in the order of the data, with those of inner `Sequential`."""
    for layer in model:
        if type(layer).forward is Sequential.forward:
            yield from _leaves(layer)  # type: ignore[arg-type]
        else:
            yield layer


def _root_mean_square(x: np.ndarray) -> float:
    """The root of the mean of the squares, without overflow."""
    largest = float(np.max(np.abs(x)))
    return largest * math.sqrt(np.mean((x / largest) ** 2)) if largest > 0.0 else 0.0
