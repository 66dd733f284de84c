"""Training: `Trainer`, the training loop, and files of training runs."""

from .trainer import Trainer

__all__ = ["Trainer"]
