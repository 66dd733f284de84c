"""Losses measure how far outputs are from targets. Each loss also computes its gradient."""

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
