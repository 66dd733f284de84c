"""Batches from arrays, ready-made batches, and augmentation of the inputs."""

from . import augmentation
from .minibatches import Batches, minibatches
from .stream import BatchStream

__all__ = ["BatchStream", "Batches", "augmentation", "minibatches"]
