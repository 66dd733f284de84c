"""scikit-learn's stopping rule as a callback, and the record of training results."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

from ..callbacks import Callback
from ..callbacks.base import Training
from ..types import Array


@dataclasses.dataclass
class Record:
    """The training results of an estimator, with scikit-learn's attribute names.

    With early stopping, a record has validation scores but no best loss.
    """

    n_iter_: int
    t_: int
    loss_: float | None
    loss_curve_: list[float]
    best_loss_: float | None
    validation_scores_: list[float] | None
    best_validation_score_: float | None
    _no_improvement_count: int = 0

    def attributes(self) -> dict[str, Any]:
        """Return all attributes. Omit `loss_` before the end of the first epoch."""
        return {k: v for k, v in vars(self).items() if k != "loss_" or v is not None}

    @classmethod
    def new(cls, *, early_stopping: bool, samples_seen: int = 0) -> Record:
        """Return the record of a new training run."""
        best: Any = (None, [], -math.inf) if early_stopping else (math.inf, None, None)
        return cls(0, samples_seen, None, [], *best)

    def anew(self, early_stopping: bool) -> Record:
        """Return the record for the next call of `fit`. It keeps the curves, but no best values.

        The next call may use different data, on which the earlier best values may be out of reach.
        """
        new = Record.new(early_stopping=early_stopping, samples_seen=self.t_)
        scores = [*(self.validation_scores_ or ())] if early_stopping else None
        return dataclasses.replace(
            new, loss_=self.loss_, loss_curve_=[*self.loss_curve_], validation_scores_=scores
        )

    def one_more(self) -> Record:
        """Return the record for one more epoch. That epoch does not use early stopping."""
        same = self if self.validation_scores_ is None else self.anew(early_stopping=False)
        return dataclasses.replace(same, n_iter_=0)


class Convergence(Callback):
    """Update a record, and stop training when the loss or the score stops improving.

    An epoch counts as an improvement if its loss is at least `tol` below the best loss. With early
    stopping, an epoch counts as an improvement if its validation score is at least `tol` above the
    best score. Training stops after more than `n_iter_no_change` consecutive epochs without
    improvement. With ``learning_rate="adaptive"``, the learning rate is divided by 5 instead, and
    training stops only once the rate has reached 1e-6. With early stopping, the weights with the
    best score are restored at the end.

    Parameters
    ----------
    record : Record
        The record to update.
    parameters : mapping
        Parameters of the estimator.
    samples : int
        The number of samples in an epoch.
    """

    def __init__(self, record: Record, parameters: Mapping[str, Any], *, samples: int) -> None:
        self.record = record
        self.tol = parameters["tol"]
        self.patience = parameters["n_iter_no_change"]
        self.verbose = parameters["verbose"]
        of_solver = parameters["optimizer"] is None and parameters["solver"] == "sgd"
        self.schedule = parameters["learning_rate"] if of_solver else "constant"
        self.first_rate, self.power = parameters["learning_rate_init"], parameters["power_t"]
        self.samples = samples
        self.validated = record.validation_scores_ is not None
        self.converged = False
        self._best: dict[str, Array] = {}

    def on_fit_start(self, trainer: Training) -> None:
        self._keep(trainer)

    def on_epoch_end(self, trainer: Training) -> None:
        record, row = self.record, trainer.history.epochs[-1]
        record.n_iter_ += 1
        record.t_ += self.samples
        record.loss_ = row["loss"]
        record.loss_curve_.append(row["loss"])
        self._say(f"Iteration {record.n_iter_}, loss = {row['loss']:.8g}")
        if "val_score" in row:
            self._say(f"Validation score: {row['val_score']:.6f}")
        better = self._compare_scores(trainer) if self.validated else self._compare_losses()
        record._no_improvement_count = 0 if better else record._no_improvement_count + 1
        if self.schedule == "invscaling":
            _set_rate(trainer, self.first_rate / (record.t_ + 1) ** self.power)
        if record._no_improvement_count > self.patience:
            self._conclude(trainer)

    def on_fit_end(self, trainer: Training) -> None:
        trainer.model.state.restore(self._best)

    def _compare_losses(self) -> bool:
        record: Any = self.record
        better = not record.loss_ > record.best_loss_ - self.tol
        if record.loss_ < record.best_loss_:
            record.best_loss_ = record.loss_
        return better

    def _compare_scores(self, trainer: Training) -> bool:
        record: Any = self.record
        score = trainer.history.epochs[-1]["val_score"]
        record.validation_scores_.append(score)
        better = not score < record.best_validation_score_ + self.tol
        if score > record.best_validation_score_:
            record.best_validation_score_ = score
            self._keep(trainer)
        return better

    def _conclude(self, trainer: Training) -> None:
        """Stop training, or continue with a smaller learning rate."""
        what = "Validation score" if self.validated else "Training loss"
        reason = f"{what} did not improve by tol={self.tol} in {self.patience} epochs."
        lr: Any = trainer.optimizer.lr
        if self.schedule == "adaptive" and lr > 1e-6:
            _set_rate(trainer, lr / 5.0)
            self.record._no_improvement_count = 0
            self._say(f"{reason} The learning rate is now {lr / 5.0}.")
        else:
            self.converged = True
            trainer.stop()
            self._say(f"{reason} Stopping.")

    def _keep(self, trainer: Training) -> None:
        if self.validated:
            self._best = trainer.model.state.snapshot()

    def _say(self, words: str) -> None:
        if self.verbose:
            print(words)


def _set_rate(trainer: Training, rate: float) -> None:
    """Set the learning rate. Rescale the velocity to keep its product with the rate unchanged."""
    optimizer = trainer.optimizer
    state, factor = optimizer.state(), optimizer.lr / rate
    vectors = {name: vector * factor for name, vector in state["vectors"].items()}
    numbers = {**state["numbers"], "lr": rate}
    optimizer.load_state({**state, "numbers": numbers, "vectors": vectors})
