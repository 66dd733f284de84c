"""Argument checks. Each returns a valid argument, and raises an error for an invalid one."""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Iterable, Sequence
from inspect import Parameter, signature
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from .errors import shown, what_is_meant

_Kind = TypeVar("_Kind")


class Checked:
    """Descriptor for an attribute that is checked at every assignment.

    Parameters
    ----------
    check : callable
        A function of the attribute's name and the value. It returns the value to store, or raises
        an error.

    Examples
    --------
    >>> class Slope:
    ...     factor = Checked(finite)
    >>> slope = Slope()
    >>> slope.factor = float("nan")
    Traceback (most recent call last):
        ...
    ValueError: expected factor to be finite, found nan
    """

    def __init__(self, check: Callable[[str, Any], Any]) -> None:
        self.check = check

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __set__(self, instance: Any, value: Any) -> None:
        vars(instance)[self.name] = self.check(self.name, value)

    if TYPE_CHECKING:  # at run time, Python reads the value from the instance's `__dict__`

        def __get__(self, instance: Any, owner: type | None = None) -> Any: ...


def instance(kind: type[_Kind], thing: Any, expected: str, hint: str = "") -> _Kind:
    """Return `thing` if it is an instance of `kind`; otherwise raise an error."""
    if isinstance(thing, kind):
        return thing
    raise TypeError(f"expected {expected}, found {shown(thing)}{hint or what_is_meant(thing)}")


def whole(name: str, number: Any, *, least: int) -> int:
    """Return `number` if it is an integer and at least `least`; otherwise raise an error."""
    if isinstance(number, bool) or not isinstance(number, Integral):
        raise TypeError(f"expected {name} to be a whole number, found {shown(number)}")
    if number < least:
        raise ValueError(f"expected {name} to be at least {least}, found {number}")
    return int(number)


def per_axis(name: str, numbers: Any, axes: int, *, least: int) -> tuple[int, ...]:
    """Return one integer per axis. `numbers` is a sequence, or a single integer for all axes."""
    if not isinstance(numbers, tuple | list):
        return (whole(name, numbers, least=least),) * axes
    if len(numbers) != axes:
        among = "one number" if axes == 1 else f"a number or {axes} numbers"
        raise ValueError(f"expected {name} to be {among}, found {numbers!r}")
    return tuple(whole(name, number, least=least) for number in numbers)


def is_function(thing: Any) -> bool:
    """Return whether `thing` is callable, but neither a class nor a layer."""
    return callable(thing) and not isinstance(thing, type) and not hasattr(thing, "forward")


def flag(name: str, value: Any) -> bool:
    """Return `value` if it is True or False; otherwise raise an error."""
    if not isinstance(value, bool | np.bool_):
        raise TypeError(f"expected {name} to be True or False, found {shown(value)}")
    return bool(value)


def finite(name: str, number: Any) -> float:
    """Return `number` if it is finite; otherwise raise an error."""
    return _expect(math.isfinite(x := _real(name, number)), f"{name} to be finite", x)


def at_least_zero(name: str, number: Any) -> float:
    """Return `number` if it is finite and at least 0; otherwise raise an error."""
    x = _real(name, number)
    return _expect(0.0 <= x < math.inf, f"{name} to be finite and at least 0", x)


def above_zero(name: str, number: Any) -> float:
    """Return `number` if it is finite and above 0; otherwise raise an error."""
    x = _real(name, number)
    return _expect(0.0 < x < math.inf, f"{name} to be finite and above 0", x)


def below(limit: int) -> Callable[[str, Any], float]:
    """Return a check that accepts only numbers that are at least 0 and below `limit`."""

    def check(name: str, number: Any) -> float:
        return _expect(0.0 <= (x := _real(name, number)) < limit, f"0 <= {name} < {limit}", x)

    return check


below_one = below(1)


def at_least(least: int) -> Callable[[str, Any], int]:
    """Return a check that accepts only integers that are at least `least`."""
    return lambda name, number: whole(name, number, least=least)


def one_of(*choices: _Kind) -> Callable[[str, Any], _Kind]:
    """Return a check that accepts only these values."""

    def check(name: str, value: Any) -> _Kind:
        if value not in choices:
            raise ValueError(f"expected {name} to be one of {choices}, found {shown(value)}")
        return choices[choices.index(value)]

    return check


def optional(check: Callable[[str, Any], Any]) -> Callable[[str, Any], Any]:
    """Return a check that accepts None and every value that `check` accepts."""
    return lambda name, value: None if value is None else check(name, value)


