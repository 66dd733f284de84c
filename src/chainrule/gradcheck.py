"""Gradient check: compare gradients with finite differences."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from .backends import Backend, get_backend
from .backends.base import BackendLike
from .backends.conversion import to_numpy
from .checks import instance
from .errors import ShapeError
from .forms import each, each_named, each_shape, first, named, several, shape_of
from .layers import Layer
from .layers.model import Model
from .losses import Loss
from .types import Array, Arrays, Shapes

Values = dict[str, np.ndarray]
"""A dict from names to the values of the input and of the parameters."""

Run = Callable[[Values], tuple[Array, Callable[[], list[Array]]]]
"""A function of the values. It returns a number, and a function that computes its gradients."""

_INPUT = "the input"
_STEP = 1e-5  # near this step size, the error of central differences is smallest, about 1e-10


def gradcheck(
    function: Layer | Loss,
    *,
    shape: Shapes | None = None,
    x: Any = None,
    target: Any = None,
    training: bool = False,
    backend: BackendLike = "numpy",
    seed: int = 0,
    tolerance: float = 1e-6,
) -> float:
    """Compare every gradient of a layer or a loss with finite differences, in float64.

    The input is `x`, or is drawn from a normal distribution. Integers in the input have no
    gradient, so they are not varied. For a layer, the check differentiates a weighted
    sum of the outputs, with random weights. The check runs on a copy of the layer, so the layer
    itself does not change. In this copy, no parameter is frozen. At a kink, such as ReLU at 0, the
    derivative from either side is accepted.

    Parameters
    ----------
    function : Layer or Loss
        The layer or loss to check.
    shape : tuple of int, or tuple or dict of such tuples
        The shape of the input to draw, ``(batch, features)``, or the shapes of several inputs.
    x : array, or tuple or dict of arrays
        The input, instead of `shape`.
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
    TypeError
        Unless exactly one of `shape` and `x` is given.
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
    if (shape is None) == (x is None):
        raise TypeError("gradcheck needs either shape= or x=")
    backend = get_backend(backend)
    rng = np.random.default_rng(seed)
    drawn = each_shape(lambda s: rng.normal(size=s), shape) if x is None else each(to_numpy, x)
    x = each(lambda a: a.astype(np.float64) if a.dtype.kind == "f" else a, drawn)
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

        def f(moved: np.ndarray, name: str = name) -> float:
            return float(run({**values, name: moved})[0])

        central = _central_differences(f, host)
        scale = max(float(np.abs(central).max()), 1e-3)
        error = np.abs(gradient - central) / scale
        for entry in map(tuple, np.argwhere(~(error <= tolerance))):  # it may be at a kink
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
    loss: Loss, x: Arrays, backend: Backend, rng: np.random.Generator, target: Any
) -> tuple[Values, Run]:
    """Return the input of a loss, and a function that computes the loss and its gradient."""
    target, direction = each(backend.asarray, target), rng.normal(size=first(x).size)

    def run(values: Values) -> tuple[Array, Callable[[], list[Array]]]:
        value, backward = loss(_with_values(backend, x, values), target)
        weights = direction[: math.prod(value.shape)].reshape(value.shape)
        dvalue = _asarray(backend, weights)
        return backend.xp.sum(value * dvalue), lambda: _of_floats(backward(dvalue), x)

    return _floats(x), run


def _layer(
    layer: Layer,
    x: Arrays,
    backend: Backend,
    rng: np.random.Generator,
    training: bool,
    seed: int,
) -> tuple[Values, Run]:
    """Return the values to vary, and a function that computes the weighted sum and gradients."""
    layer = layer.copy()
    layer.unfreeze()
    layer.bind(backend, dtype="float64", seed=seed)
    state, parameters = layer.state, layer.named_parameters()
    draws, buffers = state.draws, state.snapshot("buffers")
    y, _ = layer._checked_forward(_with_values(backend, x, _floats(x)), training, state.dtype)
    options = {"input_gradient": True} if layer.takes_input_gradient else {}

    def direction(y: Array) -> Array | None:
        drawn = rng.normal(size=y.shape)
        return backend.read_only(_asarray(backend, drawn)) if y.dtype == state.dtype else None

    dy = each(direction, y)

    def run(values: Values) -> tuple[Array, Callable[[], list[Array]]]:
        for name, parameter in parameters.items():
            parameter.value[...] = _asarray(backend, values[name])
        state.draws = draws
        state.restore(buffers)
        inputs = each(backend.read_only, _with_values(backend, x, values))
        y, backward = layer._checked_forward(inputs, training, state.dtype)

        def gradients() -> list[Array]:
            state.zero_grad()
            try:
                dx = backward(dy, **options)
                if dx is not None or not isinstance(layer, Model):  # a model may omit `dx`
                    layer._refuse_gradient(dx, dy, shape_of(inputs))
            except ShapeError as error:
                raise AssertionError(str(error)) from None
            except ValueError as error:
                layer._wrote_to_input(error)
                raise
            return [*_of_floats(dx, x), *(p.grad for p in parameters.values())]

        pairs = zip(named("y", y).values(), named("dy", dy).values(), strict=True)
        return sum(backend.xp.sum(a * b) for a, b in pairs if b is not None), gradients

    drawn = {name: backend.to_numpy(p.value).copy() for name, p in parameters.items()}
    return {**_floats(x), **drawn}, run


def _floats(x: Arrays) -> Values:
    """Return a dict from names to the floating-point arrays of `x`."""
    return {name: array for name, array in named(_INPUT, x).items() if array.dtype.kind == "f"}


def _with_values(backend: Backend, x: Arrays, values: Values) -> Arrays:
    """Return `x` on the backend, with the floating-point arrays replaced by `values`."""

    def on_backend(name: str, array: np.ndarray) -> Array:
        return _asarray(backend, values[name]) if name in values else backend.asarray(array)

    return each_named(on_backend, _INPUT, x)


def _of_floats(dx: Arrays | None, x: Arrays) -> list[Array | None]:
    """Return the gradients of the floating-point arrays of `x`. None in a tuple or dict means 0."""
    if not several(x):
        return [dx] if _floats(x) else []
    gradients = named(_INPUT, dx)  # a dict may have a different order than `x`
    return [
        np.zeros(array.shape) if gradients[name] is None else gradients[name]
        for name, array in _floats(x).items()
    ]


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
