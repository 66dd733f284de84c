"""Losses: the distance of outputs from targets, each with its gradient below its value."""

from .base import Loss
from .binary import BCELoss, BCEWithLogitsLoss
from .classes import CrossEntropyLoss, KLDivLoss
from .regression import HuberLoss, L1Loss, MSELoss

__all__ = [
    "BCELoss",
    "BCEWithLogitsLoss",
    "CrossEntropyLoss",
    "HuberLoss",
    "KLDivLoss",
    "L1Loss",
    "Loss",
    "MSELoss",
]


def __dir__() -> list[str]:
    return __all__
