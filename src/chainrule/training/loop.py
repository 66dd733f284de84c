"""The training loop. There is only this one; callbacks provide everything else."""

from __future__ import annotations

import itertools
import time
from typing import Any

import numpy as np

from ..callbacks import Callback
from ..data import Batches, BatchStream
from ..errors import DataError, DivergenceError
from ..layers.finite import not_finite
from ..types import Array
from .divergence import culprit
from .evaluation import measure
from .interruption import Interruption
from .repeated import RepeatedSteps
from .state import Progress, TrainingState
from .step import NotFinite, Step

_REMEDY = "try a smaller learning rate, or clip_norm= in the optimizer"


class Run:
    """The epochs of one call of `fit`.

    Parameters
    ----------
    training : TrainingState
        The parts and counters of the training, updated as it runs.
    batches : Batches or BatchStream
        The source of the batches.
    step : Step
        The function that makes one training step with a batch.
    repeated : RepeatedSteps or None
        Used instead of `step` on a device that can repeat steps.
    validation : tuple of array or None
        Data to evaluate after each epoch.
    check_at_epoch_end : bool
        Whether the losses are read only at the end of each epoch. If a loss is NaN or infinite,
        the epoch is repeated up to that step to find the cause.
    listeners : list of Callback
        The callbacks, in calling order.
    """

    def __init__(
        self,
        training: TrainingState,
        batches: Batches | BatchStream,
        step: Step,
        *,
        repeated: RepeatedSteps | None,
        validation: tuple[Array, ...] | None,
        check_at_epoch_end: bool,
        listeners: list[Callback],
    ) -> None:
        self.training = training
        self.batches = batches
        self.step = step
        self.repeated = repeated
        self.validation = validation
        self.check_at_epoch_end = check_at_epoch_end
        self.listeners = listeners

    def train(self, interruption: Interruption) -> None:
        """Train until all epochs are done or a callback stops the training."""
        training = self.training
        while training.epochs_done < training.epochs and not training.stopped:
            self._epoch(interruption)
        if self.step.terminate_on_nan and (where := not_finite(training.model)):
            raise DivergenceError(
                f"after the last step ({training.optimizer.steps}), {where} holds NaN or infinity: "
                f"{_REMEDY}"
            )

    def _epoch(self, interruption: Interruption) -> None:
        """Train for one epoch, or for the rest of an interrupted epoch."""
        training, start = self.training, time.perf_counter()
        training.epoch = training.epochs_done + 1
        self._tell("on_epoch_start")
        progress = self._begin()
        first = len(progress.losses)
        before = training._snapshot() if self.check_at_epoch_end else None
        self._steps(progress, interruption)
        measured = self._validate()
        table, numbers = progress.read(training.model.state, [*measured.values()])
        losses = table[:, 0]
        if before is not None and not np.isfinite(losses).all():
            training._restore(before)
            raise self._find_divergence(progress, losses, first)
        row = {
            "epoch": training.epoch,
            **self._means(table),
            **{f"val_{name}": number for name, number in zip(measured, numbers, strict=True)},
            **training._rates(),
            "seconds": time.perf_counter() - start,
        }
        training.history.epochs.append(row)
        training.history.step_losses.extend(losses.tolist())
        training.progress, training.consistent = None, False
        self._tell("on_epoch_end")
        training.consistent = True
        interruption.check()

    def _tell(self, moment: str) -> None:
        """Call this method of every callback, even if an earlier callback raises an error."""
        failure: BaseException | None = None
        for listener in self.listeners:
            try:
                getattr(listener, moment)(self.training)
            except BaseException as error:  # raised after all callbacks were called
                failure = failure or error
        if failure is not None:
            raise failure

    def _begin(self) -> Progress:
        """Return the progress of this epoch, which is empty unless the epoch was interrupted.

        The order of the batches is drawn from the training's generator. Resetting the generator to
        its state at the start of the epoch reproduces this order.
        """
        training, batches = self.training, self.batches.description
        names = self.step.means.names
        if training.progress is None:
            training.progress = Progress(training.rng.bit_generator.state, batches, names)
        training.progress.expect(batches, names)
        training.rng.bit_generator.state = training.progress.rng
        return training.progress

    def _steps(self, progress: Progress, interruption: Interruption) -> None:
        """Make the remaining steps of the epoch."""
        training, step = self.training, self.repeated or self.step
        optimizer = training.optimizer
        for batch in (self.repeated or self.batches).starting_at(len(progress.losses)):
            training.consistent, before = False, optimizer.steps
            try:
                measured = step(*batch)
            except NotFinite as found:
                raise self._diverged(found) from None
            except BaseException:
                training.half_done = optimizer.moving or optimizer.steps != before
                raise
            progress.add(*measured)
            self._tell("on_step_end")
            training.consistent = True
            interruption.check()
        if not progress.losses:
            raise DataError("expected at least one batch, found none")

    def _validate(self) -> dict[str, Any]:
        """Compute the validation loss and metrics; the results stay on the device."""
        training = self.training
        if self.validation is None:
            return {}
        return measure(training.model, training.loss, training.metrics, self.validation)

    def _means(self, table: np.ndarray) -> dict[str, float]:
        """Compute the loss and metrics of an epoch from the table of `Progress.read`."""
        losses, weights, sums = table[:, 0], table[:, 1], table[:, 2:]
        loss = losses @ weights / (weights.sum() or 1.0)
        means = {"loss": losses.sum() if self.training.loss.reduction == "sum" else loss}
        pairs = sums.sum(axis=0).reshape(-1, 2)
        for name, (total, of_metric) in zip(self.step.means.names, pairs, strict=True):
            # A metric may count NaN outputs as correct, so report NaN if the loss is NaN.
            means[name] = np.nan if np.isnan(losses).any() else of_metric / (total or 1.0)
        return {name: float(mean) for name, mean in means.items()}

    def _find_divergence(
        self, progress: Progress, losses: np.ndarray, first: int
    ) -> DivergenceError:
        """Repeat the epoch from its restored start, and return the error of the first bad step."""
        bad = int(np.flatnonzero(~np.isfinite(losses))[0])
        batches = self.batches.starting_at(first)
        for batch in itertools.islice(batches, bad - first):
            self.step(*batch)
        progress.cut(bad)
        x, y, *_ = next(batches)
        return self._diverged(NotFinite(float(losses[bad]), self.step.augmented(x), y))

    def _diverged(self, found: NotFinite) -> DivergenceError:
        """Return the error for a step that was not made because its loss is NaN or infinite."""
        training = self.training
        where = culprit(training.model, training.loss, found.x, found.y)
        return DivergenceError(
            f"the loss became {found.value} at step {training.optimizer.steps} (step "
            f"{training.steps_done} of epoch {training.epoch}), first in {where}: {_REMEDY}"
        )
