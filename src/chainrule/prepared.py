"""Steps whose numbers are all on the device before they begin, so that one can stand for all.

A GPU can repeat a step that it has seen (a CUDA graph) without being told what to do, operation by
operation. It repeats exactly: the same kernels on the same arrays. What is not the same from step
to step, the rows of the batch, the numbers of the optimizer and the keys of the random masks, is
therefore laid down in tables for a whole epoch, and the step looks up which line is its own.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np

from .backend import Array
from .data import minibatches
from .errors import BackendError
from .keys import split_key
from .step import Step


class PreparedSteps:
    """The steps of `fit` on batches of full size, looked up and, where that can be, repeated.

    Parameters
    ----------
    step : Step
        What makes a step of a batch; its inputs are not augmented.
    batches : minibatches
        Of arrays on the device.
    """

    def __init__(self, step: Step, batches: minibatches) -> None:
        self.step = step
        self.batches = batches
        self.model = step.model
        backend, state = self.model.backend, self.model.state
        self._xp = xp = backend.xp
        self.steps = batches.samples // batches.batch_size  # those of full size
        self._made_for: Any = None
        self._weight: Any = None  # that of a batch, where all have the same
        self._expected: list[tuple[float, ...]] = []  # the lines of `_numbers`, on the host
        whole: dict[str, Any] = {"dtype": xp.int64, "device": backend.device}
        real: dict[str, Any] = {"dtype": state.dtype, "device": backend.device}
        self._line = xp.zeros((1,), **whole)
        self._lines = xp.arange(self.steps, **whole)
        self._rows = xp.zeros((self.steps, batches.batch_size), **whole)
        numbers = len(step.optimizer.numbers(step.optimizer.steps))
        self._numbers = xp.zeros((self.steps, numbers), **real)
        self._losses = xp.zeros((self.steps,), **real)
        self._weights = xp.zeros((self.steps,), **real)
        self._compile()

    def _compile(self) -> None:
        """Begin anew where model, loss or optimizer are not what they were."""
        things = repr((self.model, self.step.loss, self.step.optimizer))
        now = things, [p.trainable for p in self.model.parameters()]
        if now != self._made_for:
            self._made_for = now
            self._masks: int | None = None  # how many random masks a step draws
            self._run = self.model.backend.compile(self._look_up)

    def starting_at(self, first: int) -> Iterator[tuple[Any, ...]]:
        """An epoch without its first steps: the numbers of full steps, and the last batch."""
        self._compile()
        order = self.batches.draw_order()
        drawn = np.arange(self.batches.samples) if order is None else order
        rows = self.model.backend.asarray(drawn, dtype=self._xp.int64)
        self._rows[...] = self._xp.reshape(rows[: math.prod(self._rows.shape)], self._rows.shape)
        self._expected = []
        for i in range(first, len(self.batches)):
            if i < self.steps and self._masks is not None:
                yield (i,)
            else:  # the first step of all, and the last, smaller batch
                yield self.batches.batch(i, order, rows)

    def __call__(self, *batch: Any) -> tuple[Array, Any]:
        """Make a step: that of this number, or one on this batch."""
        state, optimizer = self.model.state, self.step.optimizer
        draws, steps = state.draws, optimizer.steps
        if len(batch) > 1:
            done = self.step(*batch)
            if self._masks is None:
                self._masks, whole = state.draws - draws, (self.steps, state.draws - draws, 2)
                device = self.model.backend.device
                self._keys = self._xp.zeros(whole, dtype=self._xp.int32, device=device)
            return done
        (i,) = batch
        if self._expected[i : i + 1] != [optimizer.numbers(steps)]:
            self._prepare(i)
        state.prepared = self
        try:
            self._run()
        except BackendError as error:  # the device cannot repeat this step: nothing was done
            message = f"compile='auto': each step is launched by itself, for {error}"
            warnings.warn(message, RuntimeWarning, stacklevel=5)
            self._run = self._look_up
            optimizer.steps, state.draws = steps, draws
            self.model.zero_grad()
            self._run()
        finally:
            state.prepared = None
        optimizer.steps, state.draws = steps + 1, draws + (self._masks or 0)
        return self._losses[i], self._weights[i] if self._weight is None else self._weight

    def _prepare(self, first: int) -> None:
        """Lay down the numbers of the steps from this one on, as the optimizer is now."""
        state, optimizer, backend = self.model.state, self.step.optimizer, self.model.backend
        left = range(self.steps - first)
        lines = [optimizer.numbers(optimizer.steps + n) for n in left]
        self._expected = [()] * first + lines
        self._numbers[first:, ...] = backend.asarray(np.asarray(lines), dtype=state.dtype)
        self._line[...] = first
        if self._masks:
            draws = range(state.draws, state.draws + len(left) * self._masks)
            keys = np.asarray([split_key(state.seed, draw) for draw in draws], dtype=np.int32)
            keys = keys.reshape(len(left), self._masks, 2)
            self._keys[first:, ...] = backend.asarray(keys)

    def _look_up(self) -> None:
        """One step, on the device's own account: nothing in here changes from step to step."""
        xp, line = self._xp, self._line
        self.numbers = xp.take(self._numbers, line, axis=0)[0, ...]
        if self._masks:
            keys = xp.take(self._keys, line, axis=0)
            self._left = iter([(keys[0, n, 0], keys[0, n, 1]) for n in range(self._masks)])
        rows = xp.take(self._rows, line, axis=0)[0, ...]
        batch = [xp.take(array, rows, axis=0) for array in self.batches.arrays]
        value, weight = self.step.gradient(*batch)
        self.step.optimizer.step()
        here = self._lines == line
        self._losses[...] = xp.where(here, value, self._losses)
        self._weight = weight if isinstance(weight, float) else None
        if self._weight is None:
            self._weights[...] = xp.where(here, weight, self._weights)
        line += 1

    def key(self) -> tuple[Array, Array]:
        """The key of the next random mask, on the device."""
        return next(self._left)
