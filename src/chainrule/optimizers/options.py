"""The options of an optimizer: learning rates, penalties and clipping."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar, Self, TypeVar

import numpy as np

from ..backends import Backend
from ..checks import Checked, at_least_zero, expect_arguments, flag, optional
from ..errors import shown
from ..formulas import sign
from ..layers import Layer
from ..parameter import Parameter
from ..types import Array, LearningRates
from .rates import checked_rates
from .stretches import Stretch

_Scalars = TypeVar("_Scalars", bound=Callable[..., tuple[Any, ...]])


def of_arrays(scalars: _Scalars) -> _Scalars:
    """Mark a function `Options.scalars` that also takes an array of steps."""
    scalars.of_arrays = True  # type: ignore[attr-defined]
    return scalars


def same_each_step(scalars: _Scalars) -> _Scalars:
    """Mark a function `Options.scalars` that does not use the step."""
    scalars.same_each_step = True  # type: ignore[attr-defined]
    return scalars


class Options:
    """Base class of `Optimizer`. See `Optimizer` for the parameters."""

    slots: tuple[str, ...] = ()
    """The names of the state vectors. All state vectors start at zero."""

    decoupled_decay: ClassVar[bool] = False

    lr = Checked(checked_rates)
    weight_decay = Checked(at_least_zero)
    l1 = Checked(at_least_zero)
    decay_biases = Checked(flag)
    clip_norm = Checked(optional(at_least_zero))

    def __init__(
        self,
        lr: LearningRates,
        *,
        weight_decay: float = 0.0,
        l1: float = 0.0,
        decay_biases: bool = False,
        clip_norm: float | None = None,
    ) -> None:
        self.lr = lr
        self.weight_decay = weight_decay
        self.l1 = l1
        self.decay_biases = decay_biases
        self.clip_norm = clip_norm

    def __new__(cls, *args: Any, **options: Any) -> Self:
        if args and _are_parameters(args[0]):
            raise TypeError(
                f"{cls.__name__}: expected a learning rate, found {shown(args[0])}: write "
                f"{cls.__name__}(lr=1e-3); a Trainer or optimizer.bind(model) adds the parameters"
            )
        expect_arguments(cls, args, options)
        return super().__new__(cls)

    def _options(self) -> dict[str, Any]:
        """Return the hyperparameters: numbers, flags and schedules."""
        return {
            k: v
            for k, v in vars(self).items()
            if k[0] != "_" and k not in ("steps", "moving", "slots")
        }

    def rates(self, step: int) -> dict[str, float]:
        """Return a dict from layer names to learning rates. Here, steps are counted from 0."""
        rates = self.lr if isinstance(self.lr, dict) else {"": self.lr}
        return {
            name: at_least_zero("lr", lr(step) if callable(lr) else lr)
            for name, lr in rates.items()
        }

    @same_each_step
    def scalars(self, lr: float, step: int) -> tuple[float, ...]:
        """Return the numbers that the rule takes at this step. Here, steps are counted from 1."""
        return (lr,)

    def numbers(self, stretches: list[Stretch], step: int) -> list[float]:
        """Return the numbers that a step uses. Here, steps are counted from 0.

        For each stretch, the list holds the `scalars`, `l1` and the decay. The decay is
        `weight_decay` or, with decoupled decay, the factor that multiplies the value. The last
        number of the list is `clip_norm`, or 0.
        """
        at_step = self.rates(step)
        numbers: list[float] = []
        for stretch in stretches:
            lr = at_step[stretch.rate]
            decay = 1.0 - lr * self.weight_decay if self.decoupled_decay else self.weight_decay
            scalars = self.scalars(lr, step + (1 - stretch.frozen))
            if not isinstance(scalars, tuple):
                raise TypeError(f"{self!r}: expected a tuple of scalars, found {shown(scalars)}")
            numbers += *scalars, self.l1, decay
        return [*numbers, self.clip_norm or 0.0]

    def columns(self, stretches: list[Stretch], first: int, count: int) -> list[Any]:
        """Return the `numbers` of several steps: an array for each number.

        If a number cannot change from step to step, it is a float instead.
        """
        rates = self.lr.values() if isinstance(self.lr, dict) else [self.lr]
        own = type(self).numbers is Options.numbers and type(self).rates is Options.rates
        plain = own and not any(map(callable, rates))
        if plain and hasattr(self.scalars, "same_each_step"):
            return self.numbers(stretches, first)
        steps: Any = np.arange(first, first + count)
        if plain and hasattr(self.scalars, "of_arrays"):
            return self.numbers(stretches, steps)
        return [*np.asarray([self.numbers(stretches, step) for step in steps.tolist()]).T]

    @property
    def structure(self) -> tuple[Any, ...]:
        """The options that determine which operations a step performs."""
        penalties = self.l1 > 0.0, self.weight_decay > 0.0, self.decay_biases
        rates = tuple(self.lr) if isinstance(self.lr, dict) else ()
        return type(self), self.slots, penalties, self.clip_norm is None, rates

    def _is_penalized(self, parameter: Parameter) -> bool:
        penalty = self.weight_decay > 0.0 or self.l1 > 0.0
        return penalty and (parameter.decay or self.decay_biases)

    def _with_penalties(
        self, backend: Backend, grad: Array, value: Array, l1: Array, decay: Array
    ) -> Array:
        """Add the gradients of penalties to `grad`. Decoupled decay changes `value` instead."""
        if self.l1 > 0.0:
            grad = grad + l1 * backend.kernel(sign)(value)
        if self.decoupled_decay:
            value *= decay  # `decay` is 1 - lr * weight_decay
        elif self.weight_decay > 0.0:
            grad = grad + decay * value  # `decay` is weight_decay
        return grad

    def description(self) -> dict[str, Any]:
        """Return the class name, the hyperparameters and the names of schedules, as JSON values."""
        options = self._options()
        if isinstance(self.lr, dict):
            del options["lr"]
            options.update((_rate_of(layer), rate) for layer, rate in self.lr.items())
        return {
            "kind": type(self).__name__,
            "numbers": {name: value for name, value in options.items() if not callable(value)},
            "schedules": [name for name, value in options.items() if callable(value)],
        }

    def _set(self, numbers: Mapping[str, Any]) -> None:
        """Set the options from a `description`. Lists, which come from JSON, become tuples."""
        numbers = {
            name: tuple(number) if isinstance(number, list) else number
            for name, number in numbers.items()
        }
        if isinstance(self.lr, dict):
            numbers["lr"] = {
                layer: numbers.pop(_rate_of(layer), rate) for layer, rate in self.lr.items()
            }
        for name, number in numbers.items():
            setattr(self, name, number)

    def __repr__(self) -> str:
        options = ", ".join(f"{name}={value!r}" for name, value in self._options().items())
        return f"{type(self).__name__}({options})"


def _rate_of(layer: str) -> str:
    """Return the name of a layer's learning rate in the options."""
    return f"lr[{layer!r}]"


def _are_parameters(thing: Any) -> bool:
    """Return whether `thing` is a model, or a list or an iterator of parameters."""
    if isinstance(thing, list | tuple):
        return any(isinstance(item, Parameter) for item in thing)
    return isinstance(thing, Layer | Iterator)
