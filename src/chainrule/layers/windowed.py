"""The base class of layers that slide a window over images or sequences."""

from __future__ import annotations

from typing import ClassVar

from ..errors import ShapeError
from ..types import Array
from ..windows import Windows
from .base import Layer

PerAxis = int | tuple[int, ...]
"""One number for all spatial axes, or one for each."""


class Windowed(Layer):
    """Base class of convolutions and pooling. Custom layers may use `Layer` instead."""

    space: ClassVar[tuple[str, ...]] = ("height", "width")
    """The names of the spatial axes. The attributes below have one entry per axis."""

    _fixed = frozenset(
        {
            "in_channels", "out_channels", "kernel_size", "stride", "padding", "dilation", "groups",
            "output_padding", "ceil_mode", "count_include_pad",
        }
    )  # fmt: skip

    kernel_size: tuple[int, ...]
    stride: tuple[int, ...]
    dilation: tuple[int, ...]

    def _expect_image(self, x: Array, channels: int | None = None) -> None:
        """Raise a `ShapeError` unless `x` is ``(batch, channels, *space)`` and not empty."""
        fits = x.ndim == 2 + len(self.space) and min(x.shape) > 0
        fits = fits and channels in (None, x.shape[1])
        expected = "batch", channels or "channels", *self.space
        self.expect(fits, expected, x, axes_hint(x, channels, len(expected)))

    def _windows(
        self, x: Array, padding: tuple[tuple[int, int], ...], ceil_mode: bool = False
    ) -> Windows:
        """Return all windows that fit into `x` after padding.

        With `ceil_mode`, the last window may end beyond the padding. This window must begin before
        the padding at the end.
        """
        sides, count = list(padding), []
        for i, name in enumerate(self.space):
            (before, after), length, stride = sides[i], x.shape[2 + i], self.stride[i]
            reach = self.dilation[i] * (self.kernel_size[i] - 1) + 1
            steps, rest = divmod(before + length + after - reach, stride)
            if ceil_mode and rest and (steps + 1) * stride < before + length:
                steps += 1
                sides[i] = before, after + stride - rest
            if steps < 0:
                least = reach - before - after - (stride - 1 if ceil_mode else 0)
                raise ShapeError(
                    f"{self._label()}: expected a {name} of at least {least}, "
                    f"found {length} in an input of shape {tuple(x.shape)}"
                )
            count.append(steps + 1)
        return Windows(self.kernel_size, self.stride, self.dilation, tuple(sides), tuple(count))


def axes_hint(x: Array, channels: int | None, axes: int) -> str | None:
    """Return a hint if `x` seems to lack an axis, or to have its channels on the last axis."""
    if x.ndim == axes - 1 and channels in (None, 1):
        return f"Unflatten(1, (1, {x.shape[1]})) or x[:, None] adds an axis for one channel"
    if x.ndim == axes - 1 and channels == x.shape[0]:
        return "x[None] adds an axis for the batch"
    if x.ndim == axes and channels == x.shape[-1]:
        return "np.moveaxis(x, -1, 1) moves the last axis to the channel axis"
    return None