def share(name: str, number: Any) -> float:
    """Return `number` if it is from 0 to 1; otherwise raise an error."""
    return _expect(0.0 <= (x := _real(name, number)) <= 1.0, f"0 <= {name} <= 1", x)


def _real(name: str, number: Any) -> float:
    if not isinstance(number, (float, Real)):  # checking for float first is faster
        found = f"{shown(number)}{what_is_meant(number)}"
        raise TypeError(f"expected {name} to be a number, found {found}")
    return float(number)


def _expect(holds: bool, what: str, number: float) -> float:
    if not holds:
        raise ValueError(f"expected {what}, found {number}")
    return number


def expect_arguments(cls: type, args: Sequence[Any], given: Iterable[str]) -> None:
    """Raise a TypeError with a hint for arguments that a built-in class does not take."""
    known: list[Parameter] = []
    for kind in cls.__mro__[:-1]:  # without `object`
        if "__init__" not in vars(kind):
            continue
        if not kind.__module__.startswith(f"{__package__}."):
            return  # the arguments of custom classes are unknown
        _, *parameters = signature(kind.__init__).parameters.values()  # type: ignore[misc]
        known += [p for p in parameters if p.name not in [other.name for other in known]]
        if all(p.kind is not p.VAR_KEYWORD for p in parameters):
            break
    named = [p.name for p in known if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    for name in given:
        if name not in named:
            raise no_argument(cls.__name__, name, named)
    positional = [p.name for p in known if p.kind is p.POSITIONAL_OR_KEYWORD]
    if len(args) > len(positional) and all(p.kind is not p.VAR_POSITIONAL for p in known):
        others = [f"{name}=" for name in named if name not in positional]
        takes = f"at most {len(positional)} ({', '.join(positional)})" if positional else "none"
        hint = f"; pass others by name: {', '.join(others)}" if others else ""
        raise TypeError(
            f"{cls.__name__}: too many arguments without a name: expected {takes}, found "
            f"{len(args)}{hint}"
        )


def no_argument(function: str, name: str, known: Sequence[str]) -> TypeError:
    """Return the error for an unknown argument. The error suggests the name that was meant."""
    meant = [theirs for theirs in _MEANT.get(name, ()) if theirs in known]
    meant = meant or difflib.get_close_matches(name, known, n=1)
    hint = f"expected one of {', '.join(known)}" if known else "it takes none"
    if meant:
        hint = f"did you mean {meant[0]!r}?"
    if name in _INSTEAD and "hidden_size" in known:
        hint = _INSTEAD[name]
    return TypeError(f"{function} has no argument {name!r}: {hint}")


_SIZES = ("hidden_size", "embedding_dim", "out_features")
_MEANT: dict[
    str, tuple[str, ...]
] = {  # argument names in other libraries, and their names in chainrule
    **dict.fromkeys(("learning_rate", "learning_rate_init", "eta", "alpha"), ("lr",)),
    **dict.fromkeys(("beta1", "beta2", "beta_1", "beta_2"), ("betas",)),
    **dict.fromkeys(("l2", "decay", "wd"), ("weight_decay",)),
    **dict.fromkeys(("clipnorm", "global_clipnorm", "max_grad_norm", "grad_clip"), ("clip_norm",)),
    **dict.fromkeys(("num_features", "normalized_shape"), ("features",)),
    **dict.fromkeys(("rate", "dropout_rate", "prob"), ("p", "dropout")),
    **dict.fromkeys(("kernel_initializer", "weight_init", "embeddings_initializer"), ("init",)),
    **dict.fromkeys(("units", "hidden_dim", "output_dim"), _SIZES),
    **dict.fromkeys(("n_layers", "layers"), ("num_layers",)),
    **dict.fromkeys(("vocab_size", "input_dim"), ("num_embeddings", "input_size", "in_features")),
    "epsilon": ("eps",),
    "rho": ("alpha",),
    "use_bias": ("bias",),
    "activation": ("nonlinearity",),
    "return_sequences": ("output",),
    "bias_initializer": ("bias_init",),
    "unit_forget_bias": ("forget_bias",),
    "elementwise_affine": ("affine",),
    "criterion": ("loss",),
}

_INSTEAD = {  # recurrent layers' arguments in other libraries that have no equivalent here
    "batch_first": "the batch is always the first axis",
    "proj_size": "there are no projections; add a Linear layer to change the size of the output",
    "recurrent_dropout": "dropout= applies between layers; there is no dropout between steps",
    "go_backwards": "bidirectional=True adds a direction that reads backwards",
}
