"""Keys for random masks: a function of a seed and a counter, the same on every backend."""

from __future__ import annotations


def split_key(seed: int, draw: int) -> tuple[int, int]:
    """Two int32 from (seed, draw), by the finisher of SplitMix64 (G. Steele et al., 2014)."""
    z = (_mix64(seed) + draw * 0x9E3779B97F4A7C15) % 2**64
    z = _mix64(z)
    return int32(z >> 32), int32(z)


def _mix64(z: int) -> int:
    z = (z + 0x9E3779B97F4A7C15) % 2**64
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB % 2**64
    return z ^ (z >> 31)


def int32(bits: int) -> int:
    """The signed integer of the lowest 32 bits."""
    return (bits + 2**31) % 2**32 - 2**31
