"""The meaning of a model's outputs, given the loss that it is trained with."""

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
    """How predictions are made from the outputs of the last linear layer.

    Parameters
    ----------
    activation : str
        "identity", "exp", "logistic" or "softmax".
    layer : type of Layer, optional
        The last layer of the model, if the loss takes predictions rather than logits.
    """

    activation: str
    layer: type[Layer] | None = None

    @classmethod
    def of(cls, loss: Loss, otherwise: str) -> Output:
        """The output that a loss requires, or one with the activation `otherwise` by default."""
        if loss.outputs in _BY_OUTPUTS:
            return cls(*_BY_OUTPUTS[loss.outputs])
        return cls(otherwise, _LAYERS.get(otherwise))

    def predictions(self, outputs: Array) -> Array:
        """Predictions from a model's outputs."""
        xp: Any = array_namespace(outputs)
        if self.layer is LogSoftmax or (self.layer is None and self.activation == "exp"):
            return xp.exp(outputs)
        if self.layer is None and self.activation == "softmax":
            return xp.exp(log_softmax(xp, outputs))
        if self.layer is None and self.activation == "logistic":
            return sigmoid(xp, outputs)
        return outputs

    def log_predictions(self, outputs: Array) -> Array:
        """Logarithms of predicted probabilities, even for probabilities that round to 0.

        From logits, the logarithms are accurate. If the model outputs probabilities, 0 counts as
        the smallest normal number.
        """
        xp: Any = array_namespace(outputs)
        if self.layer is LogSoftmax:
            return outputs
        if self.layer is None:
            return (log_softmax if self.activation == "softmax" else log_sigmoid)(xp, outputs)
        return xp.log(xp.maximum(outputs, xp.finfo(outputs.dtype).smallest_normal))

    def opposite(self, outputs: Array) -> Array:
        """The outputs that predict one minus the probability."""
        return -outputs if self.layer is None else 1.0 - outputs
