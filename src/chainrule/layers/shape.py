"""Layers that change only the shape of their input, and a layer that changes nothing."""

from __future__ import annotations

import math

from ..checks import per_axis, whole
from ..types import Array, Backward
from ..windows import crop, pad
from .base import Layer
from .windowed import axes_hint


class Flatten(Layer):
    """Flattens each sample: ``(batch, height, width)`` becomes ``(batch, height * width)``.

    Examples
    --------
    >>> images = np.zeros((4, 1, 28, 28), dtype="float32")
    >>> cr.Flatten().forward(images)[0].shape
    (4, 784)
    """

    def forward(self, x: Array, *, training: bool = False) -> tuple[Array, Backward]:
        xp, shape = self.xp, x.shape
        self.expect(x.ndim > 0, ("batch", "..."), x)

        def backward(dy: Array) -> Array:
            return xp.reshape(dy, shape)

        return xp.reshape(x, (shape[0], math.prod(shape[1:]))), backward


class Unflatten(Layer):
    """Splits one axis into several, such as ``(batch, 784)`` into ``(batch, 1, 28, 28)``.

    Parameters
    ----------
    dim : int
        The axis to split, at least 1, because axis 0 is the batch.
    unflattened_size : tuple of int
        The sizes of the new axes. One size may be -1, which means that it is computed from the
        other sizes.

    Raises
    ------
    ShapeError
        In `forward`, if ``x`` has no such axis, or if the size of this axis is not the product of
        the new sizes.

    Examples
    --------
    >>> images = np.zeros((4, 28, 28), dtype="float32")
    >>> cr.Unflatten(1, (1, 28)).forward(images)[0].shape
    (4, 1, 28, 28)
    """

    def __init__(self, dim: int, unflattened_size: tuple[int, ...]) -> None:
        self.dim = whole("dim", dim, least=1)
        several = isinstance(unflattened_size, tuple | list)
        given = unflattened_size if several else ()
        self.sizes = tuple(whole("unflattened_size", n, least=-1) for n in given)
        if 0 in self.sizes or self.sizes.count(-1) > 1 or not self.sizes:
            raise ValueError(
                "expected unflattened_size to be sizes above 0, or -1 for one unknown size, found "
                f"{unflattened_size!r}"
            )

    def forward(self, x: Array, *, training: bool = False) -> tuple[Array, Backward]:
        xp, shape, dim = self.xp, x.shape, self.dim
        known = math.prod(n for n in self.sizes if n > 0)
        fits = dim < x.ndim and (
            shape[dim] % known == 0 if -1 in self.sizes else shape[dim] == known
        )
        size = f"a multiple of {known}" if -1 in self.sizes else known
        self.expect(fits, ("batch", *["any"] * (dim - 1), size, "..."), x)

        def backward(dy: Array) -> Array:
            return xp.reshape(dy, shape)

        sizes = (shape[dim] // known if n == -1 else n for n in self.sizes)
        return xp.reshape(x, (*shape[:dim], *sizes, *shape[dim + 1 :])), backward


class ZeroPad2d(Layer):
    """Adds zeros around images, ``(batch, channels, height, width)``.

    Parameters
    ----------
    padding : int or tuple of int
        How many columns and rows to add: one number for all sides, or
        ``(left, right, top, bottom)``.

    Raises
    ------
    ShapeError
        In `forward`, if ``x`` is not ``(batch, channels, height, width)``.

    Examples
    --------
    >>> cr.ZeroPad2d((1, 0, 0, 1)).forward(np.ones((1, 1, 1, 2), dtype="float32"))[0]
    array([[[[0., 1., 1.],
             [0., 0., 0.]]]], dtype=float32)
    """

    def __init__(self, padding: int | tuple[int, int, int, int]) -> None:
        left, right, top, bottom = per_axis("padding", padding, 4, least=0)
        self.padding = ((top, bottom), (left, right))

    def forward(self, x: Array, *, training: bool = False) -> tuple[Array, Backward]:
        expected = "batch", "channels", "height", "width"
        self.expect(x.ndim == 4, expected, x, axes_hint(x, None, 4))
        return pad(self.xp, x, self.padding), lambda dy: crop(dy, self.padding)


class Identity(Layer):
    """Identity, ``y = x``.

    Examples
    --------
    >>> cr.Identity().forward(np.asarray([-2.0, 3.0]))[0]
    array([-2.,  3.])
    """

    per_step = True

    def forward(self, x: Array, *, training: bool = False) -> tuple[Array, Backward]:
        return x, lambda dy: dy
