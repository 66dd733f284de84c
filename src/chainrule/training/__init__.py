"""Train models with a `Trainer`, and save and resume training runs."""

from .trainer import Trainer

__all__ = ["Trainer"]
