"""A training step: forward pass, backward pass and update of the weights."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import numpy as np
from array_api_compat import is_array_api_obj

from ..backends.conversion import on_host
from ..data.augmentation import Augmentation
from ..errors import DivergenceError, ShapeError, shown
from ..forms import each, first, named, rows
from ..layers import Sequential
from ..losses import Loss
from ..optimizers import Optimizer
from ..types import Array, Arrays
from .sample_means import SampleMeans

_AUGMENTATION = 2  # makes these random numbers independent of other uses of the seed


class Penalty(Protocol):
    """A penalty that is added to the summed loss of a batch."""

    def value(self) -> Any:
        """Return the value of the penalty."""

    def add_gradient(self, factor: Any) -> None:
        """Add the penalty's gradient times `factor`. A step calls this after the backward pass."""


class NotFinite(Exception):  # noqa: N818  (the loop catches it, so users never see it)
    """The loss of a batch is NaN or infinite. `x` are the inputs before augmentation."""

    def __init__(self, value: float, x: Array, y: Array) -> None:
        self.value, self.x, self.y = value, x, y


@dataclass(frozen=True)
class Step:
    """A function that runs one training step with a batch.

    If an error occurs, the step restores the buffers and the mask counter, and marks the gradients
    as stale. The weights are then unchanged, unless the optimizer was interrupted during the
    update.

    Parameters
    ----------
    model, loss, optimizer
        See `Trainer`.
    means : SampleMeans
        Metrics to compute from the outputs of the step.
    penalty : Penalty or None
        A term to add to the summed loss of the batch.
    augment : callable or None
        A function that changes the inputs (see `Trainer.fit`).
    micro_batches : int
        The number of parts into which a batch is split.
    loss_on_host : bool
        Whether the loss is in host memory, so that reading it does not wait for a device.
    terminate_on_nan : bool
        If True, raise `NotFinite` for a loss in host memory that is NaN or infinite. If False, skip
        steps whose gradient is not finite.
    """

    model: Sequential
    loss: Loss
    optimizer: Optimizer
    means: SampleMeans
    penalty: Penalty | None
    augment: Augmentation | None
    micro_batches: int
    loss_on_host: bool
    terminate_on_nan: bool

    def __call__(self, x: Array, y: Array, sample_weight: Array | None = None) -> tuple[Any, ...]:
        """Run a step.

        Returns
        -------
        loss, total_weight : float or array
            The loss of the batch, and the weight of the batch in the mean over the epoch.
        *sums : float or array
            The results of `SampleMeans.sums`.
        """
        state = self.model.state
        draws, buffers = state.draws, state.snapshot("buffers")
        measured: tuple[Any, ...] = ()
        try:
            measured = self.loss_and_gradient(x, y, sample_weight)
            self.update()
        except BaseException as error:  # the step was not completed
            state.draws = draws
            state.restore(buffers)
            state.zero_grad()
            of_optimizer = measured and isinstance(error, DivergenceError)
            if self.terminate_on_nan or not of_optimizer:
                raise
        return measured

    def update(self) -> None:
        """Update the weights."""
        self.optimizer.step()

    def augmented(self, x: Array) -> Array:
        """Return the augmented inputs of this step."""
        if self.augment is None:
            return x
        x = each(partial(self.model.xp.asarray, copy=True), x)  # `x` can be the user's own array
        changed = self.augment(x, self._generator())
        expect_same_form(changed, x)
        return changed

    def _generator(self, *more: int) -> np.random.Generator:
        """Return the random generator of the augmentation in this step."""
        key = [self.model.state.seed, _AUGMENTATION, self.optimizer.steps, *more]
        return np.random.default_rng(key)

    def loss_and_gradient(
        self, x: Array, y: Array, sample_weight: Array | None = None
    ) -> tuple[Any, ...]:
        """Run a step, but do not update the weights. After an error, nothing is restored."""
        if self.micro_batches > 1:
            parts = _parts(self.micro_batches, self.augmented(x), y, sample_weight)
            samples = first(x).shape[0]
            loss, *others = accumulate(
                self.model, self.loss, parts, samples, self.penalty, self.means
            )
            return self._checked(loss, x, y), *self._on_host(others)
        self.model.zero_grad()  # a callback may have left gradients
        outputs, back_through_model = self.model.forward(self.augmented(x), training=True)
        loss_sum, total_weight, back_through_loss = self.loss.sums(
            outputs, y, sample_weight=sample_weight
        )
        if self.penalty is not None:
            loss_sum = loss_sum + self.penalty.value()
        scale = self.loss.scale(total_weight)
        loss = self._checked(loss_sum * scale, x, y)
        sums = self._on_host(self.means.sums(self.model.backend, outputs, y, sample_weight))
        back_through_model(back_through_loss(scale))
        if self.penalty is not None:
            self.penalty.add_gradient(scale)
        return loss, total_weight, *sums

    def _on_host(self, numbers: Iterable[Any]) -> Iterable[Any]:
        """Convert numbers to floats if they are in host memory."""
        return map(float, numbers) if self.loss_on_host else numbers

    def _checked(self, loss: Any, x: Array, y: Array) -> Any:
        """If the loss is in host memory, convert it to a float and check it."""
        if not self.loss_on_host:
            self.model.backend.expect_norm(loss)
            return loss
        loss = float(loss)
        if self.terminate_on_nan and not math.isfinite(loss):
            raise NotFinite(loss, x, y)
        return loss


