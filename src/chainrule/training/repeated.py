"""Steps whose inputs are all on the device beforehand, so that a device can repeat one step.

A GPU can repeat a recorded step (a CUDA graph) without launching its operations one by one. It
repeats exactly: the same kernels on the same arrays. Everything that changes from step to step (the
rows of the batch, the numbers of the optimizer, the keys of the random masks) is therefore in
tables on the device, and the step looks up its own line.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from ..data import Batches
from ..errors import BackendError
from ..masks import split_key
from ..parameter import ModelState
from ..types import Array
from .step import Step

_LINES = 64  # lines of the tables of numbers and keys to fill at once


class RepeatedSteps:
    """The steps of `fit` on batches of full size, repeated by the device where possible.

    It also gives the model the inputs of a step, see `chainrule.parameter.StepInputs`.

    Parameters
    ----------
    step : Step
        The function that makes a step from a batch; its inputs are not augmented.
    batches : Batches
        Batches of arrays on the device.
    """

    def __init__(self, step: Step, batches: Batches) -> None:
        self.step = step
        self.batches = batches
        self.model = step.model
        backend, state = self.model.backend, self.model.state
        self._xp = xp = backend.xp
        whole: dict[str, Any] = {"dtype": xp.int64, "device": backend.device}
        self._real = real = {"dtype": state.dtype, "device": backend.device}
        self.steps = batches.samples // batches.batch_size  # of full size
        self._line = xp.zeros((1,), **whole)  # of the next step
        self._lines = xp.arange(self.steps, **whole)
        self._rows = xp.zeros((self.steps, batches.batch_size), **whole)
        # A vector for each number that a step returns, and the numbers that never change.
        self._vectors = [xp.zeros((self.steps,), **real) for _ in range(2 + len(step.means))]
        self._constants: list[float | None] = []
        self._masks: int | None = None  # the number of random masks per step, once known
        self._filled: dict[int, list[float]] = {}  # the lines of `_numbers`, on the host
        self._structure: Any = None
        self._compile()

    def _compile(self) -> None:
        """Start over if the operations of a step have changed."""
        parameters = [(p.trainable, p.decay, p.max_norm) for p in self.model.parameters()]
        things = repr((self.model, self.step.loss))
        optimizer = self.step.optimizer
        parts = [(part, penalized) for part, penalized, *_ in optimizer.stretches()]
        structure = things, parameters, optimizer.structure, parts
        if structure != self._structure:
            self._structure, self._masks, self._filled = structure, None, {}
            shape = self.steps, len(optimizer.numbers())
            self._numbers = self._xp.zeros(shape, **self._real)
            self._run: Callable[[], None] = self.model.backend.compile(self._look_up)

    def close(self) -> None:
        """Free the recorded step."""
        del self._run

    def starting_at(self, first: int) -> Iterator[tuple[int]]:
        """Yield the numbers of the steps of an epoch, except the first ones."""
        self._compile()
        order = self.batches.draw_order()
        drawn = np.arange(self.batches.samples) if order is None else order
        rows = self.model.backend.asarray(drawn, dtype=self._xp.int64)
        self._rows[...] = self._xp.reshape(rows[: math.prod(self._rows.shape)], self._rows.shape)
        self._order = order, rows
        self._filled = {}
        for i in range(first, len(self.batches)):
            yield (i,)

    def __call__(self, i: int) -> tuple[Any, ...]:
        """Make a step of the epoch; return what `Step` returns."""
        if i == self.steps:  # the last, smaller batch
            return self.step(*self.batches.batch(i, *self._order))
        state, optimizer = self.model.state, self.step.optimizer
        draws, counts = state.draws, optimizer.counts
        self._fill(i)
        before, state.inputs = state.inputs, self
        try:
            self._run()
        except BackendError as error:  # the device cannot repeat it; nothing was done
            message = f"compile='auto' has no effect, steps are launched one by one: {error}"
            warnings.warn(message, RuntimeWarning, stacklevel=6)
            self._run = self._look_up
            optimizer.counts, state.draws = counts, draws
            self.model.zero_grad()
            self._run()
        finally:
            state.inputs = before
        if self._masks is None:
            self._masks, self._filled = state.draws - draws, {}
            shape, device = (self.steps, self._masks, 2), self.model.backend.device
            self._keys = self._xp.zeros(shape, dtype=self._xp.int32, device=device)
        optimizer.counts, state.draws = counts, draws + self._masks
        optimizer.count_step()  # a repeated step does not count itself
        state.note_step()
        returned = zip(self._vectors, self._constants, strict=True)
        return tuple(vector[i] if same is None else same for vector, same in returned)

    def _fill(self, i: int) -> None:
        """Fill the lines from step `i` on for the current optimizer, unless they are valid."""
        state, optimizer, backend = self.model.state, self.step.optimizer, self.model.backend
        parts = [(part, penalized) for part, penalized, *_ in optimizer.stretches()]
        if (optimizer.structure, parts) != self._structure[2:]:  # a callback changed an option
            self._compile()
        if self._filled.get(i) == optimizer.numbers():
            return
        count = min(_LINES, self.steps - i)
        lines = [optimizer.numbers(ahead=n) for n in range(count)]
        self._filled = dict(enumerate(lines, start=i))
        here = slice(i, i + count)
        self._numbers[here, ...] = backend.asarray(np.asarray(lines), dtype=state.dtype)
        self._line[...] = i
        if self._masks:
            draws = range(state.draws, state.draws + count * self._masks)
            keys = np.asarray([split_key(state.seed, draw) for draw in draws], dtype=np.int32)
            self._keys[here, ...] = backend.asarray(keys.reshape(count, self._masks, 2))

    def _look_up(self) -> None:
        """Make one step from the tables: its operations are the same in every step."""
        xp, line = self._xp, self._line
        self._own_numbers = xp.take(self._numbers, line, axis=0)[0, ...]
        if self._masks:
            keys = xp.take(self._keys, line, axis=0)
            self._own_keys = iter([(keys[0, n, 0], keys[0, n, 1]) for n in range(self._masks)])
        rows = xp.take(self._rows, line, axis=0)[0, ...]
        numbers = self.step(*(xp.take(a, rows, axis=0) for a in self.batches.arrays))
        here = self._lines == line
        for vector, number in zip(self._vectors, numbers, strict=True):
            if not isinstance(number, float):
                vector[...] = xp.where(here, number, vector)
        self._constants = [n if isinstance(n, float) else None for n in numbers]
        line += 1

    def numbers(self, state: ModelState, values: Sequence[float]) -> Array:
        """The numbers of the optimizer in the line of this step."""
        return self._own_numbers

    def key(self, state: ModelState) -> tuple[Any, Any]:
        """The key of the next random mask; from the host in the first step, which counts them."""
        if self._masks is None:
            return split_key(state.seed, state.draws)
        key = next(self._own_keys, None) if self._masks else None
        if key is None:
            raise BackendError(
                f"it draws more than the {self._masks} random masks of an earlier step"
            )
        return key
