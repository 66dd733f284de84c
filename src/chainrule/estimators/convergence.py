"""scikit-learn's rule for the end of a training, as a callback, and the record that it keeps."""

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
    """Training results that an estimator exposes, under scikit-learn's attribute names.

    With early stopping there are scores on validation data, and no best loss.
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
        """All of it, but for a loss before the first epoch has ended."""
        return {k: v for k, v in vars(self).items() if k != "loss_" or v is not None}

    @classmethod
    def new(cls, *, early_stopping: bool, samples_seen: int = 0) -> Record:
        """The record of a training that begins."""
        best: Any = (None, [], -math.inf) if early_stopping else (math.inf, None, None)
        return cls(0, samples_seen, None, [], *best)

    def anew(self, early_stopping: bool) -> Record:
        """The record of a further call of `fit`: its curves continue, its best values are its own.

        Its data may be other data, on which earlier values cannot be reached.
        """
        new = Record.new(early_stopping=early_stopping, samples_seen=self.t_)
        scores = [*(self.validation_scores_ or ())] if early_stopping else None
        return dataclasses.replace(
            new, loss_=self.loss_, loss_curve_=[*self.loss_curve_], validation_scores_=scores
        )

    def one_more(self) -> Record:
        """The record of one more epoch, without early stopping."""
        same = self if self.validation_scores_ is None else self.anew(early_stopping=False)
        return dataclasses.replace(same, n_iter_=0)


class Convergence(Callback):
    """Keeps a record, and stops where no epoch gets better any more.

    An epoch is no better where its loss is above the best one less `tol`, or with early stopping
    its score on the validation data is below the best one and `tol`. After more than
    `n_iter_no_change` of them in a row the training stops; with ``learning_rate="adaptive"`` the
    rate is divided by 5 instead, until it is 1e-6. In the end, with early stopping, the model has
    the weights of the best score.

    Parameters
    ----------
    record : Record
        What is kept up to date.
    parameters : mapping
        Those of the estimator.
    samples : int
        How many are in an epoch.
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
        """Stop, or continue with a smaller rate."""
        what = "Validation score" if self.validated else "Training loss"
        reason = f"{what} did not improve by tol={self.tol} in {self.patience} epochs."
        lr: Any = trainer.optimizer.lr
        if self.schedule == "adaptive" and lr > 1e-6:
            _set_rate(trainer, lr / 5.0)
            self.record._no_improvement_count = 0
            self._say(f"{reason} The learning rate is {lr / 5.0} now.")
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
    """Change the rate from here on: the velocity continues with the steps that it had."""
    optimizer = trainer.optimizer
    state, factor = optimizer.state(), optimizer.lr / rate
    vectors = {name: vector * factor for name, vector in state["vectors"].items()}
    numbers = {**state["numbers"], "lr": rate}
    optimizer.load_state({**state, "numbers": numbers, "vectors": vectors})
