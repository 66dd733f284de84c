"""Random changes to a batch of inputs. The labels do not change."""

from .affine import RandomAffine
from .base import Augmentation as Augmentation
from .compose import Compose
from .crop import RandomCrop, RandomShift
from .elastic import RandomElastic
from .flip import RandomFlip

__all__ = [
    "Compose",
    "RandomAffine",
    "RandomCrop",
    "RandomElastic",
    "RandomFlip",
    "RandomShift",
]


def __dir__() -> list[str]:
    return __all__
