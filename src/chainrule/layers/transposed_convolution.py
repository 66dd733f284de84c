"""The transposed convolution, which makes images larger."""

from __future__ import annotations

from ..checks import per_axis
from ..errors import ShapeError
from ..initializers import Initializer
from ..types import Array, Backward
from ..windows import Windows
from .convolution import Convolution
from .windowed import PerAxis


class ConvTranspose2d(Convolution):
    """Transposed convolution, which makes images larger: the adjoint of a `Conv2d`.

    Each element of ``x`` multiplies the kernel. The product is added to ``y`` at `stride` times the
    position of the element. The forward pass computes the same map as the backward pass of a
    `Conv2d` from `out_channels` to `in_channels` with the same weight.

    Source: V. Dumoulin and F. Visin, "A guide to convolution arithmetic for deep learning", 2016.

    Parameters
    ----------
    in_channels, out_channels : int
        The number of channels of ``x``, ``(batch, in_channels, height, width)``, and of ``y``. The
        height of ``y`` is ``(height - 1) * stride - 2 * padding + dilation * (kernel_size - 1) +
        output_padding + 1``. The width follows the same formula.
    kernel_size, stride, dilation, groups, bias, init, bias_init, max_norm
        See `Conv2d`. The weight has shape ``(in_channels, out_channels // groups, *kernel_size)``,
        so `max_norm` limits the weights of one input channel. As in PyTorch, initializers use the
        length of axis 1 as the number of inputs. So `initializers.he_normal` keeps the scale of
        activations only if `in_channels` equals `out_channels` and the stride is 1.
    padding : int or tuple of int, optional
        The number of rows and columns to remove from each side of ``y``.
    output_padding : int or tuple of int, optional
        The number of rows and columns to add to ``y`` at the bottom and on the right. It must be
        less than the larger of `stride` and `dilation`. With a stride above 1, a `Conv2d` maps
        images of several sizes to the size of ``x``, and `output_padding` selects one of these
        sizes.

    Raises
    ------
    ShapeError
        In `forward`, if the shape of ``x`` does not fit, or if `padding` removes all of ``y``.

    Examples
    --------
    >>> x = np.asarray([[[[1, 2]]]], dtype="float32")
    >>> twice = cr.ConvTranspose2d(1, 1, 2, stride=2, init=cr.initializers.constant(1.0))
    >>> twice.forward(x)[0]
    array([[[[1., 1., 2., 2.],
             [1., 1., 2., 2.]]]], dtype=float32)
    """

    takes_input_gradient = True

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: PerAxis,
        stride: PerAxis = 1,
        padding: PerAxis = 0,
        output_padding: PerAxis = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: PerAxis = 1,
        *,
        init: Initializer | None = None,
        bias_init: Initializer | None = None,
        max_norm: float | None = None,
    ) -> None:
        super().__init__(in_channels, out_channels, kernel_size, stride, dilation, groups)
        self.padding = per_axis("padding", padding, len(self.space), least=0)
        self.output_padding = per_axis("output_padding", output_padding, len(self.space), least=0)
        for extra, *limits in zip(self.output_padding, self.stride, self.dilation, strict=True):
            if extra >= max(limits):
                raise ValueError(
                    "expected output_padding to be less than max(stride, dilation), found "
                    f"{self.output_padding}"
                )
        channels = self.in_channels, self.out_channels // self.groups
        self._make_parameters(channels, bias, init, bias_init, max_norm)

    def forward(self, x: Array, *, training: bool = False) -> tuple[Array, Backward]:
        self._expect_image(x, self.in_channels)
        windows, shape = self._windows_of_output(x)
        y = self._map_back(x, windows, shape)
        self._add_bias(y)

        def backward(dy: Array, input_gradient: bool = True) -> Array | None:
            self._add_weight_gradient(x, dy, windows)
            self._add_bias_gradient(dy)
            return self._map(dy, windows) if input_gradient else None

        return y, backward

    def _windows_of_output(self, x: Array) -> tuple[Windows, tuple[int, ...]]:
        """Return the output's windows, one for each element of `x`, and the output's shape."""
        count, sizes = x.shape[2:], []
        for i, name in enumerate(self.space):
            reach = self.dilation[i] * (self.kernel_size[i] - 1) + 1 + self.output_padding[i]
            full = (count[i] - 1) * self.stride[i] + reach
            if full <= 2 * self.padding[i]:
                raise ShapeError(
                    f"{self._label()}: expected padding that leaves part of the output, found "
                    f"padding that removes {2 * self.padding[i]} elements of a {name} of {full}, "
                    f"for an input of shape {tuple(x.shape)}"
                )
            sizes.append(full - 2 * self.padding[i])
        padding = tuple((p, p) for p in self.padding)
        windows = Windows(self.kernel_size, self.stride, self.dilation, padding, count)
        return windows, (x.shape[0], self.out_channels, *sizes)
