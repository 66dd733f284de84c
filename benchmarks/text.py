"""Measurements as text: medians with their quartiles, and tables in Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

_UNITS = ((1.0, "s"), (1e-3, "ms"), (0.0, "µs"))


def number(x: float) -> str:
    """Format a number with three significant digits, or more if its integer part is longer."""
    return f"{x:.{2 if abs(x) < 10 else 1 if abs(x) < 100 else 0}f}"


def spread(seconds: Sequence[float] | np.ndarray) -> str:
    """Format the median and the quartiles of some times."""
    low, median, high = np.quantile(seconds, (0.25, 0.5, 0.75))
    least, unit = next(u for u in _UNITS if abs(median) >= u[0])
    low, median, high = (number(x / (least or 1e-6)) for x in (low, median, high))
    return f"{median} {unit} ({low} to {high})"


def middle(seconds: float | Sequence[float]) -> str:
    """Format the median of some times, or a single time."""
    return spread(np.atleast_1d(seconds)).partition(" (")[0]


def ratio(seconds: Sequence[float], ours: Sequence[float]) -> str:
    """Format the median and the quartiles, over the rounds, of the ratio of two times."""
    low, median, high = map(number, np.quantile(np.divide(seconds, ours), (0.25, 0.5, 0.75)))
    return f"{median} ({low} to {high})"


def share(seconds: Sequence[float], of: Sequence[float]) -> str:
    """Format the median, over the rounds, of the ratio of two times, in percent."""
    return f"{np.median(np.divide(seconds, of)):.0%}"


def rows(head: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """Return a table in Markdown."""
    body = [head, ["---"] * len(head), *lines]
    return "\n".join(f"| {' | '.join(line)} |" for line in body)
