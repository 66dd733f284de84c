"""Data: batches drawn from arrays or ready-made, and augmentation of their inputs."""

from . import augmentation
from .minibatches import Batches, minibatches
from .stream import BatchStream

__all__ = ["BatchStream", "Batches", "augmentation", "minibatches"]
