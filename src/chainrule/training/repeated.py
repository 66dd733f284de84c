"""Training steps that the device records once and then repeats.

A GPU can repeat a recorded step (a CUDA graph) without launching the operations one by one. Every
repetition runs the same kernels on the same arrays. So everything that changes from step to step is
prepared in tables on the device: the rows of the batch, the numbers that the optimizer uses (such
as the learning rate) and the keys of the random masks. Each step reads its own line of these
tables.
"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from ..data import Batches
from ..errors import BackendError
from ..forms import each
from ..layers import Layer
from ..masks import split_key
from ..model_state import ModelState
from ..types import Array
from .shared import SharedStep
from .step import Step

_LINES = 64  # the number of table lines to fill at once


class RepeatedSteps:
    """The training steps of `fit`. If possible, the device repeats all steps with full batches.

    During a step, this object is also the model's `chainrule.model_state.StepInputs`.

    Parameters
    ----------
    step : Step
        The function that runs one training step with a batch, without augmentation.
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
        self.steps = batches.samples // batches.batch_size  # the number of steps with a full batch
        self._line = xp.zeros((1,), **whole)  # the table row for the next step
        self._lines = xp.arange(self.steps, **whole)
        self._rows = xp.zeros((self.steps * batches.batch_size,), **whole)
        # For each number that a step returns, a vector with one element per step, or a constant.
        self._vectors = [xp.zeros((self.steps,), **real) for _ in range(2 + len(step.means))]
        self._constants: list[float | None] = []
        self._masks: int | None = None  # the number of random masks per step, or None if unknown
        self._filled: dict[int, list[float]] = {}  # the filled lines of `_numbers`, as lists
        self._options: list[Any] = []  # what the operations of a step depend on
        self._structure: Any = None
        self._parameters = self.model.parameters()
        layers = [part for _, part in self.model._walk() if isinstance(part, Layer)]
        self._described = [self.model, *layers, step.loss]
        self._dicts = [vars(thing) for thing in self._described]
        self._compile()

    def _compile(self) -> None:
        """Compile the step again if its operations have changed."""
        optimizer = self.step.optimizer
        self._stretches = optimizer.stretches()  # another list if they may have changed
        limits = [p.max_norm for p in self._parameters]
        options = [self._stretches, *limits, *self._attributes()]
        if same(options, self._options):
            return
        self._options, structure = options, self._structure_now()
        if structure != self._structure:
            self._structure, self._masks, self._filled = structure, None, {}
            shape = self.steps, len(optimizer.numbers(self._stretches, optimizer.steps))
            self._numbers = self._xp.zeros(shape, **self._real)
            self._run: Any = self._compiled()

    def _attributes(self) -> list[Any]:
        """Return all attributes of the layers and of the loss."""
        return [*itertools.chain.from_iterable(map(dict.values, self._dicts))]

    def _structure_now(self) -> Any:
        """Describe the operations of a step."""
        parameters = [(p.trainable, p.decay, p.max_norm) for p in self._parameters]
        return repr((self.model, self.step.loss)), parameters, *self._of_optimizer()

    def _compiled(self) -> Any:
        """Return the function that runs a step."""
        return self.model.backend.compile(self._look_up)

    def _of_optimizer(self) -> tuple[Any, ...]:
        """Return the options and slices that determine the operations of the optimizer."""
        optimizer = self.step.optimizer
        parts = [(stretch.part, stretch.penalized) for stretch in optimizer.stretches()]
        return optimizer.structure, parts

    @property
    def is_compiled(self) -> bool:
        """Whether the step could be compiled."""
        return self._run is not None

    def close(self) -> None:
        """Release the recorded step and its memory."""
        del self._run

    def starting_at(self, first: int) -> Iterator[tuple[int]]:
        """Yield the step numbers of an epoch, beginning with `first`."""
        self._compile()
        order = self.batches.draw_order()
        drawn = np.arange(self.batches.samples) if order is None else order
        rows = self.model.backend.asarray(drawn, dtype=self._xp.int64)
        self._rows[...] = rows[: self._rows.shape[0]]
        self._order = order, rows
        self._filled = {}
        self._next = first
        while self._next < len(self.batches):
            yield (self._next,)

    def __call__(self, i: int) -> list[tuple[Any, ...]]:
        """Run step `i` of the epoch or several steps, and return the same numbers as `Step`."""
        self._next = i + 1
        if i == self.steps:  # the last batch is smaller
            return [self.step(*self.batches.batch(i, *self._order))]
        state, optimizer = self.model.state, self.step.optimizer
        draws, counts = state.draws, optimizer.counts
        self._fill(i)
        before, state.inputs = state.inputs, self
        try:
            self._run()
        except BackendError as error:  # the step did not run, and cannot be repeated
            message = f"compile='auto' has no effect; steps are launched one by one: {error}"
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
        optimizer.count_step()  # a repeated step runs no Python code
        state.note_step()
        returned = zip(self._vectors, self._constants, strict=True)
        return [tuple(vector[i] if same is None else same for vector, same in returned)]

    def _fill(self, i: int) -> None:
        """Fill the table lines, beginning with step `i`, unless their numbers are still valid."""
        state, optimizer, backend = self.model.state, self.step.optimizer, self.model.backend
        stretches = optimizer.stretches()
        if self._of_optimizer() != self._structure[2:]:  # a callback changed an option
            self._compile()
        if self._filled.get(i) == optimizer.numbers(stretches, optimizer.steps):
            return
        count = min(_LINES, self.steps - i)
        lines = [optimizer.numbers(stretches, optimizer.steps + n) for n in range(count)]
        self._filled = dict(enumerate(lines, start=i))
        here = slice(i, i + count)
        self._numbers[here, ...] = backend.asarray(np.asarray(lines), dtype=state.dtype)
        self._line[...] = i
        if self._masks:
            draws = range(state.draws, state.draws + count * self._masks)
            keys = np.asarray([split_key(state.seed, draw)[:2] for draw in draws], dtype=np.int32)
            self._keys[here, ...] = backend.asarray(keys.reshape(count, self._masks, 2))

    def _look_up(self) -> None:
        """Run a step with inputs from the tables. Every step performs the same operations."""
        xp, line = self._xp, self._line
        self._own_numbers = xp.take(self._numbers, line, axis=0)[0, ...]
        if self._masks:
            keys = xp.take(self._keys, line, axis=0)
            self._own_keys = iter([(keys[0, n, 0], keys[0, n, 1], 0) for n in range(self._masks)])
        table = xp.reshape(self._rows, (self.steps, self.batches.batch_size))
        rows = xp.take(table, line, axis=0)[0, ...]
        numbers = self.step(
            *(each(lambda a: xp.take(a, rows, axis=0), x) for x in self.batches.arrays)
        )
        here = self._lines == line
        for vector, number in zip(self._vectors, numbers, strict=True):
            if not isinstance(number, float):
                vector[...] = xp.where(here, number, vector)
        self._constants = [n if isinstance(n, float) else None for n in numbers]
        line += 1

    def numbers(self, state: ModelState, values: Sequence[float]) -> Array:
        """Return the numbers that this optimizer step uses, from the table."""
        return self._own_numbers

    def key(self, state: ModelState) -> tuple[Any, Any, int]:
        """Return the key of the next random mask.

        During the first step, the number of masks is unknown, so the key is computed on the host.
        """
        if self._masks is None:
            return split_key(state.seed, state.draws)
        key = next(self._own_keys, None) if self._masks else None
        if key is None:
            raise BackendError(
                f"expected {self._masks} random masks per step (as in an earlier step), found more"
            )
        return key


def same(old: list[Any], new: list[Any]) -> bool:
    """Return whether two lists hold the same objects, or equal numbers or strings."""
    pairs = [(a, b) for a, b in zip(old, new, strict=False) if a is not b]
    return len(old) == len(new) and all(
        type(a) is type(b) and isinstance(a, int | float | str) and a == b for a, b in pairs
    )


def repeated_steps(
    step: Step, batches: Any, make: Callable[[Step, Batches], RepeatedSteps] | None = None
) -> RepeatedSteps | None:
    """Return the steps for ``compile="auto"``, or None if steps cannot be repeated."""
    if isinstance(step, SharedStep):
        obstacle = "several processes exchange gradients in each step"
    elif not isinstance(batches, Batches) or batches.on_disk:
        obstacle = "ready-made batches and files are moved to the device batch by batch"
    elif step.augment is not None:
        obstacle = "the random numbers of augmentation are drawn on the host"
    else:
        try:
            return (make or RepeatedSteps)(step, batches)
        except BackendError as error:
            obstacle = str(error)
    message = f"compile='auto' has no effect; steps are launched one by one: {obstacle}"
    warnings.warn(message, RuntimeWarning, stacklevel=5 if make else 4)
    return None
