"""The only training loop. Callbacks extend it."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from operator import mul
from typing import Any

from ..callbacks import Callback
from ..errors import DataError, DivergenceError, ShapeError
from ..layers.finite import not_finite
from ..types import Array
from .divergence import THE_LOSS, culprit
from .evaluation import measure
from .interruption import Interruption
from .ranks import Ranks
from .repeated import RepeatedSteps
from .shared import OwnBatches, Source, expect_equal_weights
from .state import Progress, TrainingState
from .step import NotFinite, Step

_REMEDY = "try a smaller learning rate, or clip_norm= in the optimizer"
_AT_THE_START = "this was the first step, so check the inputs, the targets and the initial weights"


@dataclass
class Run:
    """Trains for the epochs of one call of `fit`.

    Parameters
    ----------
    training : TrainingState
        The state of the training run, which this object updates.
    batches : Batches, BatchStream, SameBatches or OwnBatches
        The source of the batches.
    step : Step
        The function that runs one training step with a batch.
    repeated : RepeatedSteps or None
        The object to use instead of `step` if the device can repeat steps.
    validation : tuple of array or None
        The validation data, which is evaluated after each epoch.
    listeners : list of Callback
        The callbacks, in the order in which they are called.
    ranks : Ranks
        The processes that train together.
    """

    training: TrainingState
    batches: Source
    step: Step
    repeated: RepeatedSteps | None
    validation: tuple[Array, ...] | None
    listeners: list[Callback]
    ranks: Ranks

    def train(self, interruption: Interruption) -> None:
        """Train until all epochs are done or a callback stops the training run."""
        training = self.training
        while training.epochs_done < training.epochs and not training.stopped:
            self._epoch(interruption)
        if not self.step.terminate_on_nan:
            return
        # A callback may have changed the weights on one of the ranks only.
        if where := next(filter(None, self.ranks.gather(not_finite(training.model))), None):
            raise self.ranks.on_all(
                DivergenceError(
                    f"after the last step ({training.optimizer.steps}), {where} holds NaN or "
                    f"infinity: {_REMEDY}"
                )
            )

    def _epoch(self, interruption: Interruption) -> None:
        """Train for one epoch, or for the rest of an interrupted epoch."""
        training, start = self.training, time.perf_counter()
        training.epoch = training.epochs_done + 1
        self._tell("on_epoch_start")
        progress = self._begin()
        first = len(progress.rows)
        # On a device, losses are copied to the host at the end of the epoch. To find the cause of a
        # loss that is NaN or infinite, the epoch is repeated up to the step with this loss.
        checked_later = self.step.terminate_on_nan and not self.step.loss_on_host
        before = training._snapshot() if checked_later else None
        self._steps(progress, interruption)
        measured: dict[str, Any] = {}
        if self.validation is not None:
            model, loss, metrics = training.model, training.loss, training.metrics
            measured = measure(model, loss, metrics, self.validation, ranks=self.ranks)
        numbers = progress.read(training.model.state, measured.values())
        losses, *others = zip(*progress.rows, strict=True)
        if before is not None and not all(map(math.isfinite, losses)):
            training._restore(before)
            raise self._find_divergence(progress, losses, first)
        row = {
            "epoch": training.epoch,
            **self._means(losses, *others),
            **{f"val_{name}": number for name, number in zip(measured, numbers, strict=True)},
            **training._rates(),
            "seconds": time.perf_counter() - start,
        }
        training.history.epochs.append(row)
        training.history.step_losses.extend(losses)
        training.progress, training.consistent = None, False
        if self.ranks.size > 1:
            expect_equal_weights(self.ranks, training.model.state)  # before a callback saves them
        self._tell("on_epoch_end")
        training.consistent = True
        interruption.check()

    def _tell(self, moment: str) -> None:
        """Call a method of every callback, even if an earlier callback raises an error."""
        failure: BaseException | None = None
        for listener in self.listeners:
            try:
                getattr(listener, moment)(self.training)
            except BaseException as error:  # raised again after all callbacks were called
                failure = failure or error
        if failure is not None:
            raise failure

    def _begin(self) -> Progress:
        """Return the progress of this epoch, including the steps completed before an interruption.

        The random generator of the training run determines the order of the batches. The generator
        is reset to its state at the start of the epoch, so an interrupted epoch continues in the
        same order.
        """
        training, batches = self.training, self.batches.description
        names = self.step.means.names
        if training.progress is None:
            training.progress = Progress(training.rng.bit_generator.state, batches, names)
        else:
            training.progress.expect(batches, names)
            training.rng.bit_generator.state = training.progress.rng
        return training.progress

    def _steps(self, progress: Progress, interruption: Interruption) -> None:
        """Run the remaining steps of the epoch."""
        training, optimizer = self.training, self.training.optimizer
        for batch in (self.repeated or self.batches).starting_at(len(progress.rows)):
            training.consistent, before = False, optimizer.steps
            try:
                rows = self.repeated(*batch) if self.repeated else [self.step(*batch)]
            except NotFinite as found:
                raise self._diverged(found) from None
            except BaseException:
                training.half_done = optimizer.moving or optimizer.steps != before
                raise
            progress.rows.extend(rows)
            self._tell("on_step_end")
            training.consistent = True
            interruption.check()
        if not progress.rows:
            raise DataError("expected at least one batch, found none")

    def _means(
        self, losses: Sequence[float], weights: Sequence[float], *sums: Sequence[float]
    ) -> dict[str, float]:
        """Compute the loss and the metrics of an epoch from the results of all steps."""
        mean = sum(map(mul, losses, weights)) / (sum(weights) or 1.0)
        means = {"loss": sum(losses) if self.training.loss.reduction == "sum" else mean}
        pairs = zip(sums[::2], sums[1::2], strict=True)
        for name, (total, of_metric) in zip(self.step.means.names, pairs, strict=True):
            # Report NaN if a loss is NaN, because a metric may count NaN outputs as correct.
            means[name] = math.nan if math.isnan(mean) else sum(of_metric) / (sum(total) or 1.0)
        return means

    def _find_divergence(
        self, progress: Progress, losses: Sequence[float], first: int
    ) -> DivergenceError:
        """Repeat the epoch up to the first bad step, and return the error of this step."""
        bad = next(i for i, loss in enumerate(losses) if not math.isfinite(loss))
        batches = self.batches.starting_at(first)
        for batch in itertools.islice(batches, bad - first):
            self.step(*batch)
        del progress.rows[bad:]
        x, y, *_ = next(batches)
        return self._diverged(NotFinite(losses[bad], x, y))

    def _diverged(self, found: NotFinite) -> DivergenceError:
        """Return the error for a NaN or infinite loss. Call this before the weights are updated."""
        training = self.training
        x = self.step.augmented(found.x)
        # With their own data, some ranks may find NaN, and others nothing.
        places = self.ranks.gather(self._place(x, found.y))
        where = next((place for place in places if place != THE_LOSS), THE_LOSS)
        steps = training.optimizer.steps
        return self.ranks.on_all(
            DivergenceError(
                f"the loss became {found.value} at step {steps} (step {training.steps_done} of "
                f"epoch {training.epoch}), and NaN or infinity first appeared in {where}: "
                f"{_REMEDY if steps else _AT_THE_START}"
            )
        )

    def _place(self, x: Array, y: Array) -> str:
        """Describe where NaN or infinity first appears on this rank."""
        batches = self.batches
        if isinstance(batches, OwnBatches) and batches.counts[self.ranks.rank] == 0:
            return THE_LOSS  # this rank has only a sample with weight 0
        try:
            return culprit(self.training.model, self.training.loss, x, y)
        except ShapeError:  # the part of this rank is too small, unlike the whole batch
            return "the outputs or the loss"
