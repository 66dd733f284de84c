"""Training steps that are compiled to machine code, and run many at a time."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from ..data import Batches
from ..errors import BackendError
from ..forms import each, rows
from ..masks import split_key
from ..model_state import ModelState
from .repeated import RepeatedSteps, repeated_steps, same
from .step import Step

STEPS_THAT_PAY = 2000
"""In fewer steps, compiling takes longer than it saves."""

_LARGE = 3e6  # nanoseconds; in longer steps, NumPy's functions are as fast
_AT_ONCE = 30e6  # run steps for about 30 ms, then let Python see Ctrl-C and report progress

NO_EFFECT = "compile='auto' has no effect; steps run in Python"


class CompiledSteps(RepeatedSteps):
    """The training steps of `fit`, compiled for the CPU.

    A step is recorded on arrays without contents. The compiled step reads its inputs from the
    tables of `RepeatedSteps`. If the loss or the gradient is not finite or is very large, the
    compiled step changes nothing, and the step runs in Python instead.

    Parameters
    ----------
    step, batches
        See `RepeatedSteps`.
    """

    def __init__(self, step: Step, batches: Batches, *, most: int) -> None:
        self.in_python, self._most, self._run = step, most, None
        self._returned = np.zeros((batches.samples // batches.batch_size, 2 + len(step.means)))
        x, y, *weight = (rows(a, slice(batches.batch_size)) for a in batches.arrays)
        outputs, _ = step.model.forward(x)
        step.means.sums(step.model.backend, outputs, y, *weight)  # checks the metrics
        super().__init__(replace(step, loss_on_host=False), batches)

    def _compile(self) -> None:
        """Compile the step again if an option, or an attribute of a layer or loss, has changed."""
        if self._structure is None or self._run is not None:  # otherwise, do not warn again
            super()._compile()

    def _structure_now(self) -> Any:
        return object()  # any change of an attribute may change the operations

    def _compiled(self) -> Any:
        """Record and compile the step. If this is not possible, warn and return None."""
        try:
            first, recording = self._record(), self._record()
            if not first.device.equals(recording.device):
                raise BackendError("the step computes random or counted numbers in Python")
            nanoseconds = recording.device.nanoseconds
            self._at_once = min(self._most, int(_AT_ONCE / nanoseconds) + 1)
            return None if nanoseconds > _LARGE else recording.compiled()
        except Exception as error:  # such as the error of a layer that needs NumPy arrays
            warnings.warn(f"{NO_EFFECT}: {error}", RuntimeWarning, stacklevel=10)
            return None

    def _record(self) -> Any:
        """Record the step."""
        self._recording = recording = self.model.backend.recording()
        self._keys: list[np.ndarray] = []  # the keys of each mask of a step, one row per step
        self._columns: list[Any] = []  # the numbers in the table (see `Options.columns`)
        attributes = self._attributes()
        with self._on_symbols(recording):
            self._look_up()
            if not same(attributes, self._attributes()):
                raise BackendError("the step changes an attribute of a layer or of the loss")
        return recording

    @contextlib.contextmanager
    def _on_symbols(self, recording: Any) -> Iterator[None]:
        """Replace all arrays that a step uses by symbols, and restore everything at the end."""
        state, optimizer = self.model.state, self.step.optimizer
        stored = [*state.parameters, *self.model.named_buffers().values()]
        things = self, state, optimizer, *stored, *self._described
        before = [(thing, dict(vars(thing))) for thing in things]
        lift = recording.asarray
        try:
            state.values, state._grads = lift(state.values), lift(state._grads)
            self._buffers = lift(state.buffers)
            state.buffers = recording.xp.asarray(self._buffers, copy=True)
            state.backend, state.inputs = recording, self
            for part in stored:
                vars(part).update(dict.fromkeys(vars(part).keys() & {"_value", "_grad"}))
            vectors = {name: lift(vector) for name, vector in optimizer._vectors.items()}
            optimizer._vectors, optimizer._prepared = vectors, None
            self._numbers, self._rows, self._line = map(
                lift, (self._numbers, self._rows, self._line)
            )
            self._returned = lift(self._returned)
            self._arrays = tuple(each(lift, x) for x in self.batches.arrays)
            yield
        finally:
            for thing, attributes in before:
                vars(thing).clear()
                vars(thing).update(attributes)

    def _look_up(self) -> None:
        line, backend = self._line, self._recording
        self._masks = 0
        self._own_numbers = backend.row(self._numbers, line)[0, ...]
        table = backend.xp.reshape(self._rows, (self.steps, self.batches.batch_size))
        rows = backend.row(table, line)[0, ...]
        numbers = self.step(*(each(lambda a: backend.row(a, rows), x) for x in self._arrays))
        for i, number in enumerate(numbers):
            backend.set_row(self._returned[:, i], line, number)
        self._buffers[...] = self.model.state.buffers  # now, as the step was not broken off
        line += 1

    def key(self, state: ModelState) -> tuple[Any, Any, int]:
        """Return the key of the next random mask, from a new table."""
        self._keys.append(np.zeros((self.steps, 2), dtype=np.int32))
        key = self._recording.row(self._recording.asarray(self._keys[-1]), self._line)
        return key[0, 0], key[0, 1], 0

    def __call__(self, i: int) -> list[tuple[Any, ...]]:
        """Run steps from step `i` of the epoch on, and return the numbers that they return."""
        state, optimizer = self.model.state, self.step.optimizer
        count, done = self.steps - i, 0
        if self._most == 1:
            self._compile()  # if a callback changed an option
        if self._run is not None and count:
            count = min(count, self._at_once)
            self._fill(i, count)
            optimizer.moving = True
            done = self._run(count)
            optimizer.count_step(done)
            state.draws += done * len(self._keys)
            optimizer.moving = False
        if done:
            state.note_step()
            self._next = i + done
            return list(map(tuple, self._returned[i : self._next].tolist()))
        self._next = i + 1
        return [self.in_python(*self.batches.batch(i, *self._order))]

    def _fill(self, first: int, count: int) -> None:  # type: ignore[override]
        """Fill the lines of the tables for these steps."""
        state, optimizer, masks = self.model.state, self.step.optimizer, len(self._keys)
        self._line[0], here = first, slice(first, first + count)
        columns = optimizer.columns(self._stretches, optimizer.steps, count)
        if not same(columns, self._columns):
            self._columns = columns
            for i, column in enumerate(columns):
                # A number that cannot change from step to step is written once to all lines.
                lines = here if isinstance(column, np.ndarray) else slice(None)
                self._numbers[lines, i] = column
        for i, keys in enumerate(self._keys):
            draws = range(state.draws + i, state.draws + i + count * masks, masks)
            keys[here] = [split_key(state.seed, draw)[:2] for draw in draws]


def compiled_steps(
    step: Step, batches: Any, *, steps: int, one_by_one: bool, before: bool | None
) -> RepeatedSteps | None:
    """Return the steps for ``compile="auto"``, or None if all steps run in Python.

    `steps` is the number of steps of the whole call of `fit`. If `one_by_one` is true, a callback
    is called after each step. In a resumed call, `before` is whether steps were compiled before the
    interruption.
    """
    worthwhile = steps >= STEPS_THAT_PAY if before is None else before
    if not worthwhile or step.model.backend.recording() is None:
        return None
    repeated = repeated_steps(step, batches, partial(CompiledSteps, most=1 if one_by_one else 1024))
    return repeated if repeated is not None and repeated.is_compiled else None
