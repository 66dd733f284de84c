"""Batches of data: drawn from arrays in a new order each time round, or taken as they come."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from ..backends import Backend, get_backend
from ..backends.base import BackendLike
from ..checks import flag, whole
from ..types import Array, Seed
from .moving import move, to_device


class Batches:
    """Batches of arrays that `move` has checked, a new permutation each time round.

    Parameters
    ----------
    arrays : tuple of array
        ``(samples, ...)`` each, as `chainrule.data.moving.move` returns them.
    rng : numpy.random.Generator
        What the permutations are drawn from.
    batch_size, shuffle, drop_last, backend
        See `minibatches`.
    """

    def __init__(
        self,
        arrays: tuple[Array, ...],
        *,
        batch_size: int,
        rng: np.random.Generator,
        shuffle: bool = True,
        drop_last: bool = False,
        backend: Backend,
    ) -> None:
        self.arrays = arrays
        self.backend = backend
        self.samples: int = arrays[0].shape[0]
        self.batch_size = whole("batch_size", batch_size, least=1)
        if self.batch_size > self.samples:
            raise ValueError(
                f"expected a batch size from 1 to the number of samples, {self.samples}, "
                f"found {batch_size}"
            )
        self.rng = rng
        self.shuffle = flag("shuffle", shuffle)
        self._take: Callable[..., Array] = backend.xp.take
        rest = self.samples % self.batch_size
        self.sizes = [self.batch_size] * (self.samples // self.batch_size)
        if not flag("drop_last", drop_last) and rest:
            self.sizes.append(rest)
        self.on_disk = any(isinstance(array, np.memmap) for array in arrays)
        self.description = {
            "samples": self.samples,
            "batch_size": self.batch_size,
            "steps": len(self.sizes),
            "shuffle": self.shuffle,
        }

    def __len__(self) -> int:
        return len(self.sizes)

    def __iter__(self) -> Iterator[tuple[Array, ...]]:
        return self.starting_at(0)

    def starting_at(self, step: int) -> Iterator[tuple[Array, ...]]:
        """One time round without the first `step` batches, whose samples are not even read."""
        order = self.draw_order()
        on_device = None if order is None else self.backend.asarray(order)
        for i in range(step, len(self.sizes)):
            yield self.batch(i, order, on_device)

    def draw_order(self) -> np.ndarray | None:
        """The next order of the samples, None where they are taken as they come."""
        return self.rng.permutation(self.samples) if self.shuffle else None

    def batch(self, i: int, order: np.ndarray | None, on_device: Array) -> tuple[Array, ...]:
        """Batch `i` of an order that is given twice: in host memory, and on the device."""
        rows = slice(i * self.batch_size, i * self.batch_size + self.sizes[i])
        return tuple(
            to_device(self.backend, a[rows if order is None else order[rows]])
            if isinstance(a, np.memmap)
            else self._gather(a, rows if on_device is None else on_device[rows])
            for a in self.arrays
        )

    def _gather(self, array: Array, rows: Any) -> Array:
        if isinstance(rows, slice):  # a copy, as what is taken is: the data belongs to the user
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
    """Batches of `arrays` to iterate over, a new permutation each time round.

    The data is checked and moved to the device once, here; a `numpy.memmap` stays on disk, and each
    batch is moved when its turn comes. Integers stay integers: images in uint8 as they are, others
    in int64. float16 stays float16, half the memory; a model converts a batch to its own dtype.

    Parameters
    ----------
    *arrays : array
        ``(samples, ...)`` each, of any library, lists or frames: inputs, targets, and weights if
        there are any.
    batch_size : int
        How many samples a batch holds; the last one holds the rest.
    seed : int or numpy.random.Generator, optional
        What the permutations are drawn from.
    shuffle : bool, optional
        Whether to permute at all.
    drop_last : bool, optional
        Whether to leave out a last, smaller batch.
    backend : str, Backend or namespace, optional
        Where the batches are wanted: ``model.backend``.
    dtype : {"float32", "float64"}, optional
        What floating-point data is converted to, once; it stays as it is if not given.

    Returns
    -------
    Batches
        An iterable of tuples of arrays, one for each of `arrays`.

    Raises
    ------
    DataError
        If there is no data, if it is not numeric, or if it holds NaN or infinity.
    ShapeError
        If the arrays have different lengths.
    ValueError
        If the batch size is smaller than 1 or larger than the data.

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
