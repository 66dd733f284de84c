"""One step of training: a batch goes forward, its gradient goes back, the optimizer moves."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator
from typing import Any, Protocol

import numpy as np

from ..data.augmentation import Augmentation
from ..layers import Sequential
from ..losses import Loss
from ..optimizers import Optimizer
from ..types import Array

_AUGMENTATION = 2  # keeps the streams of augmenters apart from others of the same seed


class Penalty(Protocol):
    """A term that is added to the sum of the loss over the samples of a batch."""

    def value(self) -> Any:
        """The term."""

    def add_gradient(self, factor: Any) -> None:
        """Add a multiple of its gradient to that of the loss, when all layers have theirs."""


class NotFinite(Exception):  # noqa: N818  (no error of a user's: the loop catches it)
    """The loss of a batch is NaN or infinite."""

    def __init__(self, value: float, x: Array, y: Array) -> None:
        self.value, self.x, self.y = value, x, y


class Step:
    """A function of a batch that makes a step, or, where it raises, leaves all as it was.

    Parameters
    ----------
    model, loss, optimizer
        See `Trainer`.
    penalty : Penalty, optional
        What is added to the sum of the loss over the samples.
    augment : callable, optional
        Changes the inputs.
    micro_batches : int, optional
        In how many parts a batch goes through the model.
    readable : bool, optional
        Whether the loss is in host memory, where it is read at once.
    terminate_on_nan : bool, optional
        Whether to raise `NotFinite` where the loss that is read is NaN or infinite.
    """

    def __init__(
        self,
        model: Sequential,
        loss: Loss,
        optimizer: Optimizer,
        *,
        penalty: Penalty | None = None,
        augment: Augmentation | None = None,
        micro_batches: int = 1,
        readable: bool = False,
        terminate_on_nan: bool = True,
    ) -> None:
        self.model = model
        self.loss = loss
        self.optimizer = optimizer
        self.penalty = penalty
        self.augment = augment
        self.micro_batches = micro_batches
        self.readable = readable
        self.terminate_on_nan = terminate_on_nan

    def __call__(self, x: Array, y: Array, weight: Array | None = None) -> tuple[Any, Any]:
        """The loss of the batch, and its weight in the mean of an epoch."""
        x, state = self.augmented(x), self.model.state
        draws, buffers = state.draws, state.snapshot("buffers")
        try:
            value, total = self.gradient(x, y, weight)
        except BaseException:  # the step has not been done
            state.draws = draws
            state.restore(buffers)
            raise
        self.optimizer.step()
        return value, total

    def augmented(self, x: Array) -> Array:
        """The inputs as they go into this step."""
        if self.augment is None:
            return x
        key = [self.model.state.seed, _AUGMENTATION, self.optimizer.steps]
        return self.augment(x, np.random.default_rng(key))

    def gradient(self, x: Array, y: Array, weight: Array | None = None) -> tuple[Any, Any]:
        """A step without the optimizer's part; a failure leaves traces."""
        if self.micro_batches > 1:
            parts = _parts(self.micro_batches, x, y, weight)
            value, total = accumulate(self.model, self.loss, parts, self.penalty)
            return self._checked(value, x, y), total
        outputs, back_through_model = self.model.forward(x, training=True)
        value, total, back_through_loss = self.loss.sums(outputs, y, sample_weight=weight)
        scale = self.loss.scale(total)
        value = self._checked(value * scale, x, y)
        back_through_model(back_through_loss(scale))
        if self.penalty is not None:
            value = value + self.penalty.value() * scale
            self.penalty.add_gradient(scale)
        return value, total

    def _checked(self, value: Any, x: Array, y: Array) -> Any:
        """The loss as a number, if it can be read without waiting; it is then finite."""
        if not self.readable:
            return value
        value = float(value)
        if self.terminate_on_nan and not math.isfinite(value):
            raise NotFinite(value, x, y)
        return value


def accumulate(
    model: Sequential, loss: Loss, parts: Iterable[tuple[Array, ...]], penalty: Penalty | None
) -> tuple[Any, Any]:
    """Give a model the gradient of data that goes through it in parts, as of one large batch.

    Parameters
    ----------
    model, loss, penalty
        See `Step`.
    parts : iterable of tuple
        Inputs, targets and, if there are any, weights.

    Returns
    -------
    value : float or array
        The loss of all of the data.
    total : float or array
        Its total weight.
    """
    value: Any = 0.0
    total: Any = 0.0
    for x, y, *weight in parts:
        outputs, back_through_model = model.forward(x, training=True)
        part, count, back_through_loss = loss.sums(
            outputs, y, sample_weight=weight[0] if weight else None
        )
        back_through_model(back_through_loss(1.0))
        value, total = value + part, total + count
    scale = loss.scale(total)
    model.state.settle_grads()
    if penalty is not None:
        value = value + penalty.value()
        penalty.add_gradient(1.0)
    model.state.grads *= scale
    return value * scale, total


def _parts(count: int, x: Array, y: Array, weight: Array | None) -> Iterator[tuple[Array, ...]]:
    """A batch in so many parts of nearly equal size, or in single samples."""
    samples, count = x.shape[0], min(count, x.shape[0])
    for start, stop in itertools.pairwise(i * samples // count for i in range(count + 1)):
        part = x[start:stop, ...], y[start:stop, ...]
        yield part if weight is None else (*part, weight[start:stop])
