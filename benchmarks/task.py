"""What every library is given: the data, the order of the batches, the initial weights."""

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
    """What is timed; all return numbers on the host."""

    step: Callable[[], float]
    """Draws a batch, trains on it, returns its loss before the step."""
    epoch: Callable[[], float]
    """Trains on all batches of `Data.epoch` in a new order, returns their mean loss."""
    predict: Callable[[np.ndarray], np.ndarray]
    """The logits of some images, or what differs from them by a number an image."""


@dataclass(frozen=True)
class Data:
    """Images and labels in memory, and how many of them a step and an epoch take."""

    images: np.ndarray
    labels: np.ndarray
    batch: int
    steps: int
    """In an epoch: so many batches fill it without a rest."""

    @property
    def epoch(self) -> tuple[np.ndarray, np.ndarray]:
        """The images and labels of an epoch, the first ones."""
        samples = self.steps * self.batch
        return self.images[:samples], self.labels[:samples]

    def passes(self, *arrays: np.ndarray) -> Batches:
        """Batches in an order that is new each time round; by themselves, a permutation's parts."""
        return cr.minibatches(*arrays, batch_size=self.batch, seed=0, drop_last=True)

    def batches(self) -> Iterator[tuple[Any, ...]]:
        """Batches of all images and labels, without an end."""
        return _endless(self.passes(self.images, self.labels))

    def rows(self) -> Iterator[np.ndarray]:
        """The numbers of the samples in those batches."""
        return (rows for (rows,) in _endless(self.passes(np.arange(len(self.images)))))

    def epoch_rows(self) -> Callable[[], Iterator[np.ndarray]]:
        """Makes the numbers of the samples in the batches of an epoch, in a new order each time."""
        passes = self.passes(np.arange(self.steps * self.batch))
        return lambda: (rows for (rows,) in passes)


def _endless(passes: Batches) -> Iterator[tuple[Any, ...]]:
    while True:
        yield from passes


def make_data(features: int, batch: int, samples: int = 60_000, steps: int = 1) -> Data:
    """Uniform noise in float32, with labels."""
    rng = np.random.default_rng(0)
    images = rng.random((samples, features), dtype=np.float32)
    return Data(images, rng.integers(0, CLASSES, samples), batch, steps)


def network(widths: list[int], backend: Any = "numpy") -> cr.Sequential:
    """Linear maps with rectifiers between them."""
    return cr.mlp(widths, seed=0, backend=backend)


def weights(widths: list[int]) -> list[np.ndarray]:
    """The initial weights and biases, layer by layer, weights as ``(out, in)``."""
    return [np.array(p.value) for p in network(widths).parameters()]
