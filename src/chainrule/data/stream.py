"""Ready-made batches."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np
from array_api_compat import is_array_api_obj

from ..backends import Backend
from ..losses.base import check_weights
from ..types import Array
from .moving import move


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
        again = hasattr(source, "__iter__") and not hasattr(source, "__next__")
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
            x, y, *weights = move(self.backend, dict(zip(names, batch, strict=False)), self.dtype)
            for weight in weights:
                xp, dtype = self.backend.xp, self.backend.dtype(self.dtype)
                check_weights(names[2], xp, xp.astype(weight, dtype), zeros=True)
            yield x, y, *weights
