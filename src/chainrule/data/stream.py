"""Ready-made batches."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
from array_api_compat import is_array_api_obj

from ..backends import Backend
from ..errors import shown
from ..losses.checking import check_weights
from ..types import Arrays
from .moving import move


class BatchStream:
    """Ready-made batches, which are checked and moved to the device one at a time.

    Parameters
    ----------
    source : iterable or callable
        The source of the batches. It is an iterable that can be iterated more than once, such as a
        list or a PyTorch ``DataLoader``, or a function that takes a NumPy Generator and returns an
        iterator. Each batch is ``(x, y)`` or ``(x, y, sample_weight)``. `x` and `y` may be tuples
        or dicts of arrays. Resuming in the middle of an epoch is exact only if all randomness comes
        from this Generator. For example, resuming is not exact with a loader that shuffles by
        itself.
    rng : numpy.random.Generator
        The generator to pass to `source` if `source` is a function.
    backend : Backend
        The backend of the returned batches.
    dtype : {"float32", "float64"}
        The dtype to which floating-point data is converted.

    Raises
    ------
    TypeError
        If the source is an iterator, which can be used only once, or if a batch is not a tuple of
        two or three arrays.
    DataError, ShapeError
        If the data in a batch is invalid. See `minibatches`.
    """

    def __init__(
        self, source: Any, *, rng: np.random.Generator, backend: Backend, dtype: str
    ) -> None:
        data = _is_data(source) or (isinstance(source, tuple) and any(map(_is_data, source)))
        again = hasattr(source, "__iter__") and not hasattr(source, "__next__")
        if data or not (callable(source) or again):
            kind, hint = type(source).__name__, ": did you mean fit(x, y)?" if data else ""
            raise TypeError(
                "fit(x) without y: expected an iterable that yields batches and can be iterated "
                "more than once, or a function that takes a numpy.random.Generator and returns an "
                f"iterator, found {kind}{hint}"
            )
        self.source = source
        self.rng = rng
        self.backend = backend
        self.dtype = dtype
        self.description = {"source": type(source).__name__}

    def __len__(self) -> int:
        return len(self.source) if hasattr(self.source, "__len__") else 0  # 0 means unknown

    def starting_at(self, step: int) -> Iterator[tuple[Arrays, ...]]:
        """Yield the batches of one pass, starting at batch `step`. Discard all earlier batches."""
        batches = self.source(self.rng) if callable(self.source) else self.source
        for i, batch in enumerate(itertools.islice(batches, step, None), start=step):
            if not isinstance(batch, tuple | list) or len(batch) not in (2, 3):
                raise TypeError(
                    f"batch {i}: expected (x, y) or (x, y, sample_weight), found "
                    f"{shown(batch)}; if this is a row of the inputs, did you mean fit(x, y)?"
                )
            names = (f"batch {i}, x", f"batch {i}, y", f"batch {i}, sample_weight")
            x, y, *weights = move(self.backend, dict(zip(names, batch, strict=False)), self.dtype)
            for weight in weights:
                xp, dtype = self.backend.xp, self.backend.dtype(self.dtype)
                check_weights(names[2], xp, xp.astype(weight, dtype), zeros=True)
            yield x, y, *weights


def _is_data(thing: Any) -> bool:
    """Return whether `thing` is data: an array, a dict of arrays, or a list of numbers."""
    if is_array_api_obj(thing) or hasattr(thing, "columns") or isinstance(thing, dict):
        return True
    numbers = (bool, int, float)
    return isinstance(thing, list) and bool(thing) and isinstance(thing[0], numbers)
