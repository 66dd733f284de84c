"""The same task for every library: the same data, batches and initial weights."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

import chainrule as cr
from chainrule.data import Batches

LR = 1e-4
CLASSES = 10


@dataclass(frozen=True)
class Task:
    """The functions to time; all of them return numbers in host memory."""

    step: Callable[[], float]
    """Draws a batch, trains on it and returns its loss before the step."""
    epoch: Callable[[], float]
    """Trains on all batches of `Data.epoch` in a new order and returns their mean loss."""
    predict: Callable[[np.ndarray], np.ndarray]
    """The logits of some images, up to a constant for each image."""


@dataclass(frozen=True)
class Data:
    """Images and labels in memory, and the sizes of a batch and an epoch."""

    images: np.ndarray
    labels: np.ndarray
    batch: int
    steps: int
    """Number of batches per epoch; all are full."""

    @property
    def epoch(self) -> tuple[np.ndarray, np.ndarray]:
        """The images and labels of an epoch: the first ``steps * batch`` samples."""
        samples = self.steps * self.batch
        return self.images[:samples], self.labels[:samples]

    def passes(self, *arrays: np.ndarray) -> Batches:
        """Batches of these arrays, in a new order in each pass."""
        return cr.minibatches(*arrays, batch_size=self.batch, seed=0, drop_last=True)

    def batches(self) -> Iterator[tuple[Any, ...]]:
        """An endless stream of batches of all images and labels."""
        return _endless(self.passes(self.images, self.labels))

    def rows(self) -> Iterator[np.ndarray]:
        """The sample indices of these batches."""
        return (rows for (rows,) in _endless(self.passes(np.arange(len(self.images)))))

    def epoch_rows(self) -> Callable[[], Iterator[np.ndarray]]:
        """A function that returns the sample indices of an epoch's batches, in a new order."""
        passes = self.passes(np.arange(self.steps * self.batch))
        return lambda: (rows for (rows,) in passes)


def _endless(passes: Batches) -> Iterator[tuple[Any, ...]]:
    while True:
        yield from passes


def make_data(features: int, batch: int, samples: int = 60_000, steps: int = 1) -> Data:
    """Uniform noise in float32, with random labels."""
    rng = np.random.default_rng(0)
    images = rng.random((samples, features), dtype=np.float32)
    return Data(images, rng.integers(0, CLASSES, samples), batch, steps)


def network(widths: list[int], backend: Any = "numpy") -> cr.Sequential:
    """Linear layers with ReLU between them."""
    return cr.mlp(widths, seed=0, backend=backend)


def weights(widths: list[int]) -> list[np.ndarray]:
    """The initial weights and biases, layer by layer, weights as ``(out, in)``."""
    return [np.array(p.value) for p in network(widths).parameters()]
