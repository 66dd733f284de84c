"""Several augmentations, one after another."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...types import Array
from .base import Augmentation, expect_augmentation, takes_parts


class Compose:
    """Apply several augmentations, one after another.

    Parameters
    ----------
    *augmentations : callable
        Augmentations of this module, or functions that take the inputs and a random generator and
        return the changed inputs. All of them draw from the same generator.

    Examples
    --------
    >>> flip, crop = cr.augmentation.RandomFlip(), cr.augmentation.RandomCrop(32, padding=4)
    >>> augment = cr.augmentation.Compose(flip, crop)
    >>> augment(np.ones((5, 3, 32, 32)), np.random.default_rng(0)).shape
    (5, 3, 32, 32)
    """

    def __init__(self, *augmentations: Augmentation) -> None:
        for augmentation in augmentations:
            expect_augmentation(augmentation)
        self.augmentations: tuple[Any, ...] = augmentations

    @property
    def takes_parts(self) -> bool:
        return all(map(takes_parts, self.augmentations))

    def __call__(self, images: Array, rng: np.random.Generator) -> Array:
        """Return the images after all augmentations."""
        for augmentation in self.augmentations:
            images = augmentation(images, rng)
        return images

    def on_part(
        self, images: Array, rng: np.random.Generator, samples: int, part: slice | np.ndarray
    ) -> Array:
        """Return the images after the last augmentation (see `ImageAugmentation.on_part`)."""
        for augmentation in self.augmentations:
            images = augmentation.on_part(images, rng, samples, part)
        return images

    def __repr__(self) -> str:
        return f"Compose({', '.join(map(repr, self.augmentations))})"
