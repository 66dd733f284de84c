"""The meaning of a model's outputs, which depends on the loss."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from array_api_compat import array_namespace

from ..formulas import log_sigmoid, log_softmax, sigmoid
from ..layers import Layer, LogSoftmax, Sigmoid, Softmax
from ..losses import Loss
from ..types import Array

_BY_OUTPUTS: dict[str, tuple[str, type[Layer] | None]] = {
    "logits": ("softmax", None),
    "binary logits": ("logistic", None),
    "log-means": ("exp", None),
    "log-probabilities": ("softmax", LogSoftmax),
    "binary probabilities": ("logistic", Sigmoid),
}

_LAYERS: dict[str, type[Layer]] = {"softmax": Softmax, "logistic": Sigmoid}


@dataclass(frozen=True)
class Output:
    """The conversion of a model's outputs to predictions.

    Parameters
    ----------
    activation : str
        "identity", "exp", "logistic" or "softmax".
    layer : type of Layer, optional
        The layer to add to the model if the loss takes predictions instead of logits.
    """

    activation: str
    layer: type[Layer] | None = None

    @classmethod
    def of(cls, loss: Loss, otherwise: str) -> Output:
        """Return the `Output` that a loss requires. The default activation is `otherwise`."""
        if loss.outputs in _BY_OUTPUTS:
            return cls(*_BY_OUTPUTS[loss.outputs])
        return cls(otherwise, _LAYERS.get(otherwise))

    def predictions(self, outputs: Array) -> Array:
        """Return the predictions for a model's outputs."""
        xp: Any = array_namespace(outputs)
        if self.layer is LogSoftmax or (self.layer is None and self.activation == "exp"):
            return xp.exp(outputs)
        if self.layer is None and self.activation == "softmax":
            return xp.exp(log_softmax(xp, outputs))
        if self.layer is None and self.activation == "logistic":
            return sigmoid(xp, outputs)
        return outputs

    def log_predictions(self, outputs: Array) -> Array:
        """Return the logarithms of the predicted probabilities.

        If the outputs are logits, the logarithms are accurate even for probabilities that round to
        0. If the outputs are probabilities, 0 is replaced by the smallest normal number.
        """
        xp: Any = array_namespace(outputs)
        if self.layer is LogSoftmax:
            return outputs
        if self.layer is None:
            return (log_softmax if self.activation == "softmax" else log_sigmoid)(xp, outputs)
        return xp.log(xp.maximum(outputs, xp.finfo(outputs.dtype).smallest_normal))

    def opposite(self, outputs: Array) -> Array:
        """Return the outputs for class 0, given a single output per sample for class 1."""
        return -outputs if self.layer is None else 1.0 - outputs
