"""Dropout, its masks the same on every backend."""

from __future__ import annotations

import math
from typing import Any

from ..backend import Array
from ..keys import int32
from .base import Backward, Layer


class Dropout(Layer):
    """In training, sets each element to zero with probability `p` and scales the others up.

    ``y = x * mask / (1 - p)``, so that the expected value of ``y`` is ``x``; in inference
    ``y = x``. The mask is a hash of (seed, number of the draw, element): bit for bit the same on
    every backend, with no generator whose state would have to be kept.

    Source: N. Srivastava et al., "Dropout: a simple way to prevent neural networks from
    overfitting", 2014.

    Parameters
    ----------
    p : float
        The probability that an element is set to zero, 0 <= p < 1.
    """

    keeps_arguments = True

    def __init__(self, p: float = 0.5) -> None:
        if not 0.0 <= p < 1.0:
            raise ValueError(f"expected a probability 0 <= p < 1, found {p}")
        self.p = float(p)

    def forward(self, x: Array, *, training: bool = False) -> tuple[Array, Backward]:
        if not training or self.p == 0.0:
            return x, lambda dy: dy
        state, xp = self.state, self.xp
        kept = state.backend.kernel(keep_mask)(x.shape, 1.0 - self.p, state.next_key(), x.device)
        mask = xp.astype(kept, x.dtype)
        mask *= 1.0 / (1.0 - self.p)
        return x * mask, lambda dy: dy * mask


def keep_mask(
    xp: Any, shape: tuple[int, ...], probability: float, key: tuple[Any, Any], device: Any
) -> Array:
    """A boolean array, true with this probability in each element, from a hash of key and index.

    Multiply, xor, shift, in the manner of C. Wellons' two-round 32-bit integer hashes ("hash
    prospector", 2018), with half of a key, two int32, mixed in before each round. int32 throughout,
    its overflow wraps: not every library has shifts for unsigned integers.
    """
    first, second = key
    h = xp.arange(math.prod(shape), dtype=xp.int32, device=device)
    h *= int32(0x9E3779B9)  # spreads the indices: 2^32 / the golden ratio, odd
    h ^= first
    h ^= (h >> 16) & 0xFFFF  # the shift of a signed integer brings in its sign
    h *= int32(0x7FEB352D)
    h ^= second
    h ^= (h >> 15) & 0x1FFFF
    h *= int32(0x846CA68B)
    threshold = min(int(probability * 2.0**32), 2**32 - 1) - 2**31  # in the range of int32
    return xp.reshape(h < threshold, shape)
