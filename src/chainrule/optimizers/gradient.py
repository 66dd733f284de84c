"""Clip the gradient of a step, and check gradients in host memory for NaN and infinity."""

from __future__ import annotations

import math
from collections.abc import Mapping

from ..backends.conversion import on_host
from ..errors import DivergenceError
from ..formulas import scaled_norm, squares
from ..model_state import ModelState
from ..parameter import Parameter
from ..types import Array


class Gradient:
    """Checks and clips the gradient of a model before the optimizer's rule uses it.

    For a model in host memory, NaN or infinity in the gradient is an error. If the optimizer's rule
    squares gradients, large elements are clipped, so that the squares do not overflow. The limit is
    1/32 of the square root of the largest finite number (5.8e17 in float32). On a device, the
    gradient is not copied to the host, so NaN is not detected and large elements are not clipped.
    The gradients of penalties are added later and are not clipped.

    Parameters
    ----------
    state : ModelState
        State of the model.
    parameters : dict of str to Parameter
        A dict from names to the parameters of the model.
    squared : bool
        Whether the rule squares gradients.
    """

    def __init__(
        self, state: ModelState, parameters: Mapping[str, Parameter], *, squared: bool
    ) -> None:
        self.state = state
        self.parameters = parameters
        self.squared = squared
        self.largest = math.sqrt(float(state.backend.xp.finfo(state.dtype).max)) / 32.0

    def prepare(self, grads: Array, clip_norm: Array | None) -> None:
        """Check `grads`, and clip them in place to the Euclidean norm `clip_norm`.

        Raises
        ------
        DivergenceError
            If a gradient in host memory is NaN or infinite.
        """
        xp, readable, norm = self.state.backend.xp, on_host(grads), math.inf
        self.state.backend.expect_norm(grads, self.largest)
        if readable:
            norm = math.sqrt(float(self.state.backend.kernel(squares)(grads)))
        ordinary = norm <= self.largest
        if readable and not ordinary:
            self._expect_finite(grads)
        if clip_norm is not None:
            scale, unit = (1.0, norm) if ordinary else scaled_norm(xp, grads)
            factor = clip_norm / scale / (unit + 1e-6 / scale)  # 1e-6 prevents 0 / 0, as in PyTorch
            grads *= xp.minimum(factor, xp.ones_like(factor))
        if readable and self.squared and not ordinary:
            grads[...] = xp.clip(grads, -self.largest, self.largest)

    def _expect_finite(self, grads: Array) -> None:
        xp = self.state.backend.xp
        for name, p in self.parameters.items():
            if not bool(xp.all(xp.isfinite(grads[p._part]))):
                raise DivergenceError(
                    f"expected finite gradients, found NaN or infinity in the gradient of {name!r}"
                    ": the weights are unchanged"
                )
