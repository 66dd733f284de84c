"""Layers that reduce each window of an image, channel by channel, to a single element."""

from __future__ import annotations

from typing import Any

from ..checks import flag, per_axis
from ..types import Array, Backward
from ..windows import Windows, crop, largest, pad, padded_shape, sum_largest
from .base import Layer
from .windowed import PerAxis, Windowed, axes_hint


class Pooling(Windowed):
    """Base class of `MaxPool2d` and `AvgPool2d`."""

    def __init__(
        self,
        kernel_size: PerAxis,
        stride: PerAxis | None,
        padding: PerAxis,
        dilation: PerAxis,
        ceil_mode: bool,
    ) -> None:
        axes = len(self.space)
        self.kernel_size = per_axis("kernel_size", kernel_size, axes, least=1)
        self.stride = per_axis("stride", kernel_size if stride is None else stride, axes, least=1)
        self.dilation = per_axis("dilation", dilation, axes, least=1)
        sizes = per_axis("padding", padding, axes, least=0)
        if any(2 * p > k for p, k in zip(sizes, self.kernel_size, strict=True)):
            raise ValueError(f"expected padding to be at most half the kernel size, found {sizes}")
        self.padding = tuple((p, p) for p in sizes)
        self.ceil_mode = flag("ceil_mode", ceil_mode)


class MaxPool2d(Pooling):
    """Maximum of each window. The gradient goes to the first of the largest elements.

    If a window contains NaN, its maximum is NaN.

    Parameters
    ----------
    kernel_size : int or tuple of int
        The height and width of a window of ``x``, ``(batch, channels, height, width)``.
    stride : int or tuple of int, optional
        The distance between neighbouring windows. By default, `kernel_size`.
    padding : int or tuple of int, optional
        The number of elements added on each side, at most half the kernel size. The added elements
        are never the maximum.
    dilation : int or tuple of int, optional
        The distance between neighbouring elements of a window. If the image is smaller than this
        distance, all elements of a window may lie in the padding. The maximum is then minus
        infinity, as in PyTorch.
    ceil_mode : bool, optional
        Whether the last window may extend beyond the image. This window must begin within the image
        or the padding before it. If False, rows and columns that do not fill a window are left out.

    Raises
    ------
    ShapeError
        In `forward`, if the shape of ``x`` does not fit, or if ``x`` with its padding is smaller
        than a window.

    Examples
    --------
    >>> x = np.arange(16, dtype="float32").reshape(1, 1, 4, 4)
    >>> cr.MaxPool2d(2).forward(x)[0]
    array([[[[ 5.,  7.],
             [13., 15.]]]], dtype=float32)
    """

    def __init__(
        self,
        kernel_size: PerAxis,
        stride: PerAxis | None = None,
        padding: PerAxis = 0,
        dilation: PerAxis = 1,
        ceil_mode: bool = False,
    ) -> None:
        super().__init__(kernel_size, stride, padding, dilation, ceil_mode)

    def forward(self, x: Array, *, training: bool = False) -> tuple[Array, Backward]:
        self._expect_image(x)
        windows, kernel = self._windows(x, self.padding, self.ceil_mode), self.backend.kernel
        y = kernel(largest)(x, windows)

        def backward(dy: Array) -> Array:
            dx: Array = kernel(sum_largest)(dy, x, y, windows)
            return dx

        return y, backward


class MaxPool1d(MaxPool2d):
    """Maximum of each window of a sequence, ``(batch, channels, length)``; see `MaxPool2d`.

    Examples
    --------
    >>> x = np.asarray([[[1.0, 4.0, 3.0, 2.0]]])
    >>> y, backward = cr.MaxPool1d(2).forward(x)
    >>> y
    array([[[4., 3.]]])
    >>> backward(np.ones_like(y))
    array([[[0., 1., 1., 0.]]])
    """

    space = ("length",)


