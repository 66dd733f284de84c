"""Slices of the flat vectors of a model that one call of an optimizer's rule can update."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple


class Stretch(NamedTuple):
    """A slice of the flat vectors, and what all its parameters have in common.

    Attributes
    ----------
    part : slice
        The slice.
    penalized : bool
        Whether the parameters have penalties.
    rate : str
        The name of their learning rate.
    frozen : int
        The number of steps in which they were frozen.
    """

    part: slice
    penalized: bool
    rate: str
    frozen: int


def joined(stretches: Iterable[Stretch]) -> list[Stretch]:
    """Join neighbours that differ only in their slices."""
    found: list[Stretch] = []
    for stretch in stretches:
        if found and found[-1].part.stop == stretch.part.start and found[-1][1:] == stretch[1:]:
            part = slice(found.pop().part.start, stretch.part.stop)
            stretch = stretch._replace(part=part)
        found.append(stretch)
    return found
