"""The state of a training run, and the progress of the current epoch."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..callbacks import Callback
from ..history import History
from ..layers import Sequential
from ..losses import Loss
from ..metrics import Metric
from ..model_state import ModelState
from ..optimizers import Optimizer
from .evaluation import read_numbers


@dataclass
class Progress:
    """The results of the completed steps of the current epoch.

    Attributes
    ----------
    rng : dict
        The state of the random generator at the start of the epoch.
    batches : dict
        A description of the batches: the number of samples, the batch size and so on.
    names : list of str
        The names of the metrics that the steps compute.
    rows : list of tuple
        The results of each step, as numbers or 0-d arrays: the loss, the weight of the step in the
        mean over the epoch, and the sums of the metrics (see `SampleMeans.sums`).
    """

    rng: Mapping[str, Any]
    batches: dict[str, Any]
    names: list[str]
    rows: list[tuple[Any, ...]] = field(default_factory=list)

    @property
    def width(self) -> int:
        """The length of each row."""
        return 2 + 2 * len(self.names)

    def read(self, state: ModelState, others: Iterable[Any] = ()) -> list[float]:
        """Copy the results of all steps, and the numbers `others`, to the host in one transfer.

        Afterwards, the rows hold floats, so the next call copies only the results of later steps.

        Returns
        -------
        list of float
            The numbers or 0-d arrays `others`, converted to floats.
        """
        if self.rows and {*map(type, self.rows[-1])} == {float}:  # then all rows hold floats
            return read_numbers(state, [*others])
        of_steps = [number for row in self.rows for number in row]
        numbers = iter(read_numbers(state, [*of_steps, *others]))
        self.rows = [tuple(itertools.islice(numbers, self.width)) for _ in self.rows]
        return [*numbers]

    def expect(self, batches: dict[str, Any], names: list[str]) -> None:
        """Raise a `ValueError` if the epoch cannot continue with these batches or metrics."""
        if names != self.names:
            raise ValueError(
                f"an epoch was interrupted after {len(self.rows)} steps with the metrics "
                f"{self.names}: expected the same metrics to resume the epoch, found {names}"
            )
        if batches != self.batches:
            raise ValueError(
                f"an epoch was interrupted after {len(self.rows)} steps with {self.batches}: "
                f"expected the same batches to resume the epoch, found {batches}"
            )


class TrainingState:
    """The parts and counters of a training run. A `Trainer`, its loop and its files share them.

    Attributes
    ----------
    model, loss, optimizer, metrics, rng, history
        See `Trainer`.
    epoch, epochs, steps_per_epoch : int
        The current epoch, counted from 1; the last epoch of this call of `fit`; and the number of
        steps in an epoch, or 0 if unknown.
    columns : list of str
        The columns of the history, except those that callbacks add.
    began : int
        The number of completed epochs when the last call of `fit` began, or -1 before the first
        call.
    progress : Progress or None
        The progress of the current epoch, or None between epochs.
    resuming, stopped, consistent : bool
        Whether this call of `fit` resumes an earlier call, whether a callback stopped the training
        run, and whether the last step and all its callbacks are complete.
    half_done : bool
        Whether a step was interrupted while the optimizer was updating the weights.
    compiled : bool or None
        Whether ``compile="auto"`` compiled the steps for the CPU, or None if there was nothing to
        decide. A resumed call of `fit` keeps the decision.
    asked : dict
        The optimizer's hyperparameters (except schedules) as the user set them. Callbacks may
        change the optimizer later.
    of_estimator : bool
        Whether this training run belongs to an estimator. In a parameter search, all fits have
        copies of the same callbacks. So if the file of a callback belongs to another training run,
        the callback chooses a new file name instead of raising an error.
    advised : bool
        Whether `fit` has already looked for problems in the model and the data.
    listeners : list of Callback
        The callbacks of the last call of `fit`.
    callback_states : list of dict or None
        The callback states that were read from a file, or None once the callbacks are restored.
    """

    def __init__(
        self,
        model: Sequential,
        loss: Loss,
        optimizer: Optimizer,
        metrics: dict[str, Metric],
        rng: np.random.Generator,
    ) -> None:
        self.model = model
        self.loss = loss
        self.optimizer = optimizer
        self.metrics = metrics
        self.rng = rng
        self.history = History()
        self.epoch = self.epochs = self.steps_per_epoch = 0
        self.columns: list[str] = []
        self.began = -1
        self.progress: Progress | None = None
        self.resuming = self.stopped = False
        self.consistent = True
        self.half_done = False
        self.compiled: bool | None = None
        self.asked: dict[str, Any] = optimizer.description()["numbers"]
        self.of_estimator = False
        self.advised = False
        self.listeners: list[Callback] = []
        self.callback_states: list[dict[str, Any]] | None = None

    @property
    def epochs_done(self) -> int:
        """The number of completed epochs, over all calls of `fit`."""
        return int(self.history.epochs[-1]["epoch"]) if self.history.epochs else 0

    @property
    def steps_done(self) -> int:
        """The number of completed steps in the current epoch."""
        return 0 if self.progress is None else len(self.progress.rows)

    def _rates(self) -> dict[str, float]:
        """Return a dict from column names to the learning rates of the last step."""
        rates = self.optimizer.rates(max(0, self.optimizer.steps - 1))
        return {f"lr[{layer}]" if layer else "lr": rate for layer, rate in rates.items()}

    def expect_whole_steps(self) -> None:
        """Raise a `RuntimeError` if the optimizer was interrupted in the middle of a step."""
        if self.half_done:
            raise RuntimeError(
                "expected the last step to be complete, but the optimizer was interrupted in step "
                f"{self.optimizer.steps}: resume from the last checkpoint, or continue with "
                "these weights and resume=False"
            )

    def stop(self) -> None:
        """End the training run after the current epoch."""
        self.stopped = True

    def _snapshot(self) -> tuple[Any, ...]:
        """Return a copy of everything that a step changes. The arrays stay on the device."""
        state = self.model.state
        rng = self.rng.bit_generator.state
        return state.snapshot(), state.draws, self.optimizer.state(), rng

    def _restore(self, snapshot: tuple[Any, ...]) -> None:
        """Restore the values that `_snapshot` copied."""
        vectors, self.model.state.draws, optimizer, self.rng.bit_generator.state = snapshot
        self.model.state.restore(vectors)
        self.optimizer.load_state(optimizer)
