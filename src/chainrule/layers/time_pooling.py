"""Pooling over time: each sequence becomes one vector."""

from __future__ import annotations

import math

from ..checks import one_of
from ..formulas import BLOCK, sum_over_batch
from ..types import Array, Arrays, Backward
from .base import Layer
from .padded import padded, present


class PoolOverTime(Layer):
    """The mean, the maximum or the last step of each sequence.

    Parameters
    ----------
    mode : {"mean", "max", "last"}
        How to combine the steps of ``x``, ``(batch, time, features)``. ``y`` has shape
        ``(batch, features)``. In padded sequences ``(x, lengths)``, only the first steps of each
        sequence count, up to its length. The padding has a gradient of 0, and may hold NaN. With
        "max", the gradient goes to the first of the largest elements. If a feature is NaN at any
        step, its maximum is NaN.

    Raises
    ------
    ShapeError
        In `forward`, if ``x`` does not have shape ``(batch, time, features)``, or if `lengths` does
        not have shape ``(batch,)``.
    DataError
        In `forward`, if the lengths are not integers, or if a length in host memory is below 1 or
        above the number of steps.

    Examples
    --------
    >>> x = np.asarray([[[1.0, 5.0], [3.0, 2.0], [9.0, 9.0]]], dtype="float32")
    >>> cr.PoolOverTime("mean").forward((x, np.asarray([2])))[0]
    array([[2. , 3.5]], dtype=float32)
    >>> cr.PoolOverTime("max").forward((x, np.asarray([2])))[0]
    array([[3., 5.]], dtype=float32)
    >>> cr.PoolOverTime("last").forward(x)[0]
    array([[9., 9.]], dtype=float32)
    """

    takes_several = True

    def __init__(self, mode: str) -> None:
        self.mode = one_of("mean", "max", "last")("mode", mode)

    def forward(self, x: Arrays, *, training: bool = False) -> tuple[Array, Backward]:
        x, lengths = padded(self, x)
        self.expect(x.ndim == 3 and min(x.shape) > 0, ("batch", "time", "features"), x)
        self._expect_floats(x)
        inside = None if lengths is None else present(self, x, lengths)[:, :, None]
        y, back = (self._mean if self.mode == "mean" else self._one_step)(x, lengths, inside)

        def backward(dy: Array) -> Arrays:
            dx = back(dy)
            return dx if lengths is None else (dx, None)

        return y, backward

    def check_input(self, x: Arrays) -> None:
        x, lengths = padded(self, x)
        if lengths is not None:
            present(self, x, lengths)

    def _mean(
        self, x: Array, lengths: Array | None, inside: Array | None
    ) -> tuple[Array, Backward]:
        """Return the mean over the steps of each sequence."""
        xp, time = self.xp, x.shape[1]
        share = xp.full((1, time, 1), 1.0 / time, dtype=x.dtype, device=x.device)
        if inside is not None:
            x = xp.where(inside, x, 0.0)
            share = xp.astype(inside, x.dtype) / xp.astype(lengths, x.dtype)[:, None, None]
        y = self._sum_over_time(x) * share[:, 0, :]
        return y, lambda dy: dy[:, None, :] * share

    def _sum_over_time(self, x: Array) -> Array:
        """Return the sums over the steps. Long sequences are summed in blocks of steps."""
        xp, (batch, time, features) = self.xp, x.shape
        if time < 2 * BLOCK:
            return xp.sum(x, axis=1)
        steps = xp.reshape(xp.permute_dims(x, (1, 0, 2)), (time, batch * features))
        return xp.reshape(self.backend.kernel(sum_over_batch)(steps), (batch, features))

    def _one_step(
        self, x: Array, lengths: Array | None, inside: Array | None
    ) -> tuple[Array, Backward]:
        """Return each feature's largest value over the steps, or its value at the last step."""
        xp, (batch, time, features) = self.xp, x.shape
        steps = xp.arange(time, dtype=xp.int64, device=x.device)[None, :, None]
        if self.mode == "max":
            counted = x if inside is None else xp.where(inside, x, -math.inf)
            step = xp.argmax(counted, axis=1)[:, None, :]
        elif lengths is None:
            step = xp.full((batch, 1, 1), time - 1, dtype=xp.int64, device=x.device)
        else:
            step = xp.astype(lengths, xp.int64)[:, None, None] - 1
        y = xp.take_along_axis(x, xp.broadcast_to(step, (batch, 1, features)), axis=1)[:, 0, :]

        def backward(dy: Array) -> Array:
            return xp.where(steps == step, dy[:, None, :], 0.0)

        return y, backward
