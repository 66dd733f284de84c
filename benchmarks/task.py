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
    """The functions to time, which return numbers in host memory."""

    step: Callable[[], float]
    """Draws a batch, runs a training step, and returns the loss before the step."""
    epoch: Callable[[], float]
    """Trains on all batches of `Data.epoch` in a new order, and returns the mean loss."""
    predict: Callable[[np.ndarray], np.ndarray]
    """Returns the logits of some images, up to a constant for each image."""


@dataclass(frozen=True)
class Data:
    """Images and labels in memory, the batch size, and the number of batches per epoch."""

    images: np.ndarray
    labels: np.ndarray
    batch: int
    steps: int
    """Number of batches per epoch. All batches are full."""

    @property
    def epoch(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the images and labels of an epoch: the first ``steps * batch`` samples."""
        samples = self.steps * self.batch
        return self.images[:samples], self.labels[:samples]

    def passes(self, *arrays: np.ndarray) -> Batches:
        """Return batches of these arrays, in a new order in each pass."""
        return cr.minibatches(*arrays, batch_size=self.batch, seed=0, drop_last=True)

    def batches(self) -> Iterator[tuple[Any, ...]]:
        """Yield batches of all images and labels, without end."""
        return _endless(self.passes(self.images, self.labels))

    def rows(self) -> Iterator[np.ndarray]:
        """Yield the sample indices of the batches that `batches` yields."""
        return (rows for (rows,) in _endless(self.passes(np.arange(len(self.images)))))

    def epoch_rows(self) -> Callable[[], Iterator[np.ndarray]]:
        """Return a function that yields the sample indices of an epoch's batches in a new order."""
        passes = self.passes(np.arange(self.steps * self.batch))
        return lambda: (rows for (rows,) in passes)


def _endless(passes: Batches) -> Iterator[tuple[Any, ...]]:
    while True:
        yield from passes


def make_data(
    features: int | tuple[int, ...], batch: int, samples: int = 60_000, steps: int = 1
) -> Data:
    """Draw uniform noise in float32 as images, and random labels."""
    rng = np.random.default_rng(0)
    shape = (features,) if isinstance(features, int) else features
    images = rng.random((samples, *shape), dtype=np.float32)
    return Data(images, rng.integers(0, CLASSES, samples), batch, steps)


def network(widths: list[int], backend: Any = "numpy") -> cr.Sequential:
    """Return a model of linear layers with ReLU between them."""
    return cr.mlp(widths, seed=0, backend=backend)


def weights(widths: list[int]) -> list[np.ndarray]:
    """Return the initial weights ``(out, in)`` and biases, layer by layer."""
    return [np.array(p.value) for p in network(widths).parameters()]
