"""Training: one loop, which callbacks, estimators and files share."""

from .trainer import Trainer

__all__ = ["Trainer"]
