"""Batches of samples from arrays, in a new random order in each pass."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from ..backends import Backend, get_backend
from ..backends.base import BackendLike
from ..checks import flag, whole
from ..forms import each, first, named
from ..types import Array, Arrays, Seed
from .moving import move, to_device


class Batches:
    """Batches of samples from checked arrays, in a new random order in each pass.

    Parameters
    ----------
    arrays : tuple
        Arrays ``(samples, ...)``, as returned by `chainrule.data.moving.move`. Each entry is one
        array, or several arrays in a tuple or a dict.
    rng : numpy.random.Generator
        The generator that draws the permutations.
    batch_size, shuffle, drop_last, backend
        See `minibatches`.
    """

    def __init__(
        self,
        arrays: tuple[Arrays, ...],
        *,
        batch_size: int,
        rng: np.random.Generator,
        shuffle: bool = True,
        drop_last: bool = False,
        backend: Backend,
    ) -> None:
        self.arrays = arrays
        self.backend = backend
        self.samples: int = first(arrays[0]).shape[0]
        self.batch_size = whole("batch_size", batch_size, least=1)
        if self.batch_size > self.samples:
            raise ValueError(
                f"expected a batch size from 1 to {self.samples} (the number of samples), "
                f"found {batch_size}"
            )
        self.rng = rng
        self.shuffle = flag("shuffle", shuffle)
        self._take: Callable[..., Array] = backend.xp.take
        rest = self.samples % self.batch_size
        self.sizes = [self.batch_size] * (self.samples // self.batch_size)
        if not flag("drop_last", drop_last) and rest:
            self.sizes.append(rest)
        self.on_disk = any(isinstance(a, np.memmap) for x in arrays for a in named("", x).values())
        self.description = {
            "samples": self.samples,
            "batch_size": self.batch_size,
            "steps": len(self.sizes),
            "shuffle": self.shuffle,
        }

    def __len__(self) -> int:
        return len(self.sizes)

    def __iter__(self) -> Iterator[tuple[Arrays, ...]]:
        return self.starting_at(0)

    def starting_at(self, step: int) -> Iterator[tuple[Arrays, ...]]:
        """Yield the batches of one pass, starting at batch `step`. Earlier batches are not read."""
        order = self.draw_order()
        on_device = None if order is None else self.backend.asarray(order)
        for i in range(step, len(self.sizes)):
            yield self.batch(i, order, on_device)

    def draw_order(self) -> np.ndarray | None:
        """Return a new random order of the samples, or None if samples are not shuffled."""
        return self.rng.permutation(self.samples) if self.shuffle else None

    def batch(self, i: int, order: np.ndarray | None, on_device: Array) -> tuple[Arrays, ...]:
        """Return batch `i`. `on_device` is a copy of `order` on the device."""
        rows = slice(i * self.batch_size, i * self.batch_size + self.sizes[i])

        def gather(a: Array) -> Array:
            if isinstance(a, np.memmap):
                return to_device(self.backend, a[rows if order is None else order[rows]])
            return self._gather(a, rows if on_device is None else on_device[rows])

        return tuple(each(gather, x) for x in self.arrays)

    def _gather(self, array: Array, rows: Any) -> Array:
        if isinstance(rows, slice):  # copy, so that changing a batch does not change the data
            return self.backend.xp.asarray(array[rows, ...], copy=True)
        return self._take(array, rows, axis=0)


def minibatches(
    *arrays: Any,
    batch_size: int,
    seed: Seed = 0,
    shuffle: bool = True,
    drop_last: bool = False,
    backend: BackendLike = "numpy",
    dtype: str | None = None,
) -> Batches:
    """Split arrays into batches, in a new random order in each pass.

    This function checks the data once, and moves all of it to the device. The data of a
    `numpy.memmap` is an exception: it stays on disk, and is moved to the device one batch at a
    time. uint8 stays uint8, and all other integers become int64. float16 stays float16, which takes
    half the memory of float32. A model converts each batch to the model's own dtype.

    Parameters
    ----------
    *arrays : array, or tuple or dict of arrays
        Inputs, targets and optional sample weights, each with one row per sample. Lists, data
        frames and arrays of any library are accepted. Several inputs form a tuple or a dict, and
        each batch has the same form.
    batch_size : int
        The number of samples in a batch. The last batch may be smaller.
    seed : int or numpy.random.Generator, optional
        Seed or generator for the permutations.
    shuffle : bool, optional
        Whether to shuffle the samples before each pass.
    drop_last : bool, optional
        Whether to leave out the last batch if it is smaller than the others.
    backend : str, Backend or namespace, optional
        The backend of the returned batches, such as ``model.backend``.
    dtype : {"float32", "float64"}, optional
        The dtype to which floating-point data is converted. By default, the dtype is kept.

    Returns
    -------
    Batches
        An iterable of batches. Each batch is a tuple that contains the same rows of each array.

    Raises
    ------
    DataError
        If the data is empty, is not numeric, or contains NaN or infinity.
    ShapeError
        If the arrays have different lengths.
    ValueError
        If the batch size is smaller than 1 or larger than the number of samples.

    Examples
    --------
    >>> batches = minibatches(np.arange(5), batch_size=2, seed=0)
    >>> [x.tolist() for x, in batches], len(batches)
    ([[2, 4], [3, 0], [1]], 3)
    >>> [x.tolist() for x, in batches]
    [[4, 1], [2, 0], [3]]
    """
    backend = get_backend(backend)
    names = [*("x", "y", "sample_weight")[: len(arrays)], *map(str, range(3, len(arrays)))]
    moved = move(backend, dict(zip(names, arrays, strict=True)), dtype)
    rng, options = np.random.default_rng(seed), {"shuffle": shuffle, "drop_last": drop_last}
    return Batches(moved, batch_size=batch_size, rng=rng, backend=backend, **options)
