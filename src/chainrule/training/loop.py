"""The training loop: there is one, and callbacks carry whatever else a training needs."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from ..data import Batches, BatchStream
from ..errors import DataError, DivergenceError
from ..types import Array
from .divergence import Snapshot, culprit
from .evaluation import measure, read_numbers
from .interruption import Interruption
from .repeated import RepeatedSteps
from .state import Progress, TrainingState
from .step import NotFinite, Step


class Run:
    """The epochs of one call of `fit`.

    Parameters
    ----------
    training : TrainingState
        What is trained; its counters are kept up to date.
    batches : Batches or BatchStream
        Where the batches come from.
    step : Step
        What makes a step of a batch.
    repeated : RepeatedSteps or None
        What makes the steps on a device that can repeat them.
    validation : tuple of array or None
        Data to evaluate after each epoch.
    look_back : bool
        Whether the losses of an epoch are read at its end only, so that steps have to be made again
        to find where one became NaN or infinite.
    tell : callable
        Calls a method of all callbacks, by its name.
    """

    def __init__(
        self,
        training: TrainingState,
        batches: Batches | BatchStream,
        step: Step,
        *,
        repeated: RepeatedSteps | None,
        validation: tuple[Array, ...] | None,
        look_back: bool,
        tell: Callable[[str], None],
    ) -> None:
        self.training = training
        self.batches = batches
        self.step = step
        self.repeated = repeated
        self.validation = validation
        self.look_back = look_back
        self.tell = tell

    def epoch(self, interruption: Interruption) -> None:
        """Go through the data once, or through what is left of it after an interruption."""
        training, start = self.training, time.perf_counter()
        training.epoch = len(training.history) + 1
        self.tell("on_epoch_start")
        if training.progress is None:
            state = training.rng.bit_generator.state
            training.progress = Progress(state, self.batches.description)
        done = training.progress
        done.return_to_start(training.rng, self.batches.description)
        first = len(done.losses)
        parts = training.model, training.optimizer, training.rng
        before = Snapshot.of(*parts) if self.look_back else None
        self._steps(done, interruption)
        losses, weights, measured = self._numbers(done)
        if before is not None and not np.isfinite(losses).all():
            before.restore(*parts)
            raise self._find(done, losses, first)
        mean = losses @ weights / (weights.sum() or 1.0)
        loss = losses.sum() if training.loss.reduction == "sum" else mean
        row = {"epoch": training.epoch, "loss": float(loss), **measured}
        training.history.epochs.append({**row, "seconds": time.perf_counter() - start})
        training.history.step_losses.extend(losses.tolist())
        training.progress, training.consistent = None, False
        self.tell("on_epoch_end")
        training.consistent = True
        interruption.check()

    def _steps(self, done: Progress, interruption: Interruption) -> None:
        """Make the steps of the epoch that are left."""
        training, step = self.training, self.repeated or self.step
        training.model.zero_grad()  # of a step that was broken off
        for batch in (self.repeated or self.batches).starting_at(len(done.losses)):
            training.consistent = False
            try:
                value, weight = step(*batch)
            except NotFinite as found:
                raise self._diverged(found) from None
            done.losses.append(value)
            done.weights.append(weight)
            self.tell("on_step_end")
            training.consistent = True
            interruption.check()
        if not done.losses:
            raise DataError("expected at least one batch, found none")

    def _numbers(self, done: Progress) -> tuple[np.ndarray, np.ndarray, dict[str, float]]:
        """The losses and weights of the steps, and what was measured on the validation data."""
        training, steps = self.training, len(done.losses)
        measured: dict[str, Any] = {}
        if self.validation is not None:
            parts = training.model, training.loss, training.metrics
            measured = measure(*parts, self.validation)
        numbers = read_numbers(
            training.model.state, [*done.losses, *done.weights, *measured.values()]
        )
        names = (f"val_{name}" for name in measured)
        return (
            np.asarray(numbers[:steps]),
            np.asarray(numbers[steps : 2 * steps]),
            dict(zip(names, numbers[2 * steps :], strict=True)),
        )

    def _find(self, done: Progress, losses: np.ndarray, first: int) -> DivergenceError:
        """Make the steps before the first bad one once more, and report that one."""
        bad = int(np.flatnonzero(~np.isfinite(losses))[0])
        batches = self.batches.starting_at(first)
        for batch in itertools.islice(batches, bad - first):
            self.step(*batch)
        done.losses, done.weights = done.losses[:bad], done.weights[:bad]
        x, y, *_ = next(batches)
        return self._diverged(NotFinite(float(losses[bad]), self.step.augmented(x), y))

    def _diverged(self, found: NotFinite) -> DivergenceError:
        """The error for a step that was not made, as its loss is NaN or infinite."""
        training = self.training
        where = culprit(training.model, training.loss, found.x, found.y)
        return DivergenceError(
            f"the loss became {found.value} at step {training.optimizer.steps} (step "
            f"{training.steps_done} of epoch {training.epoch}), first in {where}: try a smaller "
            "learning rate, or clip_norm= in the optimizer"
        )
