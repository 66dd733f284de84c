"""Data: batches drawn from arrays or taken ready-made, and changes to their inputs."""

from . import augmentation
from .minibatches import Batches, minibatches
from .stream import BatchStream

__all__ = ["BatchStream", "Batches", "augmentation", "minibatches"]
