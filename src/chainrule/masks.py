"""Random masks computed from a seed and a counter, identical on every backend."""

from __future__ import annotations

import math
from typing import Any

from .types import Array


def split_key(seed: int, draw: int, start: int = 0) -> tuple[int, int, int]:
    """Return the key of a mask.

    A seed and a counter are hashed to two integers, as in SplitMix64 (G. Steele et al., 2014). The
    third integer is `start`, the number of samples of the batch that come before the first sample
    of the mask. It is 0 unless several processes share a batch.
    """
    z = (_mix64(seed) + draw * 0x9E3779B97F4A7C15) % 2**64
    z = _mix64(z)
    return int32(z >> 32), int32(z), start


def _mix64(z: int) -> int:
    z = (z + 0x9E3779B97F4A7C15) % 2**64
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB % 2**64
    return z ^ (z >> 31)


def int32(bits: int) -> int:
    """Return the lowest 32 bits as a signed integer."""
    return (bits + 2**31) % 2**32 - 2**31


def keep_mask(
    xp: Any, shape: tuple[int, ...], probability: float, key: tuple[Any, Any, int], device: Any
) -> Array:
    """Return a boolean array whose elements are True with the given probability.

    Each element is computed from a hash of the key and the index of the element in the mask of the
    whole batch. So every part of a batch has its part of the same mask. The hash is a two-round
    32-bit integer hash as in C. Wellons' "hash prospector", 2018. Before each round, one of the two
    integers of the key is mixed into the hash. All arithmetic uses int32 and wraps on overflow.
    Unsigned integers are not used, because some libraries cannot shift them.

    Parameters
    ----------
    xp : namespace
        An Array API namespace. The function ``backend.kernel(keep_mask)`` does not take this
        argument.
    shape : tuple of int
        The shape of the mask, ``(batch, ...)``.
    probability : float
        The probability that an element is True.
    key : tuple
        A key from ``layer.state.next_key()``. Use a new key for each mask.
    device : device
        The device of the mask, such as ``x.device``.
    """
    first, second, start = key
    here = index_of_first(shape, start)
    h = xp.arange(here, here + math.prod(shape), dtype=xp.int32, device=device)
    h *= int32(0x9E3779B9)  # 2^32 / golden ratio, rounded to an odd number
    h ^= first
    h ^= (h >> 16) & 0xFFFF  # `&` clears the copies of the sign bit
    h *= int32(0x7FEB352D)
    h ^= second
    h ^= (h >> 15) & 0x1FFFF
    h *= int32(0x846CA68B)
    threshold = min(int(probability * 2.0**32), 2**32 - 1) - 2**31  # shifted to the range of int32
    return xp.reshape(h < threshold, shape)


def index_of_first(shape: tuple[int, ...], start: int) -> int:
    """Return the index that a mask's first element has in the mask of the whole batch."""
    return start * math.prod(shape[1:])
