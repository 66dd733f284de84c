"""Batches of data, drawn in a new order each time round."""

from __future__ import annotations

import operator
from collections.abc import Iterator
from typing import Any

import numpy as np

from .backend import Array, Backend, BackendLike, get_backend
from .errors import DataError, ShapeError

Seed = int | np.random.Generator


class minibatches:  # noqa: N801  (used as a function in a for statement)
    """An iterable of batches of `arrays`, a new permutation each time round.

    The data is checked and moved to the device once, here. Integers stay integers: images in uint8
    as they are, others in int64.

    Parameters
    ----------
    *arrays : array
        ``(samples, ...)`` each: inputs, targets, and weights if there are any.
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
    checked : bool, optional
        Whether the arrays come from `move` already.

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

    def __init__(
        self,
        *arrays: Any,
        batch_size: int,
        seed: Seed = 0,
        shuffle: bool = True,
        drop_last: bool = False,
        backend: BackendLike = "numpy",
        dtype: str | None = None,
        checked: bool = False,
    ) -> None:
        self.backend = get_backend(backend)
        names = [*("x", "y", "sample_weight")[: len(arrays)], *map(str, range(3, len(arrays)))]
        self.arrays = (
            arrays if checked else move(self.backend, dict(zip(names, arrays, strict=True)), dtype)
        )
        self.samples: int = self.arrays[0].shape[0]
        batch_size = operator.index(batch_size)
        if not 1 <= batch_size <= self.samples:
            raise ValueError(
                f"expected a batch size from 1 to the number of samples, {self.samples}, "
                f"found {batch_size}"
            )
        self.batch_size = batch_size
        self.rng = np.random.default_rng(seed)
        self.shuffle = shuffle
        rest = self.samples % batch_size
        self.sizes = [batch_size] * (self.samples // batch_size)
        if rest and not drop_last:
            self.sizes.append(rest)

    def __len__(self) -> int:
        return len(self.sizes)

    def __iter__(self) -> Iterator[tuple[Array, ...]]:
        take = self.backend.xp.take
        order = None
        if self.shuffle:
            order = self.backend.asarray(self.rng.permutation(self.samples))
        for i, size in enumerate(self.sizes):
            rows = slice(i * self.batch_size, i * self.batch_size + size)
            if order is None:
                yield tuple(a[rows, ...] for a in self.arrays)
            else:
                yield tuple(take(a, order[rows], axis=0) for a in self.arrays)


def move(backend: Backend, arrays: dict[str, Any], dtype: str | None) -> tuple[Array, ...]:
    """The arrays on the device, checked: numbers, all finite, all of one length of at least 1."""
    if not arrays:
        raise TypeError("expected at least one array")
    target = None if dtype is None else backend.dtype(dtype)
    moved: dict[str, Array] = {}
    for name, data in arrays.items():
        try:
            array = backend.asarray(data)
        except DataError as error:
            raise DataError(f"{name}: {error}") from None
        if array.ndim == 0 or 0 in array.shape:
            raise DataError(
                f"{name}: expected samples, found an array of shape {tuple(array.shape)}"
            )
        if backend.xp.isdtype(array.dtype, "real floating"):
            array = backend.asarray(array, dtype=target)
            _check_finite(backend, name, array)
        elif array.dtype not in (backend.xp.uint8, backend.xp.int64, backend.xp.bool):
            array = backend.xp.astype(array, backend.xp.int64)  # not every library gathers others
        moved[name] = array
    lengths = {name: array.shape[0] for name, array in moved.items()}
    if len(set(lengths.values())) > 1:
        found = ", ".join(f"{n} of {name}" for name, n in lengths.items())
        raise ShapeError(f"expected as many samples in each array, found {found}")
    return tuple(moved.values())


def _check_finite(backend: Backend, name: str, array: Array) -> None:
    xp = backend.xp
    finite = xp.isfinite(array)
    if bool(xp.all(finite)):
        return
    rows = xp.all(xp.reshape(finite, (array.shape[0], -1)), axis=1)
    bad = np.flatnonzero(~backend.to_numpy(rows))
    raise DataError(
        f"{name}: expected finite numbers, found NaN, infinity or what is too large for "
        f"{array.dtype} in {len(bad)} of {array.shape[0]} samples, first in sample {bad[0]}"
    )
