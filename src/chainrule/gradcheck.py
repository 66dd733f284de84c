"""Gradient check: compare gradients with finite differences."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from .backends import Backend, get_backend
from .backends.base import BackendLike
from .checks import instance
from .layers import Layer
from .layers.model import Model
from .losses import Loss
from .types import Array

Values = dict[str, np.ndarray]
"""The values of the input and of the parameters, by name."""

Run = Callable[[Values], tuple[Array, Callable[[], list[Array]]]]
"""A function of the values. It returns a number, and a function that computes its gradients."""

_INPUT = "the input"
_STEP = 1e-5  # near this step, the error of central differences is smallest, about 1e-10


def gradcheck(
    function: Layer | Loss,
    *,
    shape: tuple[int, ...],
    target: Any = None,
    training: bool = False,
    backend: BackendLike = "numpy",
    seed: int = 0,
    tolerance: float = 1e-6,
) -> float:
    """Compare every gradient of a layer or a loss with finite differences, in float64.

    The input is drawn from a normal distribution. For a layer, the check differentiates a weighted
    sum of the outputs, with random weights. The check runs on a copy of the layer, so the layer
    itself does not change. In this copy, no parameter is frozen. At a kink, such as ReLU at 0, the
    derivative from either side is accepted.

    Parameters
    ----------
    function : Layer or Loss
        The layer or loss to check.
    shape : tuple of int
        The shape of the input, ``(batch, features)``.
    target : array, optional
        The targets of a loss.
    training : bool, optional
        Whether to run the layer in training mode. All forward passes use the same random masks and
        the same initial buffers.
    backend : str, Backend or namespace, optional
        The backend to run the check on.
    seed : int, optional
        The seed for the input and for the parameters of the layer.
    tolerance : float, optional
        The largest accepted difference, relative to the largest entry of the gradient.

    Returns
    -------
    float
        The largest difference that was found, relative to the largest entry of the gradient.

    Raises
    ------
    AssertionError
        If a gradient is wrong. The message shows the gradient and the finite difference of the
        worst entry.

    Examples
    --------
    >>> cr.gradcheck(cr.Tanh(), shape=(4, 5)) < 1e-6
    True
    """
    if not isinstance(function, Loss):
        instance(Layer, function, "a layer or a loss")
    backend = get_backend(backend)
    rng = np.random.default_rng(seed)
    x = rng.normal(size=shape)
    if not isinstance(function, Loss):
        values, run = _layer(function, x, backend, rng, training, seed)
    elif target is None:
        raise TypeError("gradcheck of a loss needs target=")
    else:
        values, run = _loss(function, x, backend, rng, target)
    found = run(values)[1]()
    gradients = [None if g is None else backend.to_numpy(g).copy() for g in found]
    worst, where = 0.0, ""
    for (name, host), gradient in zip(values.items(), gradients, strict=True):
        if gradient is None:  # a model may omit the gradient of its input
            continue
        if gradient.shape != host.shape:
            raise AssertionError(
                f"{function!r}: expected a gradient of shape {host.shape} for {name}, "
                f"found {gradient.shape}"
            )

        def f(moved: np.ndarray, name: str = name) -> float:
            return float(run({**values, name: moved})[0])

        central = _central_differences(f, host)
        scale = max(float(np.abs(central).max()), 1e-3)
        error = np.abs(gradient - central) / scale
        for entry in map(tuple, np.argwhere(~(error <= tolerance))):  # maybe at a kink
            one_sided = _one_sided_differences(f, host, entry)
            error[entry] = min(error[entry], *np.abs(gradient[entry] - one_sided) / scale)
        entry = np.unravel_index(int(np.argmax(np.nan_to_num(error, nan=np.inf))), error.shape)
        if not error[entry] <= worst:
            worst = float(error[entry])
            where = (
                f"entry {tuple(map(int, entry))} of {name}: gradient {gradient[entry]:.9g}, "
                f"finite difference {central[entry]:.9g}"
            )
    if not worst <= tolerance:
        raise AssertionError(f"{function!r}: relative error {worst:.3g} at {where}")
    return worst


def _loss(
    loss: Loss, x: np.ndarray, backend: Backend, rng: np.random.Generator, target: Any
) -> tuple[Values, Run]:
    """Return the input of a loss, and a function that computes the loss and its gradient."""
    target, direction = backend.asarray(target), rng.normal(size=x.size)

    def run(values: Values) -> tuple[Array, Callable[[], list[Array]]]:
        value, backward = loss(_asarray(backend, values[_INPUT]), target)
        weights = direction[: math.prod(value.shape)].reshape(value.shape)
        dvalue = _asarray(backend, weights)
        return backend.xp.sum(value * dvalue), lambda: [backward(dvalue)]

    return {_INPUT: x}, run


def _layer(
    layer: Layer,
    x: np.ndarray,
    backend: Backend,
    rng: np.random.Generator,
    training: bool,
    seed: int,
) -> tuple[Values, Run]:
    """Return the values to vary, and a function for the weighted sum and the gradients."""
    layer = layer.copy()
    layer.unfreeze()
    layer.bind(backend, dtype="float64", seed=seed)
    state, parameters = layer.state, layer.named_parameters()
    draws, buffers = state.draws, state.snapshot("buffers")
    y, _ = layer._checked_forward(_asarray(backend, x), training, state.dtype)
    options = {"input_gradient": True} if layer.takes_input_gradient else {}
    dy = backend.read_only(_asarray(backend, rng.normal(size=y.shape)))

    def run(values: Values) -> tuple[Array, Callable[[], list[Array]]]:
        for name, parameter in parameters.items():
            parameter.value[...] = _asarray(backend, values[name])
        state.draws = draws
        state.restore(buffers)
        x = backend.read_only(_asarray(backend, values[_INPUT]))
        y, backward = layer._checked_forward(x, training, state.dtype)

        def gradients() -> list[Array]:
            state.zero_grad()
            try:
                dx = backward(dy, **options)
                if not (hasattr(dx, "dtype") or isinstance(layer, Model)):  # `dx` may be None
                    layer._leaves_dtype("gradient", dx, dy)
            except ValueError as error:
                layer._wrote_to_input(error)
                raise
            return [dx, *(p.grad for p in parameters.values())]

        return backend.xp.sum(y * dy), gradients

    first = {name: backend.to_numpy(p.value).copy() for name, p in parameters.items()}
    return {_INPUT: x, **first}, run


def _asarray(backend: Backend, host: np.ndarray) -> Array:
    return backend.asarray(host, dtype=backend.dtype("float64"))


def _central_differences(f: Callable[[np.ndarray], float], x: np.ndarray) -> np.ndarray:
    """Return the central difference for each entry of `x`."""
    result = np.empty(x.shape)
    for entry in np.ndindex(x.shape):
        result[entry] = (f(_moved(x, entry, 1)) - f(_moved(x, entry, -1))) / (2 * _STEP)
    return result


def _one_sided_differences(
    f: Callable[[np.ndarray], float], x: np.ndarray, entry: tuple[int, ...]
) -> np.ndarray:
    """Return the second-order forward and backward differences for one entry of `x`."""
    here = f(x)
    return np.asarray(
        [
            (4 * f(_moved(x, entry, side)) - 3 * here - f(_moved(x, entry, 2 * side)))
            / (2 * side * _STEP)
            for side in (1, -1)
        ]
    )


def _moved(x: np.ndarray, entry: tuple[int, ...], steps: int) -> np.ndarray:
    moved = x.copy()
    moved[entry] += steps * _STEP
    return moved
