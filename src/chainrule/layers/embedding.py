"""A learned vector for each integer."""

from __future__ import annotations

from functools import partial

import numpy as np

from .. import initializers
from ..backends.conversion import on_host
from ..checks import whole
from ..errors import DataError
from ..forms import several
from ..initializers import Initializer
from ..parameter import Parameter
from ..types import Array, Arrays, Backward
from .base import Layer


class Embedding(Layer):
    """A learned vector for each integer, such as the index of a word: row ``x`` of the weight.

    Parameters
    ----------
    num_embeddings : int
        The number of vectors. ``x`` holds integers from 0 to ``num_embeddings - 1``, in any shape
        ``(batch, ...)``. In padded sequences, the padding must also be in this range.
    embedding_dim : int
        The number of features of each vector. ``y`` has shape ``(batch, ..., embedding_dim)``.
    padding_idx : int, optional
        An integer that stands for padding. Its vector is initially zero, and its gradient is always
        zero.
    init : initializer, optional
        Initializer of the weight, which has shape ``(num_embeddings, embedding_dim)``. By default,
        ``initializers.normal(1.0)``.

    Raises
    ------
    DataError
        In `forward`, if the input does not hold integers, or if integers in host memory are out of
        range. On a device, the vector of such an integer is NaN, because a check would have to wait
        for the device.

    Notes
    -----
    The input has no gradient. If an integer occurs more than once, the gradients of its vector are
    added.

    Examples
    --------
    >>> layer = cr.Embedding(10, 3)
    >>> y, backward = layer.forward(np.asarray([[1, 2, 1, 7]]))
    >>> y.shape
    (1, 4, 3)
    >>> backward(np.ones((1, 4, 3), dtype="float32"))  # returns None
    >>> layer.weight.grad[:3]
    array([[0., 0., 0.],
           [2., 2., 2.],
           [1., 1., 1.]], dtype=float32)
    """

    takes_integers = True
    per_step = True

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        *,
        init: Initializer | None = None,
    ) -> None:
        self.num_embeddings = whole("num_embeddings", num_embeddings, least=1)
        self.embedding_dim = whole("embedding_dim", embedding_dim, least=1)
        self.padding_idx = padding_idx
        init = initializers.normal(1.0) if init is None else init
        if padding_idx is not None:
            self.padding_idx = whole("padding_idx", padding_idx, least=0)
            if self.padding_idx >= self.num_embeddings:
                raise ValueError(
                    f"expected padding_idx below num_embeddings, {self.num_embeddings}, found "
                    f"{padding_idx}"
                )
            init = partial(_with_zeros, init, self.padding_idx)
        self.weight = Parameter((self.num_embeddings, self.embedding_dim), init=init)

    def forward(self, x: Array, *, training: bool = False) -> tuple[Array, Backward]:
        xp, weight, padding = self.xp, self.weight, self.padding_idx
        index, known = self._index(x)
        vectors = xp.take(weight.value, index, axis=0)
        if known is not None:
            vectors = xp.where(known[:, None], vectors, xp.nan)
        y = xp.reshape(vectors, (*x.shape, self.embedding_dim))

        def backward(dy: Array) -> None:
            rows = xp.reshape(dy, vectors.shape)
            if padding is not None:
                rows = xp.where((index == padding)[:, None], 0.0, rows)
            weight.add_grad_rows(index, rows)

        return y, backward

    def check_input(self, x: Arrays) -> None:
        self._index(self._sequences(x) if several(x) else x)

    def _index(self, x: Array) -> tuple[Array, Array | None]:
        """Return the integers as one axis and, on a device, which of them have a vector."""
        xp, count = self.xp, self.num_embeddings
        if not hasattr(x, "dtype") or not xp.isdtype(x.dtype, "integral"):
            raise DataError(
                f"{self._label()}: expected integers, found {getattr(x, 'dtype', type(x))}: "
                "x.astype(int) converts whole numbers, and a custom layer that begins a model and "
                "takes integers sets takes_integers = True"
            )
        self.expect(0 not in x.shape, ("batch", "..."), x)
        index = xp.astype(xp.reshape(x, (-1,)), xp.int64, copy=False)
        if on_host(x):
            least, most = int(xp.min(index)), int(xp.max(index))
            if least < 0 or most >= count:
                raise DataError(
                    f"{self._label()}: expected integers from 0 to {count - 1}, found "
                    f"{least if least < 0 else most}"
                )
            return index, None
        known = (index >= 0) & (index < count)
        return xp.where(known, index, 0), known


def _with_zeros(
    init: Initializer, row: int, rng: np.random.Generator, shape: tuple[int, ...]
) -> np.ndarray:
    """Draw the initial values, and set one row to zero."""
    values = np.array(init(rng, shape))
    values[row] = 0.0
    return values
