"""Augmentations, and code that image augmentations share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np
from array_api_compat import array_namespace, is_array_api_obj

from ...backends.base import kernel
from ...checks import instance, is_function
from ...errors import DataError, ShapeError, shown, what_is_meant
from ...sampling import bilinear
from ...types import Array

_ALL = slice(None)
Augmentation = Callable[[Array, np.random.Generator], Array]
"""A function that takes a batch of inputs and a random generator, and returns a changed batch."""


def expect_augmentation(thing: Any) -> None:
    """Raise a TypeError unless `thing` can be used as an `Augmentation`."""
    if not is_function(thing):
        several = isinstance(thing, tuple | list)
        hint = ": use Compose(*augmentations) for several" if several else what_is_meant(thing)
        raise TypeError(
            f"expected an augmentation such as RandomFlip(), found {shown(thing)}{hint}"
        )


def takes_parts(augmentation: Any) -> bool:
    """Return whether an augmentation has `ImageAugmentation.on_part`.

    All others must be applied to the whole batch: plain functions, and subclasses of
    `ImageAugmentation` with their own ``__call__``.
    """
    whole = type(augmentation).__call__
    overridden = (
        isinstance(augmentation, ImageAugmentation) and whole is not ImageAugmentation.__call__
    )
    return getattr(augmentation, "takes_parts", False) and not overridden


class ImageAugmentation(ABC):
    """Base class for augmentations of images. All channels of an image change in the same way."""

    takes_parts = True

    def __call__(self, images: Array, rng: np.random.Generator) -> Array:
        """Return changed images with the same dtype.

        Parameters
        ----------
        images : array
            Images, ``(batch, height, width)`` or ``(batch, channels, height, width)``. The images
            are not modified. If the channels are on the last axis, first move them with
            ``np.moveaxis(images, -1, 1)``.
        rng : numpy.random.Generator
            The generator of the random numbers. The numbers are drawn in host memory, so they are
            the same on every backend.

        Raises
        ------
        TypeError
            If `images` is not an array, or if `rng` is not a generator.
        DataError
            If `images` does not hold real numbers.
        ShapeError
            If `images` does not have three or four axes.
        """
        return self.on_part(images, rng)

    def on_part(
        self,
        images: Array,
        rng: np.random.Generator,
        samples: int | None = None,
        part: slice | np.ndarray = _ALL,
    ) -> Array:
        """Return changed images for a part of a batch, as they are in the whole changed batch.

        Parameters
        ----------
        images, rng
            See `__call__`.
        samples : int, optional
            The number of images in the whole batch. Random numbers are drawn for all of them. By
            default, `images` are the whole batch.
        part : slice or array of int, optional
            The positions of `images` in the whole batch.
        """
        if not is_array_api_obj(images):
            found = f"{shown(images)}{_for_one_of_several(images)}"
            raise TypeError(f"{self!r}: expected one array of images, found {found}")
        instance(np.random.Generator, rng, "a generator such as np.random.default_rng(0)")
        xp = array_namespace(images)
        if not xp.isdtype(images.dtype, ("bool", "integral", "real floating")):
            raise DataError(f"expected images of real numbers, found dtype {images.dtype}")
        if images.ndim not in (3, 4):
            raise ShapeError(
                "expected images of shape (batch, height, width) or (batch, channels, height, "
                f"width), found {tuple(images.shape)}"
            )
        four = images if images.ndim == 4 else images[:, None, :, :]
        batch = images.shape[0] if samples is None else samples
        drawn = self._draw(rng, batch, tuple(four.shape[2:]))
        changed = self._change(four, *(numbers[part] for numbers in drawn))
        changed = changed if images.ndim == 4 else changed[:, 0, :, :]
        return xp.astype(changed, images.dtype, copy=False)

    @abstractmethod
    def _draw(
        self, rng: np.random.Generator, batch: int, size: tuple[int, ...]
    ) -> tuple[np.ndarray, ...]:
        """Return the random numbers for a batch of images: arrays ``(batch, ...)``.

        `size` is the height and the width of the images.
        """

    @abstractmethod
    def _change(self, images: Array, *drawn: np.ndarray) -> Array:
        """Return changed images, in any dtype that holds their values.

        `images` have shape ``(batch, channels, height, width)``. The arrays that `_draw` returned
        have one row for each image.
        """

    def __repr__(self) -> str:
        arguments = ", ".join(f"{name}={value!r}" for name, value in vars(self).items())
        return f"{type(self).__name__}({arguments})"


def _for_one_of_several(x: Any) -> str:
    """Return a hint for an error message if `x` is several inputs."""
    if isinstance(x, dict):
        changed = "{**x, 'image': augment(x['image'], rng)}"
    elif isinstance(x, tuple):
        changed = "(augment(x[0], rng), *x[1:])"
    else:
        return ""
    return f". To change one of several inputs, use lambda x, rng: {changed}"


def to_device(numbers: np.ndarray, images: Array, dtype: str) -> Array:
    """Return numbers from the host as an array like `images`: same library, same device."""
    return array_namespace(images).asarray(numbers.astype(dtype), device=images.device)


def precision(images: Array) -> str:
    """Return the name of the dtype for computing positions within these images."""
    xp = array_namespace(images)
    if xp.isdtype(images.dtype, "real floating"):
        return "float64" if xp.finfo(images.dtype).bits > 32 else "float32"
    if images.dtype == xp.uint8:
        return "float32"
    raise DataError(
        f"expected images in uint8 or in a floating-point dtype, found dtype {images.dtype}: "
        "convert them, for example with images.astype('float32')"
    )


def resample(images: Array, rows: Array, columns: Array, fill: float) -> Array:
    """Return the bilinear samples of `images` at these positions, rounded for integer images.

    The samples fit into the dtype of `images`, because each sample is a weighted mean of pixels.
    """
    xp = array_namespace(images)
    fill = float(fill_of(images, fill))
    samples = kernel(xp, bilinear)(images, rows, columns, fill)
    return samples if xp.isdtype(images.dtype, "real floating") else xp.round(samples)


def fill_of(images: Array, fill: float) -> Any:
    """Return `fill` as a Python number for the dtype of `images`.

    Raises
    ------
    ValueError
        If a pixel of this dtype cannot have the value `fill`.
    """
    xp, dtype = array_namespace(images), images.dtype
    if xp.isdtype(dtype, "real floating"):
        most = float(xp.finfo(dtype).max)
        if abs(fill) > most:
            raise ValueError(
                f"expected fill to be from {-most:g} to {most:g} for images of dtype {dtype}, "
                f"found {fill:g}"
            )
        return fill
    is_bool = dtype == xp.bool
    least, most = (0, 1) if is_bool else (xp.iinfo(dtype).min, xp.iinfo(dtype).max)
    if not (least <= fill <= most and fill == int(fill)):
        raise ValueError(
            f"expected fill to be a whole number from {least} to {most} for images of dtype "
            f"{dtype}, found {fill:g}"
        )
    return bool(fill) if is_bool else int(fill)
