"""Data: batches drawn from arrays or taken ready-made, and changes to their inputs."""

from . import augmentation
from .minibatches import minibatches
from .stratified import stratified_split
from .stream import BatchStream

__all__ = ["BatchStream", "augmentation", "minibatches", "stratified_split"]