class AvgPool2d(Pooling):
    """Mean of each window.

    Parameters
    ----------
    kernel_size, stride, ceil_mode
        See `MaxPool2d`.
    padding : int or tuple of int, optional
        The number of zeros added on each side, at most half the kernel size.
    count_include_pad : bool, optional
        Whether the zeros in the padding count as elements of a window. If False, the sum is divided
        by the number of elements that belong to the image.

    Raises
    ------
    ShapeError
        In `forward`, if the shape of ``x`` does not fit, or if ``x`` with its padding is smaller
        than a window.

    Examples
    --------
    >>> x = np.arange(16, dtype="float32").reshape(1, 1, 4, 4)
    >>> cr.AvgPool2d(2).forward(x)[0]
    array([[[[ 2.5,  4.5],
             [10.5, 12.5]]]], dtype=float32)
    """

    def __init__(
        self,
        kernel_size: PerAxis,
        stride: PerAxis | None = None,
        padding: PerAxis = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> None:
        super().__init__(kernel_size, stride, padding, 1, ceil_mode)
        self.count_include_pad = flag("count_include_pad", count_include_pad)

    def forward(self, x: Array, *, training: bool = False) -> tuple[Array, Backward]:
        self._expect_image(x)
        xp, shape = self.xp, x.shape
        windows = self._windows(x, self.padding, self.ceil_mode)
        share = 1.0 / self._counts(x, windows)
        y = _sums(xp, pad(xp, x, windows.padding), windows)
        y *= share

        def backward(dy: Array) -> Array:
            dx = xp.zeros(padded_shape(shape, windows.padding), dtype=dy.dtype, device=dy.device)
            dsum = dy * share
            for _, place in windows.elements():
                dx[:, :, *place] += dsum
            return crop(dx, windows.padding)

        return y, backward

    def _counts(self, x: Array, windows: Windows) -> Array:
        """Return the number of elements that count in each window, ``(1, 1, *windows.count)``."""
        xp, padding = self.xp, zip(self.padding, windows.padding, strict=True)
        beyond = [(0, total - own) for (_, own), (_, total) in padding]  # only with ceil_mode
        image = xp.ones((1, 1, *x.shape[2:]), dtype=x.dtype, device=x.device)
        image = pad(xp, image, self.padding, 1.0 if self.count_include_pad else 0.0)
        return _sums(xp, pad(xp, image, beyond), windows)


class AvgPool1d(AvgPool2d):
    """Mean of each window of a sequence, ``(batch, channels, length)``; see `AvgPool2d`.

    Examples
    --------
    >>> x = np.asarray([[[1.0, 4.0, 3.0, 2.0]]])
    >>> y, backward = cr.AvgPool1d(2).forward(x)
    >>> y
    array([[[2.5, 2.5]]])
    >>> backward(np.ones_like(y))
    array([[[0.5, 0.5, 0.5, 0.5]]])
    """

    space = ("length",)


class AdaptiveAvgPool2d(Layer):
    """Mean over parts of the image. The output has a fixed size, for inputs of any size.

    Row ``i`` of ``y`` is the mean of the rows from ``floor(i * height / rows)`` up to, but not
    including, ``ceil((i + 1) * height / rows)``. The columns follow the same formula. If
    `output_size` is 1, ``y`` is the mean of each channel.

    Parameters
    ----------
    output_size : int or tuple of int
        The number of rows and columns of ``y``.

    Raises
    ------
    ShapeError
        In `forward`, if ``x`` is not ``(batch, channels, height, width)``.

    Examples
    --------
    >>> x = np.arange(6, dtype="float32").reshape(1, 1, 2, 3)
    >>> cr.AdaptiveAvgPool2d((1, 2)).forward(x)[0]
    array([[[[2., 3.]]]], dtype=float32)
    """

    def __init__(self, output_size: int | tuple[int, int]) -> None:
        self.output_size = per_axis("output_size", output_size, 2, least=1)

    def forward(self, x: Array, *, training: bool = False) -> tuple[Array, Backward]:
        expected = "batch", "channels", "height", "width"
        self.expect(x.ndim == 4 and min(x.shape) > 0, expected, x, axes_hint(x, None, 4))
        xp, shape = self.xp, x.shape
        rows, columns = map(_parts, shape[2:], self.output_size)
        means = xp.stack([xp.mean(x[:, :, row, :], axis=2) for row in rows], axis=2)
        y = xp.stack([xp.mean(means[:, :, :, column], axis=3) for column in columns], axis=3)

        def backward(dy: Array) -> Array:
            dmeans = xp.zeros(means.shape, dtype=dy.dtype, device=dy.device)
            for i, column in enumerate(columns):
                dmeans[:, :, :, column] += dy[:, :, :, i : i + 1] / (column.stop - column.start)
            dx = xp.zeros(shape, dtype=dy.dtype, device=dy.device)
            for i, row in enumerate(rows):
                dx[:, :, row, :] += dmeans[:, :, i : i + 1, :] / (row.stop - row.start)
            return dx

        return y, backward


def _parts(length: int, count: int) -> list[slice]:
    """Divide an axis into parts, which may overlap by one element."""
    return [slice(i * length // count, -(-(i + 1) * length // count)) for i in range(count)]


def _sums(xp: Any, padded: Array, windows: Windows) -> Array:
    """Return the sum of each window of an image that is already padded."""
    (_, first), *others = windows.elements()
    total = xp.asarray(padded[:, :, *first], copy=True)
    for _, place in others:
        total += padded[:, :, *place]
    return total
