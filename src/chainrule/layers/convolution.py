"""Convolutions: linear maps of patches."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import Any

from .. import initializers
from ..checks import flag, per_axis, whole
from ..formulas import sum_over_batch
from ..initializers import Initializer
from ..parameter import Parameter
from ..types import Array, Backward
from ..windows import Windows, patches, sum_patches
from .windowed import PerAxis, Windowed


class Convolution(Windowed):
    """Base class of convolutions: multiplies the patches of an image by a matrix.

    If there are groups of channels, each group has its own matrix.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: PerAxis,
        stride: PerAxis,
        dilation: PerAxis,
        groups: int,
    ) -> None:
        axes = len(self.space)
        self.in_channels = whole("in_channels", in_channels, least=1)
        self.out_channels = whole("out_channels", out_channels, least=1)
        self.kernel_size = per_axis("kernel_size", kernel_size, axes, least=1)
        self.stride = per_axis("stride", stride, axes, least=1)
        self.dilation = per_axis("dilation", dilation, axes, least=1)
        self.groups = whole("groups", groups, least=1)
        if in_channels % groups or out_channels % groups:
            raise ValueError(
                "expected in_channels and out_channels to be multiples of groups, found "
                f"{in_channels}, {out_channels} and {groups}"
            )

    def _make_parameters(
        self,
        channels: tuple[int, int],
        bias: bool,
        init: Initializer | None,
        bias_init: Initializer | None,
        max_norm: float | None,
    ) -> None:
        init = initializers.he_normal() if init is None else init
        self.weight = Parameter((*channels, *self.kernel_size), init=init, max_norm=max_norm)
        biased = flag("bias", bias)
        self.bias = Parameter((self.out_channels,), init=bias_init, decay=False) if biased else None

    def _map(self, x: Array, windows: Windows) -> Array:
        """Return ``weight @ patches(x)``: an image with one element per window."""
        matmul, unfold = self.backend.matmul, self.backend.kernel(patches)
        weight = self._by_group(self.weight.value)
        shape = (x.shape[0], self.weight.shape[0], *windows.count)
        y = self.xp.empty(shape, dtype=x.dtype, device=x.device)
        for place, pixels, part in self._parts(x.shape, windows):
            columns = self._by_group(unfold(x[pixels], part))
            y[place] = self._image(matmul(weight, columns), part)
        return y

    def _map_back(self, y: Array, windows: Windows, shape: tuple[int, ...]) -> Array:
        """Apply the transpose of `_map`: ``sum_patches(weight.T @ y)``, an image of this shape."""
        matmul, fold = self.backend.matmul, self.backend.kernel(sum_patches)
        transposed = self.xp.matrix_transpose(self._by_group(self.weight.value))

        parts = [*self._parts(shape, windows)]
        x = self.xp.zeros(shape, dtype=y.dtype, device=y.device)
        for place, pixels, part in parts:
            columns = matmul(transposed, self._by_group(self._rows(y[place])))
            image = fold(columns, part, x[pixels].shape)
            if len(parts) == 1:  # nothing to add
                return image
            x[pixels] += image
        return x

    def _add_weight_gradient(self, dy: Array, x: Array, windows: Windows) -> None:
        """Add ``dy @ patches(x).T``, the gradient of the weight in `_map`."""
        if not self.weight.trainable:
            return
        xp, matmul, unfold = self.xp, self.backend.matmul, self.backend.kernel(patches)
        total = xp.zeros(self._by_group(self.weight.value).shape, dtype=x.dtype, device=x.device)
        for place, pixels, part in self._parts(x.shape, windows):
            columns = self._by_group(unfold(x[pixels], part))
            rows = self._by_group(self._rows(dy[place]))
            total += matmul(rows, xp.matrix_transpose(columns))
        self.weight.add_grad(xp.reshape(total, self.weight.shape))

    def _add_bias(self, y: Array) -> None:
        if self.bias is not None:
            y += self.xp.reshape(self.bias.value, (-1, *(1 for _ in self.space)))

    def _add_bias_gradient(self, dy: Array) -> None:
        if self.bias is not None:
            over_space = self.xp.sum(dy, axis=tuple(range(2, dy.ndim)))
            self.bias.add_grad(self.backend.kernel(sum_over_batch)(over_space))

    def _parts(
        self, shape: tuple[int, ...], windows: Windows
    ) -> Iterator[tuple[tuple[Any, ...], tuple[Any, ...], Windows]]:
        """Divide the windows into parts of about `Backend.patch_elements` patch elements.

        A part is a few images of the batch. If an image has more than four times as many patch
        elements, a part is a few rows of its windows. For each part, yield three items: its indices
        in the array with one element per window, the indices of the pixels under its windows, and
        the windows themselves.

        With few output channels, the matrix product does little work for each patch element. The
        parts are then larger, so that each thread has enough work.
        """
        (batch, _, height, *_), (rows, *_) = shape, windows.count
        each = self.weight.size // self.weight.shape[0] * self.groups * math.prod(windows.count)
        few_channels = max(1, 64 // self.weight.shape[0])
        limit = self.backend.patch_elements * few_channels
        images, step = max(1, limit // each), max(1, min(rows, 4 * limit * rows // each))
        for i, r in itertools.product(range(0, batch, images), range(0, rows, step)):
            some, place = slice(i, min(i + images, batch)), slice(r, min(r + step, rows))
            pixels, part = windows.rows(place, height)
            yield (some, slice(None), place, ...), (some, slice(None), pixels, ...), part

    def _by_group(self, matrix: Array) -> Array:
        """Split the first axis into groups: ``(groups, rows, columns)``."""
        return self.xp.reshape(matrix, (self.groups, matrix.shape[0] // self.groups, -1))

    def _rows(self, image: Array) -> Array:
        """Turn each channel of a batch into a row, ``(channels, batch, *space)``."""
        return self.xp.permute_dims(image, (1, 0, *range(2, image.ndim)))

    def _image(self, rows: Array, windows: Windows) -> Array:
        """Turn rows, divided by group, into a batch of images, ``(batch, channels, *space)``."""
        channels = rows.shape[0] * rows.shape[1]
        return self._rows(self.xp.reshape(rows, (channels, -1, *windows.count)))


class Conv2d(Convolution):
    """Two-dimensional convolution, a linear map of the patches of an image.

    For sample ``n`` and output channel ``o``, the sum runs over the channels ``c``, the rows ``i``
    and the columns ``j`` of a patch (without padding, dilation and groups)::

        y[n, o, r, s] = bias[o] + sum(weight[o, c, i, j] * x[n, c, r * stride + i, s * stride + j])

    This is a cross-correlation, because the kernel is not flipped. Every library calls it a
    convolution.

    Source: Y. LeCun et al., "Gradient-based learning applied to document recognition", 1998.

    Parameters
    ----------
    in_channels, out_channels : int
        The number of channels of ``x``, ``(batch, in_channels, height, width)``, and of ``y``. The
        height of ``y`` is ``(height + 2 * padding - dilation * (kernel_size - 1) - 1) // stride +
        1``. The width follows the same formula.
    kernel_size : int or tuple of int
        The height and width of a patch.
    stride : int or tuple of int, optional
        The distance between neighbouring patches.
    padding : int, tuple of int, "same" or "valid", optional
        The number of zeros added on each side. "valid" adds none. "same" gives ``y`` the height and
        width of ``x``, and needs a stride of 1. If the total number of zeros is odd, one more zero
        is added at the end than at the beginning.
    dilation : int or tuple of int, optional
        The distance between neighbouring elements of a patch.
    groups : int, optional
        The number of groups of channels. Each group of output channels sees only its own group of
        input channels. `in_channels` and `out_channels` must be multiples of `groups`.
    bias : bool, optional
        Whether to add a bias, ``(out_channels,)``.
    init : initializer, optional
        Initializer of the weight. By default, `initializers.he_normal`. The weight has shape
        ``(out_channels, in_channels // groups, *kernel_size)``.
    bias_init : initializer, optional
        Initializer of the bias. By default, the bias starts at zero.
    max_norm : float, optional
        The largest norm that the weights of one output channel may have (see `Parameter`).

    Raises
    ------
    ShapeError
        In `forward`, if the shape of ``x`` does not fit, or if ``x`` with its padding is smaller
        than the kernel.

    Examples
    --------
    >>> x = np.arange(9, dtype="float32").reshape(1, 1, 3, 3)
    >>> mean = cr.Conv2d(1, 1, 2, init=cr.initializers.constant(0.25))
    >>> mean.forward(x)[0]
    array([[[[2., 3.],
             [5., 6.]]]], dtype=float32)
    """

    takes_input_gradient = True

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: PerAxis,
        stride: PerAxis = 1,
        padding: PerAxis | str = 0,
        dilation: PerAxis = 1,
        groups: int = 1,
        bias: bool = True,
        *,
        init: Initializer | None = None,
        bias_init: Initializer | None = None,
        max_norm: float | None = None,
    ) -> None:
        super().__init__(in_channels, out_channels, kernel_size, stride, dilation, groups)
        self.padding = self._on_both_sides(padding)
        channels = self.out_channels, self.in_channels // self.groups
        self._make_parameters(channels, bias, init, bias_init, max_norm)

    def _on_both_sides(self, padding: PerAxis | str) -> tuple[tuple[int, int], ...]:
        if padding == "same":
            if max(self.stride) > 1:
                raise ValueError(f"expected a stride of 1 for padding='same', found {self.stride}")
            sums = [d * (k - 1) for d, k in zip(self.dilation, self.kernel_size, strict=True)]
            return tuple((n // 2, n - n // 2) for n in sums)
        if isinstance(padding, str) and padding != "valid":
            raise ValueError(f"expected padding 'same', 'valid' or numbers, found {padding!r}")
        sizes = per_axis("padding", 0 if padding == "valid" else padding, len(self.space), least=0)
        return tuple((n, n) for n in sizes)

    def forward(self, x: Array, *, training: bool = False) -> tuple[Array, Backward]:
        self._expect_image(x, self.in_channels)
        windows = self._windows(x, self.padding)
        y = self._map(x, windows)
        self._add_bias(y)

        def backward(dy: Array, input_gradient: bool = True) -> Array | None:
            self._add_weight_gradient(dy, x, windows)
            self._add_bias_gradient(dy)
            return self._map_back(dy, windows, x.shape) if input_gradient else None

        return y, backward


class Conv1d(Conv2d):
    """One-dimensional convolution of sequences, ``(batch, channels, length)``.

    This layer works as `Conv2d` does, but with one spatial axis instead of two. The weight has
    shape ``(out_channels, in_channels // groups, kernel_size)``.

    Examples
    --------
    >>> x = np.asarray([[[0, 0, 1, 1, 0]]], dtype="float32")
    >>> rises = cr.Conv1d(1, 1, 2, bias=False, init=cr.initializers.given([[[-1, 1]]]))
    >>> rises.forward(x)[0]
    array([[[ 0.,  1.,  0., -1.]]], dtype=float32)
    """

    space = ("length",)
