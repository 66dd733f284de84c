"""Slices of a model's flat vectors. One call of an optimizer's rule updates one slice."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple


class Stretch(NamedTuple):
    """A slice of the flat vectors, and the properties that all its parameters share.

    Attributes
    ----------
    part : slice
        The slice.
    penalized : bool
        Whether penalties apply to the parameters.
    rate : str
        The key of the parameters' learning rate in `lr`.
    frozen : int
        The number of steps in which the parameters were frozen.
    """

    part: slice
    penalized: bool
    rate: str
    frozen: int


def joined(stretches: Iterable[Stretch]) -> list[Stretch]:
    """Join adjacent stretches that differ only in their slices."""
    found: list[Stretch] = []
    for stretch in stretches:
        if found and found[-1].part.stop == stretch.part.start and found[-1][1:] == stretch[1:]:
            part = slice(found.pop().part.start, stretch.part.stop)
            stretch = stretch._replace(part=part)
        found.append(stretch)
    return found