def accumulate(
    model: Sequential,
    loss: Loss,
    parts: Iterable[tuple[Array, ...]],
    samples: int,
    penalty: Penalty | None,
    means: SampleMeans,
    add_up: Callable[[list[Any]], list[Any]] = list,
) -> tuple[Any, ...]:
    """Process a large batch in parts, and accumulate the gradient of the batch.

    Parameters
    ----------
    model, loss, penalty, means
        See `Step`.
    parts : iterable of tuple
        Inputs, targets and optional weights.
    samples : int
        The number of samples in all parts, on all processes together.
    add_up : callable, optional
        A function that takes the loss, the weight and the sums of metrics of all parts. If several
        processes share a batch, the function adds up these numbers and the gradients over all
        processes.

    Returns
    -------
    loss : float or array
        The loss of the whole batch.
    total_weight : float or array
        The sum of the sample weights or, without weights, the number of samples.
    *sums : float or array
        The results of `SampleMeans.sums`, summed over the parts.
    """
    model.zero_grad()  # a callback may have left gradients
    # The total weight is known only at the end. Scale the gradient of the loss as if all weights
    # were 1, which takes less time than scaling the gradients of all parameters.
    unweighted = loss.scale(float(samples))
    loss_sum: Any = 0.0
    total_weight: Any = 0.0
    sums: list[Any] = [0.0] * len(means)
    for x, y, *weights in parts:
        weight = weights[0] if weights else None
        outputs, back_through_model = model.forward(x, training=True)
        of_part, weight_of_part, back_through_loss = loss.sums(outputs, y, sample_weight=weight)
        more = means.sums(model.backend, outputs, y, weight)
        sums = [a + b for a, b in zip(sums, more, strict=True)]
        back_through_model(back_through_loss(unweighted))
        if on_host(of_part):  # in float64, because float32 sums may overflow
            of_part = model.xp.astype(of_part, model.xp.float64)
        loss_sum, total_weight = loss_sum + of_part, total_weight + weight_of_part
    loss_sum, total_weight, *sums = add_up([loss_sum, total_weight, *sums])
    if penalty is not None:
        loss_sum = loss_sum + penalty.value()
        penalty.add_gradient(unweighted)
    scale = loss.scale(total_weight)
    if not on_host(total_weight) or float(total_weight) != samples:
        model.state.grads *= scale / unweighted
    return loss_sum * scale, total_weight, *sums


def _parts(
    count: int, x: Array, y: Array, sample_weight: Array | None
) -> Iterator[tuple[Array, ...]]:
    """Split a batch into at most `count` parts of nearly equal length, none of them empty."""
    samples = first(x).shape[0]
    for start, stop in bounds(samples, min(count, samples)):
        data = (x, y) if sample_weight is None else (x, y, sample_weight)
        yield tuple(rows(array, slice(start, stop)) for array in data)


def bounds(samples: int, count: int) -> Iterator[tuple[int, int]]:
    """Yield the first sample and the end of each part, for parts of nearly equal length."""
    return itertools.pairwise(i * samples // count for i in range(count + 1))


def expect_same_form(changed: Arrays, x: Arrays) -> None:
    """Raise an error unless augmented inputs have the same form and number of samples as `x`."""
    arrays, samples = named("augment", changed), first(x).shape[0]
    same = arrays.keys() == named("augment", x).keys()
    if not (same and all(map(is_array_api_obj, arrays.values()))):
        raise TypeError(
            f"augment: expected changed inputs in the same form as {shown(x)}, "
            f"found {shown(changed)}"
        )
    for name, array in arrays.items():
        if array.shape[:1] != (samples,):
            raise ShapeError(
                f"{name}: expected {samples} samples as in the inputs, found an array of shape "
                f"{tuple(array.shape)}"
            )
