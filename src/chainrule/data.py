"""Batches of data: drawn from arrays in a new order each time round, or taken as they come."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from array_api_compat import array_namespace, is_array_api_obj

from .backend import Array, Backend, BackendLike, as_numpy, get_backend, host_array
from .checks import whole
from .errors import DataError, ShapeError

if TYPE_CHECKING:
    from .layers.sequential import Sequential
    from .losses import Loss

Seed = int | np.random.Generator

_CHECKED_AT_ONCE = 2**24  # bytes of a file that are looked at together


class minibatches:  # noqa: N801  (used as a function in a for statement)
    """An iterable of batches of `arrays`, a new permutation each time round.

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
        batch_size = whole("batch_size", batch_size, least=1)
        if batch_size > self.samples:
            raise ValueError(
                f"expected a batch size from 1 to the number of samples, {self.samples}, "
                f"found {batch_size}"
            )
        self.batch_size = batch_size
        self.rng = np.random.default_rng(seed)
        self.shuffle = shuffle
        self._take: Callable[..., Array] = self.backend.xp.take
        rest = self.samples % batch_size
        self.sizes = [batch_size] * (self.samples // batch_size)
        if rest and not drop_last:
            self.sizes.append(rest)

        self.on_disk = any(isinstance(array, np.memmap) for array in self.arrays)
        self.description = {
            "samples": self.samples,
            "batch_size": batch_size,
            "steps": len(self.sizes),
            "shuffle": shuffle,
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
        """Batch `i` of an order, which is on the device, too."""
        rows = slice(i * self.batch_size, i * self.batch_size + self.sizes[i])
        return tuple(
            in_memory(self.backend, a[rows if order is None else order[rows]])
            if isinstance(a, np.memmap)
            else self._from_memory(a, rows if on_device is None else on_device[rows])
            for a in self.arrays
        )

    def _from_memory(self, array: Array, rows: Any) -> Array:
        return array[rows, ...] if isinstance(rows, slice) else self._take(array, rows, axis=0)


class BatchStream:
    """Batches that come ready-made, checked and moved to the device one at a time.

    Parameters
    ----------
    source : iterable or callable
        What gives batches ``(x, y)`` or ``(x, y, sample_weight)``: an iterable that can start
        again, such as a list or a PyTorch ``DataLoader``, or a function of a NumPy Generator that
        returns an iterator. A training can go on exactly in the middle of an epoch only if all
        randomness comes from that generator: not with a loader that shuffles by itself.
    rng : numpy.random.Generator
        What a function is handed.
    backend : Backend
        Where the batches are wanted.
    dtype : {"float32", "float64"}
        What floating-point data is converted to.

    Raises
    ------
    TypeError
        If the source is an iterator, which comes only once; if a batch is no tuple.
    DataError, ShapeError
        If a batch holds what `minibatches` would refuse.
    """

    def __init__(
        self, source: Any, *, rng: np.random.Generator, backend: Backend, dtype: str
    ) -> None:
        data = is_array_api_obj(source) or hasattr(source, "columns")
        again = hasattr(source, "__iter__") and iter(source) is not source
        if data or not (callable(source) or again):
            raise TypeError(
                "expected x and y, an iterable of batches that can start again, or a function of a "
                f"numpy.random.Generator that returns one; found {type(source).__name__}"
                f"{': was y forgotten?' if data else ''}"
            )
        self.source = source
        self.rng = rng
        self.backend = backend
        self.dtype = dtype
        self.description = {"source": type(source).__name__}

    def __len__(self) -> int:
        return len(self.source) if hasattr(self.source, "__len__") else 0  # not known beforehand

    def starting_at(self, step: int) -> Iterator[tuple[Array, ...]]:
        """One time round without the first `step` batches, which are drawn and let go."""
        batches = self.source(self.rng) if callable(self.source) else self.source
        for i, batch in enumerate(itertools.islice(batches, step, None), start=step):
            if not isinstance(batch, tuple | list) or len(batch) not in (2, 3):
                raise TypeError(
                    f"batch {i}: expected (x, y) or (x, y, sample_weight), found {batch!r:.80}; "
                    "if these are the inputs themselves, was y forgotten?"
                )
            names = (f"batch {i}, x", f"batch {i}, y", f"batch {i}, sample_weight")
            yield move(self.backend, dict(zip(names, batch, strict=False)), self.dtype)


def in_memory(backend: Backend, array: Array) -> Array:
    """An array that `move` returned, or a part of it: on the device, if it was on disk till now."""
    if isinstance(array, backend.array_type) and not isinstance(array, np.memmap):
        return array
    copy = np.array(array)
    whole = copy.dtype.kind in "iu" and copy.dtype != np.uint8  # not every library has the others
    return backend.asarray(copy.astype(np.int64) if whole else copy)


def move(backend: Backend, arrays: dict[str, Any], dtype: str | None) -> tuple[Array, ...]:
    """The arrays on the device, checked: numbers, all finite, all of one length of at least 1."""
    if not arrays:
        raise TypeError("expected at least one array")
    moved = {name: _moved(backend, name, data, dtype) for name, data in arrays.items()}
    lengths = {name: array.shape[0] for name, array in moved.items()}
    if len(set(lengths.values())) > 1:
        found = ", ".join(f"{n} of {name}" for name, n in lengths.items())
        raise ShapeError(f"expected as many samples in each array, found {found}")
    return tuple(moved.values())


def _moved(backend: Backend, name: str, data: Any, dtype: str | None) -> Array:
    xp, on_disk = backend.xp, isinstance(data, np.memmap)
    try:
        array = host_array(data) if on_disk else backend.asarray(data)
    except DataError as error:
        raise DataError(f"{name}: {error}") from None
    if array.ndim == 0 or 0 in array.shape:
        raise DataError(f"{name}: expected samples, found an array of shape {tuple(array.shape)}")
    if on_disk:
        _check_finite(get_backend("numpy"), name, data)
        return data
    if array.dtype == getattr(xp, "float16", None):
        _check_finite(backend, name, array)
    elif xp.isdtype(array.dtype, "real floating"):
        array = backend.asarray(array, dtype=None if dtype is None else backend.dtype(dtype))
        _check_finite(backend, name, array)
    elif array.dtype not in (xp.uint8, xp.int64, xp.bool):
        if not xp.isdtype(array.dtype, "integral"):
            raise DataError(f"{name}: expected real numbers, found dtype {array.dtype}")
        array = xp.astype(array, xp.int64)  # not every library gathers others
    return array


def _check_finite(backend: Backend, name: str, array: Array) -> None:
    xp, samples = backend.xp, array.shape[0]
    step = samples
    if isinstance(array, np.memmap):
        step = max(1, _CHECKED_AT_ONCE * samples // array.nbytes)
    bad: list[int] = []
    for start in range(0, samples, step):
        finite = xp.isfinite(array[start : start + step, ...])
        if not bool(xp.all(finite)):
            rows = xp.all(xp.reshape(finite, (finite.shape[0], -1)), axis=1)
            bad.extend((start + np.flatnonzero(~backend.to_numpy(rows))).tolist())
    if bad:
        raise DataError(
            f"{name}: expected finite numbers, found NaN, infinity or what is too large for "
            f"{array.dtype} in {len(bad)} of {samples} samples, first in sample {bad[0]}"
        )


def move_checked(
    model: Sequential, loss: Loss, x: Any, y: Any, weight: Any = None, *, prefix: str = ""
) -> tuple[Array, ...]:
    """The data on the device, checked for a model, by a forward pass of one sample, and a loss."""
    named = {f"{prefix}x": x, f"{prefix}y": y}
    if weight is not None:
        named[f"{prefix}sample_weight"] = weight
    xp, state = model.xp, model.state
    x, y, *weights = move(state.backend, named, state.dtype_name)
    weights = [xp.astype(in_memory(state.backend, w), state.dtype) for w in weights]
    try:
        one = model.predict(in_memory(state.backend, x[:1, ...]))
        for start in range(0, y.shape[0], rows := _checked_together(y)):
            part = in_memory(state.backend, y[start : min(start + rows, y.shape[0]), ...])
            loss.check(xp.broadcast_to(one, (part.shape[0], *one.shape[1:])), part)
    except (ShapeError, DataError) as error:
        raise type(error)(f"{prefix}x of shape {tuple(x.shape)}: {error}") from error
    for weight in weights:
        if weight.ndim != 1:
            found = tuple(weight.shape)
            raise ShapeError(f"{prefix}sample_weight: expected shape (n,), found {found}")
        least, most = float(xp.min(weight)), float(xp.max(weight))
        if least < 0.0 or most == 0.0:
            raise DataError(
                f"{prefix}sample_weight: expected weights of at least 0, not all of them 0, "
                f"found values from {least:g} to {most:g}"
            )
    return x, y, *weights


def _checked_together(y: Array) -> int:
    """How many targets are checked at once: all, but of those on disk some 16 MB."""
    if not isinstance(y, np.memmap):
        return int(y.shape[0])
    return max(1, _CHECKED_AT_ONCE * len(y) // y.nbytes)


def stratified_split(
    *arrays: Any, labels: Any, fraction: float, seed: Seed = 0
) -> tuple[tuple[Array, ...], tuple[Array, ...]]:
    """Two parts of the data, each class in both of them in the same proportion.

    Parameters
    ----------
    *arrays : array
        ``(samples, ...)`` each; they keep their library, device and dtype. Lists and frames become
        NumPy's.
    labels : array
        ``(samples,)``, the class of each sample.
    fraction : float
        The share of the samples in the second part, 0 < fraction < 1; of a class of n samples
        ``round(fraction * n)``, but at least one, go there.
    seed : int or numpy.random.Generator, optional
        What chooses them.

    Returns
    -------
    first, second : tuple of array
        The arrays of each part, in the order of the data.

    Raises
    ------
    ValueError
        If the fraction is out of range.
    ShapeError
        If the arrays have different lengths.
    DataError
        If a class has a single sample, which cannot be in both.

    Examples
    --------
    >>> x, y = np.arange(10), np.asarray([0, 1] * 5)
    >>> first, second = stratified_split(x, y, labels=y, fraction=0.4, seed=1)
    >>> first[1].tolist(), second[1].tolist()
    ([0, 1, 0, 1, 0, 1], [0, 1, 1, 0])
    """
    if not 0.0 < fraction < 1.0:
        raise ValueError(f"expected 0 < fraction < 1, found {fraction}")
    classes = host_array(labels)
    arrays = tuple(a if is_array_api_obj(a) else as_numpy(a) for a in arrays)
    shapes = [tuple(a.shape) for a in arrays]
    if not arrays or {shape[:1] for shape in shapes} != {classes.shape}:
        raise ShapeError(
            f"expected arrays as long as the labels, found shapes {shapes} and labels of shape "
            f"{classes.shape}"
        )
    rng, chosen = np.random.default_rng(seed), np.zeros(len(classes), bool)
    for label in np.unique(classes):
        members = np.flatnonzero(classes == label)
        if len(members) < 2:
            raise DataError(f"expected at least two samples of each class, found one of {label}")
        count = min(max(1, round(fraction * len(members))), len(members) - 1)
        chosen[rng.permutation(members)[:count]] = True
    first, second = (
        tuple(rows_of(array, np.flatnonzero(part)) for array in arrays)
        for part in (~chosen, chosen)
    )
    return first, second


def rows_of(array: Array, rows: np.ndarray) -> Array:
    """Some rows of an array of any library, where that lies."""
    xp = array_namespace(array)
    return xp.take(array, xp.asarray(rows, device=array.device), axis=0)
