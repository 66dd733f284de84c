"""The methods in which the classifier and the regressor differ."""

from __future__ import annotations

from typing import Any

from ..losses import Loss
from ..types import Array
from .output import Output
from .sample_weights import sample_weights, with_weight


class Task:
    """Methods and attributes that the classifier and the regressor override."""

    _losses: tuple[str, ...] = ()
    """The names that the parameter `loss` accepts."""

    _numeric = False
    """Whether targets must be numbers. If not, targets are labels, which are copied to the host."""

    def _learn_targets(self, labels: Array, *, first: bool, incremental: bool) -> None:
        """Record the classes (of a classifier) or the number of outputs (of a regressor).

        When a call continues training, a classifier compares the labels with the recorded classes.
        """
        raise NotImplementedError

    def _compare_targets(self, labels: Array) -> None:
        """Raise a `ValueError` if validation targets do not fit the training targets."""
        raise NotImplementedError

    def _weighted(
        self, X: Array, y: Array, labels: Array, weight: Any, *, training: bool
    ) -> tuple[Array, Array, Array | None]:
        """Check the sample weights, and leave out samples with weight 0."""
        X, y, weight = with_weight(sample_weights(weight, y.shape[0]), X, y)
        return X, y, weight

    def _choose_loss(self) -> tuple[Loss, Output]:
        """Set `n_outputs_`, and return the loss and the meaning of the outputs."""
        raise NotImplementedError

    def _targets(self, y: Array, dtype: str) -> Array:
        """Return the targets in the form that the loss requires."""
        raise NotImplementedError

    def _strata(self, targets: Array) -> Array | None:
        """Return the classes for a stratified split, or None if the split ignores classes."""
        return None

    def _decided(self, outputs: Array) -> Array:
        """Return the predictions for these outputs of the model."""
        raise NotImplementedError

    def _scored(self, y: Any, predicted: Any, sample_weight: Any) -> float:
        """Return the score of predictions in host memory."""
        raise NotImplementedError
