"""Learning rates: one rate for all parameters, or a dict with a rate for each layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Any

from ..checks import at_least_zero, is_function
from ..errors import shown, what_is_meant
from ..types import LearningRate, LearningRates


def checked_rates(name: str, lr: Any) -> LearningRates:
    """Check a learning rate: a number, a schedule, or a dict with a rate for each layer."""
    if not isinstance(lr, Mapping):
        return _checked(name, lr)
    if not lr:
        raise ValueError(f"expected {name} for at least one layer, found none")
    for layer in lr:
        if not isinstance(layer, str):
            raise TypeError(f"expected names of layers such as '0' in {name}, found {shown(layer)}")
    return {layer: _checked(f"{name}[{layer!r}]", rate) for layer, rate in lr.items()}


def _checked(name: str, lr: Any) -> LearningRate:
    if is_function(lr):
        return lr  # type: ignore[no-any-return]
    if not isinstance(lr, Real):
        found = f"{shown(lr)}{what_is_meant(lr)}"
        raise TypeError(
            f"expected {name} to be a number such as 1e-3, or a schedule, found {found}"
        )
    return at_least_zero(name, lr)


def rate_of_each(lr: LearningRates, parameters: Sequence[str]) -> list[str]:
    """Return the key of `lr` that applies to each parameter: the longest matching layer name.

    Raises
    ------
    ValueError
        If a parameter has no rate, or if a rate applies to no parameter.
    """
    if not isinstance(lr, Mapping):
        return [""] * len(parameters)
    fitting = {
        name: [layer for layer in lr if not layer or f"{name}.".startswith(f"{layer}.")]
        for name in parameters
    }
    known = ", ".join(parameters)
    for name, layers in fitting.items():
        if not layers:
            raise ValueError(
                f"expected a learning rate for each of the parameters {known}, found none for "
                f'{name}: the name "" stands for all other layers'
            )
    for layer in set(lr).difference(*fitting.values()):
        raise ValueError(
            f"expected learning rates for layers of the model, found one for {layer!r}; the "
            f"parameters are {known}"
        )
    return [max(layers, key=len) for layers in fitting.values()]
