"""Dropout, its masks the same on every backend."""

from __future__ import annotations

import math
from typing import Any

from ..backend import Array
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
        key = (state.seed, state.draws)
        kept = state.backend.kernel(keep_mask)(x.shape, 1.0 - self.p, key, x.device)
        state.draws += 1
        mask = xp.astype(kept, x.dtype)
        mask *= 1.0 / (1.0 - self.p)
        return x * mask, lambda dy: dy * mask


def keep_mask(
    xp: Any, shape: tuple[int, ...], probability: float, key: tuple[int, int], device: Any
) -> Array:
    """A boolean array, true with this probability in each element, from a hash of key and index.

    Multiply, xor, shift, in the manner of C. Wellons' two-round 32-bit integer hashes ("hash
    prospector", 2018), with half of a 64-bit key mixed in before each round. int32 throughout, its
    overflow wraps: not every library has shifts for unsigned integers.
    """
    first, second = split_key(*key)
    h = xp.arange(math.prod(shape), dtype=xp.int32, device=device)
    h *= _int32(0x9E3779B9)  # spreads the indices: 2^32 / the golden ratio, odd
    h ^= first
    h ^= (h >> 16) & 0xFFFF  # the shift of a signed integer brings in its sign
    h *= _int32(0x7FEB352D)
    h ^= second
    h ^= (h >> 15) & 0x1FFFF
    h *= _int32(0x846CA68B)
    threshold = min(int(probability * 2.0**32), 2**32 - 1) - 2**31  # in the range of int32
    return xp.reshape(h < threshold, shape)


def split_key(seed: int, draw: int) -> tuple[int, int]:
    """Two int32 from (seed, draw), by the finisher of SplitMix64 (G. Steele et al., 2014)."""
    z = (_mix64(seed) + draw * 0x9E3779B97F4A7C15) % 2**64
    z = _mix64(z)
    return _int32(z >> 32), _int32(z)


def _mix64(z: int) -> int:
    z = (z + 0x9E3779B97F4A7C15) % 2**64
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB % 2**64
    return z ^ (z >> 31)


def _int32(bits: int) -> int:
    """The signed integer of the lowest 32 bits."""
    return (bits + 2**31) % 2**32 - 2**31
