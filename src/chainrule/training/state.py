"""The parts of a training, and its progress."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..callbacks import Callback
from ..history import History
from ..layers import Sequential
from ..losses import Loss
from ..metrics import Metric
from ..optimizers import Optimizer
from ..parameter import ModelState
from .evaluation import read_numbers


@dataclass
class Progress:
    """What has been done of an epoch that has not ended yet.

    Attributes
    ----------
    rng : dict
        The state of the generator of the batches when the epoch began.
    batches : dict
        What the batches are drawn from.
    names : list of str
        The metrics of the steps.
    losses, weights : list
        Of each step, numbers or 0-d arrays: its loss, and its weight in the mean of the epoch.
    sums : list of tuple
        Of each step, the sums of its metrics, see `SampleMeans`.
    """

    rng: Mapping[str, Any]
    batches: dict[str, Any]
    names: list[str]
    losses: list[Any] = field(default_factory=list)
    weights: list[Any] = field(default_factory=list)
    sums: list[tuple[Any, ...]] = field(default_factory=list)

    def add(self, loss: Any, weight: Any, *sums: Any) -> None:
        """Add what a step returned."""
        self.losses.append(loss)
        self.weights.append(weight)
        self.sums.append(sums)

    def cut(self, steps: int) -> None:
        """Leave the first steps only."""
        for kept in (self.losses, self.weights, self.sums):
            del kept[steps:]

    def read(self, state: ModelState, others: Sequence[Any] = ()) -> tuple[np.ndarray, list[float]]:
        """Read all numbers from the device, with others, in one transfer.

        Returns
        -------
        table : numpy.ndarray
            A row for each step: its loss, its weight and its sums.
        others : list of float
            The other numbers.
        """
        steps = zip(self.losses, self.weights, self.sums, strict=True)
        rows = [(loss, weight, *sums) for loss, weight, sums in steps]
        mine = [number for row in rows for number in row]
        numbers = read_numbers(state, [*mine, *others])
        table = np.asarray(numbers[: len(mine)]).reshape(len(rows), -1)
        return table, numbers[len(mine) :]

    def expect(self, batches: dict[str, Any], names: list[str]) -> None:
        """Raise a `ValueError` if the epoch cannot continue with these batches and metrics."""
        if names != self.names:
            raise ValueError(
                f"an epoch was interrupted after {len(self.losses)} steps with the metrics "
                f"{self.names}: expected the same to continue with, found {names}"
            )
        if batches != self.batches:
            raise ValueError(
                f"an epoch was interrupted after {len(self.losses)} steps of {self.batches}: "
                f"expected the same to continue with, found {batches}"
            )


class TrainingState:
    """The parts of a training and its counters: what a `Trainer`, its loop and its files share.

    Attributes
    ----------
    model, loss, optimizer, metrics, rng, history
        See `Trainer`.
    epoch, epochs, steps_per_epoch : int
        The current epoch, counted from 1; the one with which the training ends; and the steps of
        one, 0 where they are not known.
    columns : list of str
        What is written to the history after each epoch, unless a callback adds to it.
    began : int
        How many epochs were done when the last call of `fit` began; -1 before the first call.
    progress : Progress or None
        The epoch that has begun and not ended.
    resuming, stopped, consistent : bool
        Whether this call of `fit` continues another one, whether a callback ended it, and whether
        the last step was finished, with all callbacks after it.
    half_done : bool
        Whether a step was interrupted while the optimizer made it.
    asked : dict
        The optimizer's numbers as they were given.
    own_files : bool
        Whether callbacks write to other files where theirs are another training's already, as in
        the fits of a search, which have copies of the same callbacks; it is an error otherwise.
    advised : bool
        Whether `fit` has warned of what trains badly.
    listeners : list of Callback
        The callbacks of the last call of `fit`.
    callback_states : list of dict or None
        Those that were read from a file, until the callbacks have them.
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
        self.asked: dict[str, Any] = optimizer.description()["numbers"]
        self.own_files = False
        self.advised = False
        self.listeners: list[Callback] = []
        self.callback_states: list[dict[str, Any]] | None = None

    @property
    def epochs_done(self) -> int:
        """How many epochs are done, in all calls of `fit`."""
        return int(self.history.epochs[-1]["epoch"]) if self.history.epochs else 0

    @property
    def steps_done(self) -> int:
        """How many steps of the current epoch are done."""
        return 0 if self.progress is None else len(self.progress.losses)

    def _rates(self) -> dict[str, float]:
        """The learning rates of the last step, under the names of their columns."""
        lr, step = self.optimizer.lr, max(0, self.optimizer.steps - 1)
        by_layer = lr if isinstance(lr, dict) else {"": lr}
        return {
            f"lr[{layer}]" if layer else "lr": float(rate(step) if callable(rate) else rate)
            for layer, rate in by_layer.items()
        }

    def expect_whole_steps(self) -> None:
        """Raise a `RuntimeError` if a step was interrupted while the optimizer made it."""
        if self.half_done:
            raise RuntimeError(
                "expected a training whose last step was made as a whole, found one that was "
                f"interrupted in step {self.optimizer.steps}: resume it from its last checkpoint, "
                "or train on from these weights with resume=False"
            )

    def stop(self) -> None:
        """End the training after the current epoch."""
        self.stopped = True

    def _snapshot(self) -> tuple[Any, ...]:
        """A copy, on the device, of all that a step changes."""
        state = self.model.state
        rng = self.rng.bit_generator.state
        return state.snapshot(), state.draws, self.optimizer.state(), rng

    def _restore(self, snapshot: tuple[Any, ...]) -> None:
        """Make all that a step changes what it was."""
        vectors, self.model.state.draws, optimizer, self.rng.bit_generator.state = snapshot
        self.model.state.restore(vectors)
        self.optimizer.load_state(optimizer)
