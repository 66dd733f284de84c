"""Learning rates that change: plain functions of the step, accepted wherever a rate is."""

from __future__ import annotations

import math
from dataclasses import dataclass

# They are classes so that they can be compared, copied and printed; they are used as functions.
# ruff: noqa: N801


@dataclass(frozen=True)
class cosine:
    """From `lr` at step 0 down to `end` at `steps`, along half a cosine; `end` from there on.

    ``end + (lr - end) (1 + cos(pi step / steps)) / 2``.

    Source: I. Loshchilov and F. Hutter, "SGDR: stochastic gradient descent with warm restarts",
    2017, without the restarts.

    Examples
    --------
    >>> rate = cosine(0.1, steps=100)
    >>> rate(0), round(rate(50), 3), rate(100), rate(1000)
    (0.1, 0.05, 0.0, 0.0)
    """

    lr: float
    steps: int
    end: float = 0.0

    def __post_init__(self) -> None:
        if not (0 <= self.lr < math.inf and 0 <= self.end < math.inf):
            raise ValueError(f"expected rates of at least 0, found lr={self.lr}, end={self.end}")
        if self.steps < 1:
            raise ValueError(f"expected at least 1 step, found {self.steps}")

    def __call__(self, step: int) -> float:
        done = min(step / self.steps, 1.0)
        return self.end + (self.lr - self.end) * (1.0 + math.cos(math.pi * done)) / 2.0
