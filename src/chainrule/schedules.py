"""Schedules: learning rates that change during training, as functions of the step number.

An optimizer accepts a schedule wherever it accepts a learning rate. Steps are counted from 0: step
0 is the first update of the weights. After its last step, a schedule returns its last rate. Any
function from a step number to a learning rate can serve as a schedule.

Examples
--------
>>> rate = warmup(10, cosine(0.1, steps=90))
>>> [round(rate(step), 3) for step in (0, 5, 10, 55, 100, 1000)]
[0.0, 0.05, 0.1, 0.05, 0.0, 0.0]
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .checks import above_zero, at_least_zero, is_function, one_of, whole

if TYPE_CHECKING:
    from .types import LearningRate

__all__ = [
    "cosine",
    "cosine_restarts",
    "exponential",
    "one_cycle",
    "polynomial",
    "step_decay",
    "warmup",
]


def __dir__() -> list[str]:
    return __all__


# Schedules are classes instead of functions, so that they can be compared, copied and printed.
# ruff: noqa: N801


def _power(gamma: float, exponent: int) -> float:
    """Return ``gamma ** exponent``, or infinity on overflow. The optimizer rejects infinity."""
    try:
        return gamma**exponent
    except OverflowError:
        return math.inf


@dataclass(frozen=True)
class step_decay:
    """Stepwise decay: multiply the rate by `gamma` after every `step_size` steps.

    The rate is ``lr gamma^floor(step / step_size)``, as in PyTorch's ``StepLR``.

    Parameters
    ----------
    lr : float
        The rate at step 0, at least 0.
    step_size : int
        Number of steps between two changes of the rate, at least 1.
    gamma : float, optional
        Factor by which the rate is multiplied, above 0.

    Examples
    --------
    >>> rate = step_decay(1.0, step_size=30, gamma=0.5)
    >>> rate(0), rate(29), rate(30), rate(60)
    (1.0, 1.0, 0.5, 0.25)
    """

    lr: float
    step_size: int
    gamma: float = 0.1

    def __post_init__(self) -> None:
        at_least_zero("lr", self.lr)
        whole("step_size", self.step_size, least=1)
        above_zero("gamma", self.gamma)

    def __call__(self, step: int) -> float:
        return self.lr * _power(self.gamma, step // self.step_size)


@dataclass(frozen=True)
class exponential:
    """Exponential decay: multiply the rate by `gamma` after every step.

    The rate is ``lr gamma^step``, as in PyTorch's ``ExponentialLR``. With
    ``gamma = 0.5 ** (1 / n)``, the rate halves every n steps.

    Parameters
    ----------
    lr : float
        The rate at step 0, at least 0.
    gamma : float
        Factor by which the rate is multiplied after every step, above 0.

    Examples
    --------
    >>> rate = exponential(1.0, gamma=0.5)
    >>> rate(0), rate(1), rate(3)
    (1.0, 0.5, 0.125)
    """

    lr: float
    gamma: float

    def __post_init__(self) -> None:
        at_least_zero("lr", self.lr)
        above_zero("gamma", self.gamma)

    def __call__(self, step: int) -> float:
        return self.lr * _power(self.gamma, step)


@dataclass(frozen=True)
class _FromTo:
    """Base class of schedules that go from `lr` to `end` in a given number of steps."""

    lr: float
    steps: int
    end: float = 0.0

    def __post_init__(self) -> None:
        at_least_zero("lr", self.lr)
        at_least_zero("end", self.end)
        whole("steps", self.steps, least=1)


@dataclass(frozen=True)
class polynomial(_FromTo):
    """Polynomial decay from `lr` at step 0 to `end` at step `steps`, and constant afterwards.

    The rate is ``end + (lr - end) (1 - step / steps)^power``, which is a straight line for power 1.
    With ``end=0``, the schedule equals PyTorch's ``PolynomialLR``.

    Parameters
    ----------
    lr, end : float
        First and last rate, at least 0.
    steps : int
        Number of steps from the first to the last rate, at least 1.
    power : float, optional
        Exponent of the polynomial, above 0.

    Examples
    --------
    >>> rate = polynomial(1.0, steps=100, power=2.0)
    >>> rate(0), rate(50), rate(100), rate(1000)
    (1.0, 0.25, 0.0, 0.0)
    """

    power: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        above_zero("power", self.power)

    def __call__(self, step: int) -> float:
        done = min(step / self.steps, 1.0)
        return self.end + (self.lr - self.end) * math.pow(1.0 - done, self.power)


@dataclass(frozen=True)
class cosine(_FromTo):
    """Half a cosine from `lr` at step 0 to `end` at step `steps`, and constant afterwards.

    The rate is ``end + (lr - end) (1 + cos(pi step / steps)) / 2``. PyTorch's ``CosineAnnealingLR``
    gives the same rates until step `steps`, but then rises again.

    Source: I. Loshchilov and F. Hutter, "SGDR: stochastic gradient descent with warm restarts",
    2017, without the restarts.

    Parameters
    ----------
    lr, end : float
        First and last rate, at least 0.
    steps : int
        Number of steps from the first to the last rate, at least 1.

    Examples
    --------
    >>> rate = cosine(0.1, steps=100)
    >>> rate(0), round(rate(50), 3), rate(100), rate(1000)
    (0.1, 0.05, 0.0, 0.0)
    """

    def __call__(self, step: int) -> float:
        done = min(step / self.steps, 1.0)
        return self.end + (self.lr - self.end) * (1.0 + math.cos(math.pi * done)) / 2.0


@dataclass(frozen=True)
class cosine_restarts(_FromTo):
    """Half a cosine from `lr` towards `end`, repeated indefinitely.

    In a cycle of n steps, the rate at step k is ``end + (lr - end) (1 + cos(pi k / n)) / 2``. The
    first cycle has `steps` steps. Each later cycle has `factor` times as many steps as the cycle
    before. The rate never reaches `end`, because the next cycle starts at step n. The schedule
    equals PyTorch's ``CosineAnnealingWarmRestarts``.

    Source: I. Loshchilov and F. Hutter, "SGDR: stochastic gradient descent with warm restarts",
    2017.

    Parameters
    ----------
    lr, end : float
        The rate at the start of each cycle, and the rate that each cycle approaches. Both are at
        least 0.
    steps : int
        Number of steps of the first cycle, at least 1. The paper calls this number ``T_0``.
    factor : int, optional
        Length of a cycle divided by the length of the previous cycle, at least 1. The paper calls
        this ratio ``T_mult``.

    Examples
    --------
    >>> rate = cosine_restarts(1.0, steps=2, factor=2)
    >>> [round(rate(step), 3) for step in range(7)]
    [1.0, 0.5, 1.0, 0.854, 0.5, 0.146, 1.0]
    """

    factor: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        whole("factor", self.factor, least=1)

    def __call__(self, step: int) -> float:
        length = self.steps
        if self.factor == 1:
            step %= length
        # This loop is exact, whereas a formula with a rounded logarithm could miss a restart.
        while step >= length:
            step -= length
            length *= self.factor
        return self.end + (self.lr - self.end) * (1.0 + math.cos(math.pi * step / length)) / 2.0


@dataclass(frozen=True)
class one_cycle:
    """A single cycle: the rate rises from a low value to `max_lr`, and then falls again.

    The first rate is ``max_lr / div_factor``, and the last rate is
    ``max_lr / div_factor / final_div_factor``. The rate is highest at step
    ``pct_start * steps - 1``, and the cycle ends at step ``steps - 1``. In each of the two phases,
    the rate goes from a to b while d goes from 0 to 1. The curve is the cosine ``b + (a - b) (1 +
    cos(pi d)) / 2`` or the line ``b + (a - b) (1 - d)``. The schedule equals PyTorch's
    ``OneCycleLR`` with ``cycle_momentum=False``.

    Source: L. Smith, "A disciplined approach to neural network hyper-parameters: part 1", 2018. The
    cycle has two phases, as in fastai. The paper adds a third phase, with much lower rates.

    Parameters
    ----------
    max_lr : float
        Highest rate, at least 0.
    steps : int
        Number of steps of the cycle, at least 1.
    pct_start : float, optional
        Share of the steps during which the rate rises, 0 < pct_start < 1.
    anneal_strategy : {"cos", "linear"}, optional
        Shape of both phases: half a cosine or a straight line.
    div_factor, final_div_factor : float, optional
        The highest rate divided by the first rate, and the first rate divided by the last rate.
        Both are above 0.

    Examples
    --------
    >>> rate = one_cycle(1.0, steps=10, pct_start=0.5, div_factor=10.0, final_div_factor=5.0)
    >>> [round(rate(step), 3) for step in (0, 2, 4, 9, 1000)]
    [0.1, 0.55, 1.0, 0.02, 0.02]
    """

    max_lr: float
    steps: int
    pct_start: float = 0.3
    anneal_strategy: str = "cos"
    div_factor: float = 25.0
    final_div_factor: float = 1e4

    def __post_init__(self) -> None:
        at_least_zero("max_lr", self.max_lr)
        whole("steps", self.steps, least=1)
        if not 0.0 < self.pct_start < 1.0:
            raise ValueError(f"expected 0 < pct_start < 1, found {self.pct_start}")
        one_of("cos", "linear")("anneal_strategy", self.anneal_strategy)
        above_zero("div_factor", self.div_factor)
        above_zero("final_div_factor", self.final_div_factor)

    def __call__(self, step: int) -> float:
        top, last = self.pct_start * self.steps - 1.0, self.steps - 1.0
        first_lr = self.max_lr / self.div_factor
        if step < top:
            a, b, done = first_lr, self.max_lr, step / top
        else:
            done = min((step - top) / (last - top), 1.0)
            a, b = self.max_lr, first_lr / self.final_div_factor
        left = 1.0 - done
        if self.anneal_strategy == "cos":
            left = (1.0 + math.cos(math.pi * done)) / 2.0
        return b + (a - b) * left


@dataclass(frozen=True)
class warmup:
    """Linear warmup from `start` to the first rate of `then`, followed by the schedule `then`.

    During the first `steps` steps, the rate is ``start + (then(0) - start) * step / steps``. After
    that, the rate is ``then(step - steps)``. The equivalent in PyTorch is ``LinearLR`` with a
    ``start_factor`` of ``start / then(0)``, followed by another scheduler.

    Source: P. Goyal et al., "Accurate, large minibatch SGD: training ImageNet in 1 hour", 2017.

    Parameters
    ----------
    steps : int
        Number of steps of the warmup, at least 0.
    then : float or callable
        The rate after the warmup: a number or a schedule. When the warmup ends, the schedule starts
        at its own step 0.
    start : float, optional
        The rate at step 0, at least 0.

    Examples
    --------
    >>> rate = warmup(4, exponential(1.0, gamma=0.5), start=0.2)
    >>> [round(rate(step), 3) for step in range(7)]
    [0.2, 0.4, 0.6, 0.8, 1.0, 0.5, 0.25]
    >>> rate
    warmup(steps=4, then=exponential(lr=1.0, gamma=0.5), start=0.2)
    """

    steps: int
    then: LearningRate
    start: float = 0.0

    def __post_init__(self) -> None:
        whole("steps", self.steps, least=0)
        if not is_function(self.then):
            at_least_zero("then", self.then)
        at_least_zero("start", self.start)

    def __call__(self, step: int) -> float:
        lr = self.then
        if callable(lr):
            lr = lr(max(step - self.steps, 0))
        if step >= self.steps:
            return float(lr)
        return self.start + (lr - self.start) * step / self.steps
