"""What arguments that are numbers have to be."""

from __future__ import annotations

import math
import operator
from numbers import Real
from typing import Any


def whole(name: str, number: Any, *, least: int) -> int:
    """`number`, if it is a whole one of at least `least`."""
    try:
        found = operator.index(number)
    except TypeError:
        raise TypeError(f"expected {name} to be a whole number, found {number!r}") from None
    if found < least:
        raise ValueError(f"expected {name} to be at least {least}, found {found}")
    return found


def at_least_zero(name: str, number: Any) -> float:
    """`number`, if it is finite and at least 0."""
    if not isinstance(number, Real):
        raise TypeError(f"expected {name} to be a number, found {number!r}")
    if not 0.0 <= float(number) < math.inf:
        raise ValueError(f"expected {name} to be finite and at least 0, found {number}")
    return float(number)


def below_one(name: str, number: Any) -> float:
    """`number`, if it is at least 0 and below 1."""
    if not isinstance(number, Real):
        raise TypeError(f"expected {name} to be a number, found {number!r}")
    if not 0.0 <= float(number) < 1.0:
        raise ValueError(f"expected 0 <= {name} < 1, found {number}")
    return float(number)
