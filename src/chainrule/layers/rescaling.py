"""Fixed scaling of the inputs, as part of the model."""

from __future__ import annotations

from ..checks import Checked, finite
from ..types import Array, Backward
from .base import Layer


class Rescaling(Layer):
    """Fixed scaling, ``y = scale * x + offset``, such as ``Rescaling(1 / 255)`` for images.

    The scaling is saved with the model, so inputs are scaled in the same way in training and in
    `predict`. The data can stay in uint8, which takes a quarter of the memory of float32.

    Parameters
    ----------
    scale, offset : float
        The factor ``scale``, and the number ``offset`` that is added to the product.

    Examples
    --------
    >>> model = cr.Sequential(cr.Rescaling(2 / 255, -1.0))
    >>> model.predict(np.asarray([[0, 51, 255]], dtype="uint8"))
    array([[-1.        , -0.59999996,  1.        ]], dtype=float32)
    """

    keeps_arguments = True
    per_step = True
    scale = Checked(finite)
    offset = Checked(finite)

    def __init__(self, scale: float, offset: float = 0.0) -> None:
        self.scale = scale
        self.offset = offset

    def forward(self, x: Array, *, training: bool = False) -> tuple[Array, Backward]:
        y = x * self.scale
        if self.offset != 0.0:
            y += self.offset
        return y, lambda dy: dy * self.scale
