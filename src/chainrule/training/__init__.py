"""Training: one loop, shared by callbacks, estimators and files."""

from .trainer import Trainer

__all__ = ["Trainer"]
