"""Checks of arguments that are numbers: each returns the number, or says what was expected."""

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
        found = None
    if found is None or isinstance(number, bool):
        raise TypeError(f"expected {name} to be a whole number, found {number!r}")
    if found < least:
        raise ValueError(f"expected {name} to be at least {least}, found {found}")
    return found


def finite(name: str, number: Any) -> float:
    """`number`, if it is finite."""
    return _real(name, number, -math.inf < _float(name, number) < math.inf, "{} to be finite")


def at_least_zero(name: str, number: Any) -> float:
    """`number`, if it is finite and at least 0."""
    fits = 0.0 <= _float(name, number) < math.inf
    return _real(name, number, fits, "{} to be finite and at least 0")


def above_zero(name: str, number: Any) -> float:
    """`number`, if it is finite and above 0."""
    fits = 0.0 < _float(name, number) < math.inf
    return _real(name, number, fits, "{} to be finite and above 0")


def below_one(name: str, number: Any) -> float:
    """`number`, if it is at least 0 and below 1."""
    return _real(name, number, 0.0 <= _float(name, number) < 1.0, "0 <= {} < 1")


def share(name: str, number: Any) -> float:
    """`number`, if it is from 0 to 1."""
    return _real(name, number, 0.0 <= _float(name, number) <= 1.0, "0 <= {} <= 1")


def _float(name: str, number: Any) -> float:
    if not isinstance(number, Real):
        raise TypeError(f"expected {name} to be a number, found {number!r}")
    return float(number)


def _real(name: str, number: Any, fits: bool, expected: str) -> float:
    if not fits:
        raise ValueError(f"expected {expected.format(name)}, found {number}")
    return float(number)
