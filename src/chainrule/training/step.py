"""One step of training: a batch goes forward, its gradient goes back, the optimizer moves."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from ..data.augmentation import Augmentation
from ..losses.weights import positive
from ..types import Array

if TYPE_CHECKING:
    from .trainer import Trainer

_AUGMENTATION = 2  # keeps the streams of augmenters apart from others of the same seed


class NotFinite(Exception):  # noqa: N818  (no error of a user's: `Trainer` catches it)
    """The loss of a batch is no number.

    Parameters
    ----------
    value : float
        The loss.
    x : array
        The inputs.
    """

    def __init__(self, value: float, x: Array) -> None:
        self.value, self.x = value, x


class Step:
    """A function of a batch that makes a step, or, where it raises, leaves all as it was.

    Parameters
    ----------
    trainer : Trainer
        Whose model, loss and optimizer they are.
    augment : callable, optional
        Changes the inputs.
    micro_batches : int, optional
        In how many parts a batch goes through the model.
    readable : bool, optional
        Whether the loss is in host memory, where it is read at once.
    terminate_on_nan : bool, optional
        Whether to raise `NotFinite` where the loss that is read is no number.
    """

    def __init__(
        self,
        trainer: Trainer,
        *,
        augment: Augmentation | None = None,
        micro_batches: int = 1,
        readable: bool = False,
        terminate_on_nan: bool = True,
    ) -> None:
        self.model = trainer.model
        self.loss = trainer.loss
        self.optimizer = trainer.optimizer
        self.augment = augment
        self.micro_batches = micro_batches
        self.readable = readable
        self.terminate_on_nan = terminate_on_nan

    def __call__(self, x: Array, y: Array, weight: Array | None = None) -> tuple[Any, Any]:
        """The loss of the batch, and what the mean of an epoch weighs it by."""
        x, state = self.augmented(x), self.model.state
        draws, buffers = state.draws, state.buffers
        if buffers.shape[0]:
            buffers = self.model.xp.asarray(buffers, copy=True)
        try:
            value, total = self.gradient(x, y, weight)
        except BaseException:  # the step has not been done
            state.draws, state.buffers[...] = draws, buffers
            raise
        self.optimizer.step()
        return value, total

    def gradient(self, x: Array, y: Array, weight: Array | None = None) -> tuple[Any, Any]:
        """As a step, but without the optimizer's; a failure leaves traces."""
        if self.micro_batches > 1:
            return self._accumulate(x, y, weight)
        value, total, backward = self.forward(x, y, weight)
        backward(1.0)
        return value, total

    def augmented(self, x: Array) -> Array:
        """The inputs as they go into this step."""
        if self.augment is None:
            return x
        key = [self.model.state.seed, _AUGMENTATION, self.optimizer.steps]
        return self.augment(x, np.random.default_rng(key))

    def forward(
        self, x: Array, y: Array, weight: Array | None = None
    ) -> tuple[Any, Any, Callable[[Any], None]]:
        """The loss, the weight of its mean, and what adds a multiple of its gradient."""
        outputs, back_through_model = self.model.forward(x, training=True)
        value, back_through_loss = self.loss(outputs, y, sample_weight=weight)
        if self.readable:
            value = float(value)
            if self.terminate_on_nan and not math.isfinite(value):
                raise NotFinite(value, x)
        total = self.loss.total_weight(self.model.xp, outputs, y, weight)
        return value, total, lambda factor: back_through_model(back_through_loss(factor))

    def _accumulate(self, x: Array, y: Array, weight: Array | None) -> tuple[Any, Any]:
        """As one pass of the whole batch: the gradients of the parts' sums, over their weights."""
        samples, parts = x.shape[0], min(self.micro_batches, x.shape[0])
        summed = self.loss.reduction == "sum"
        sums: Any = 0.0
        weights: Any = 0.0
        bounds = [i * samples // parts for i in range(parts + 1)]
        for start, stop in itertools.pairwise(bounds):
            of_part = None if weight is None else weight[start:stop]
            value, total, backward = self.forward(x[start:stop, ...], y[start:stop, ...], of_part)
            factor = 1.0 if summed else total
            backward(factor)
            sums, weights = sums + value * factor, weights + total
        if summed:
            return sums, weights
        scale = 1.0 / positive(self.model.xp, weights)
        self.model.state.grads *= scale
        return sums * scale, weights
