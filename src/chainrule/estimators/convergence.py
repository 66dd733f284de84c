"""scikit-learn's rule for the end of a training, as a callback."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..callbacks import Callback
from ..types import Array

if TYPE_CHECKING:
    from ..training import Trainer


class Convergence(Callback):
    """Keeps an estimator's attributes up to date, and stops where no epoch gets better any more.

    An epoch is no better where its loss is above the best one less `tol`, or with early stopping
    its score on the validation data is below the best one and `tol`. After more than
    `n_iter_no_change` of them in a row the training stops; with ``learning_rate="adaptive"`` the
    rate is divided by 5 instead, until it is 1e-6. In the end, with early stopping, the model has
    the weights of the best score.

    Parameters
    ----------
    estimator : BaseEstimator
        Whose parameters say so, and whose attributes are kept.
    samples : int
        How many are in an epoch.
    validated : bool
        Whether the history has scores, ``val_score``.
    """

    def __init__(self, estimator: Any, *, samples: int, validated: bool) -> None:
        self.estimator = estimator
        self.samples = samples
        self.validated = validated
        self.converged = False
        self._best: dict[str, Array] = {}

    def on_fit_start(self, trainer: Trainer) -> None:
        self._keep(trainer)

    def on_epoch_end(self, trainer: Trainer) -> None:
        estimator, row = self.estimator, trainer.history.epochs[-1]
        estimator.n_iter_ += 1
        estimator.t_ += self.samples
        estimator.loss_ = row["loss"]
        estimator.loss_curve_.append(row["loss"])
        self._say(f"Iteration {estimator.n_iter_}, loss = {row['loss']:.8f}")
        better = self._compare_scores(trainer) if self.validated else self._compare_losses()
        estimator._no_improvement_count = 0 if better else estimator._no_improvement_count + 1
        if self._scheduled("invscaling"):
            rate = estimator.learning_rate_init / (estimator.t_ + 1) ** estimator.power_t
            _set_rate(trainer, rate)
        if estimator._no_improvement_count > estimator.n_iter_no_change:
            self._conclude(trainer)

    def on_fit_end(self, trainer: Trainer) -> None:
        if self.validated:
            trainer.model.state.restore(self._best)

    def _compare_losses(self) -> bool:
        estimator = self.estimator
        better = not estimator.loss_ > estimator.best_loss_ - estimator.tol
        if estimator.loss_ < estimator.best_loss_:
            estimator.best_loss_ = estimator.loss_
        return better

    def _compare_scores(self, trainer: Trainer) -> bool:
        estimator, score = self.estimator, trainer.history.epochs[-1]["val_score"]
        estimator.validation_scores_.append(score)
        self._say(f"Validation score: {score:.6f}")
        better = not score < estimator.best_validation_score_ + estimator.tol
        if score > estimator.best_validation_score_:
            estimator.best_validation_score_ = score
            self._keep(trainer)
        return better

    def _conclude(self, trainer: Trainer) -> None:
        """Stop, or go on with a smaller rate."""
        estimator = self.estimator
        what = "Validation score" if self.validated else "Training loss"
        reason = (
            f"{what} did not improve by tol={estimator.tol} in {estimator.n_iter_no_change} epochs."
        )
        lr: Any = trainer.optimizer.lr
        if self._scheduled("adaptive") and lr > 1e-6:
            _set_rate(trainer, lr / 5.0)
            estimator._no_improvement_count = 0
            self._say(f"{reason} The learning rate is {lr / 5.0} now.")
        else:
            self.converged = True
            trainer.stop()
            self._say(f"{reason} Stopping.")

    def _scheduled(self, name: str) -> bool:
        estimator = self.estimator
        given = estimator.optimizer is not None or estimator.solver != "sgd"
        return not given and estimator.learning_rate == name

    def _keep(self, trainer: Trainer) -> None:
        if self.validated:
            self._best = trainer.model.state.snapshot()

    def _say(self, words: str) -> None:
        if self.estimator.verbose:
            print(words)


def _set_rate(trainer: Trainer, rate: float) -> None:
    """Change the rate from here on: the velocity goes on with the steps that it had."""
    optimizer: Any = trainer.optimizer
    for velocity in optimizer._vectors.values():
        velocity *= optimizer.lr / rate
    optimizer.lr = rate
