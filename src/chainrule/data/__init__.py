"""Batches of samples, cut from arrays or ready-made, with optional augmentation of the inputs."""

from . import augmentation
from .minibatches import Batches, minibatches
from .stream import BatchStream

__all__ = ["BatchStream", "Batches", "augmentation", "minibatches"]
