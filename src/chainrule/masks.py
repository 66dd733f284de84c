"""Random masks from a seed and a counter: bit for bit the same on every backend."""

from __future__ import annotations

import math
from typing import Any

from .types import Array


def split_key(seed: int, draw: int) -> tuple[int, int]:
    """Hash (seed, draw) to two int32, mixed as in SplitMix64 (G. Steele et al., 2014)."""
    z = (_mix64(seed) + draw * 0x9E3779B97F4A7C15) % 2**64
    z = _mix64(z)
    return int32(z >> 32), int32(z)


def _mix64(z: int) -> int:
    z = (z + 0x9E3779B97F4A7C15) % 2**64
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB % 2**64
    return z ^ (z >> 31)


def int32(bits: int) -> int:
    """Return the lowest 32 bits as a signed integer."""
    return (bits + 2**31) % 2**32 - 2**31


def keep_mask(
    xp: Any, shape: tuple[int, ...], probability: float, key: tuple[Any, Any], device: Any
) -> Array:
    """Return a boolean array whose elements are true with this probability.

    Each element is a hash of the key and the element's index. The hash multiplies, xors and shifts,
    as do C. Wellons' two-round 32-bit integer hashes ("hash prospector", 2018). One of the key's
    two int32 is mixed in before each round. All arithmetic is in int32, which wraps on overflow,
    because not every library can shift unsigned integers.

    Parameters
    ----------
    xp : namespace
        An Array API namespace; ``backend.kernel(keep_mask)`` does not take this argument.
    shape : tuple of int
        The shape of the mask.
    probability : float
        The probability of True.
    key : tuple
        A key that is used for no other mask, from ``layer.state.next_key()``.
    device : device
        Where the mask is made, such as ``x.device``.
    """
    first, second = key
    h = xp.arange(math.prod(shape), dtype=xp.int32, device=device)
    h *= int32(0x9E3779B9)  # spreads the indices: 2^32 / golden ratio, made odd
    h ^= first
    h ^= (h >> 16) & 0xFFFF  # the shift copies the sign bit: clear the copies
    h *= int32(0x7FEB352D)
    h ^= second
    h ^= (h >> 15) & 0x1FFFF
    h *= int32(0x846CA68B)
    threshold = min(int(probability * 2.0**32), 2**32 - 1) - 2**31  # in the range of int32
    return xp.reshape(h < threshold, shape)
