"""Gradients against finite differences."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .backends import get_backend
from .backends.base import BackendLike
from .layers import Layer
from .losses import Loss
from .types import Array

_STEP = 1e-5  # the error of a central difference is near its least, some 1e-10


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
    """Compare every gradient of a layer or a loss with central differences, in float64.

    The input is drawn from a normal distribution; a layer's output is weighted with random numbers
    to give one. The layer itself is not touched: a copy is checked, with nothing frozen. At a kink,
    such as that of a rectifier, the derivative from either side will do.

    Parameters
    ----------
    function : Layer or Loss
        What to check.
    shape : tuple of int
        The shape of the input, ``(batch, features)``.
    target : array, optional
        The targets of a loss.
    training : bool, optional
        Whether to check the layer as in training. The same random masks are drawn, and buffers
        start from the same values, each time.
    backend : str, Backend or namespace, optional
        Where to compute.
    seed : int, optional
        Of the input and of a layer's parameters.
    tolerance : float, optional
        The largest difference accepted, over the largest entry of the gradient.

    Returns
    -------
    float
        The largest difference found, relative in the same way.

    Raises
    ------
    AssertionError
        If a gradient is wrong: it names the worst entry, with both values.

    Examples
    --------
    >>> cr.gradcheck(cr.Tanh(), shape=(4, 5)) < 1e-6
    True
    """
    backend = get_backend(backend)
    rng = np.random.default_rng(seed)
    x = rng.normal(size=shape)

    def asarray(host: Any) -> Array:
        return backend.asarray(host, dtype=backend.dtype("float64"))

    checked = {"the input": x}
    if isinstance(function, Loss):
        if target is None:
            raise TypeError("gradcheck of a loss needs target=")
        target, direction = backend.asarray(target), rng.normal(size=x.size)

        def run(values: dict[str, np.ndarray]) -> tuple[Array, Callable[[], list[Array]]]:
            value, backward = function(asarray(values["the input"]), target)
            weights = asarray(direction[: int(np.prod(value.shape))].reshape(value.shape))
            return backend.xp.sum(value * weights), lambda: [backward(weights)]

    else:
        layer = function.copy()
        layer.unfreeze()
        layer.bind(backend, dtype="float64", seed=seed)
        state, parameters = layer.state, layer.named_parameters()
        draws, buffers = state.draws, backend.xp.asarray(state.buffers, copy=True)
        weights = asarray(rng.normal(size=layer.forward(asarray(x), training=training)[0].shape))
        checked.update((name, backend.to_numpy(p.value).copy()) for name, p in parameters.items())

        def run(values: dict[str, np.ndarray]) -> tuple[Array, Callable[[], list[Array]]]:
            for name, parameter in parameters.items():
                parameter.value[...] = asarray(values[name])
            state.draws, state.buffers[...] = draws, buffers
            y, backward = layer.forward(asarray(values["the input"]), training=training)

            def gradients() -> list[Array]:
                state.zero_grad()
                asked = {"input_gradient": True} if layer.takes_input_gradient else {}
                dx = backward(weights, **asked)
                state.settle_grads()
                return [dx, *(p.grad for p in parameters.values())]

            return backend.xp.sum(y * weights), gradients

    found = run(checked)[1]()
    gradients = [None if g is None else backend.to_numpy(g).copy() for g in found]
    worst, where = 0.0, ""
    for (name, host), gradient in zip(checked.items(), gradients, strict=True):
        if gradient is None:  # of a model that computes none by its input
            continue
        if gradient.shape != host.shape:
            raise AssertionError(
                f"{function!r}: expected a gradient of shape {host.shape} for {name}, "
                f"found {gradient.shape}"
            )
        differences = _differences(
            lambda v: float(run({**checked, name: v})[0]),  # noqa: B023
            host,
        )
        scale = max(float(np.abs(differences[0]).max()), 1e-3)
        error = np.min([np.abs(gradient - d) for d in differences], axis=0) / scale
        entry = np.unravel_index(int(np.argmax(np.nan_to_num(error, nan=np.inf))), error.shape)
        if not error[entry] <= worst:
            worst = float(error[entry])
            where = (
                f"entry {tuple(map(int, entry))} of {name}: gradient {gradient[entry]:.9g}, "
                f"finite difference {differences[0][entry]:.9g}"
            )
    if not worst <= tolerance:
        raise AssertionError(f"{function!r}: relative error {worst:.3g} at {where}")
    return worst


def _differences(f: Callable[[np.ndarray], float], x: np.ndarray) -> np.ndarray:
    """Second-order differences of `f` by each entry of `x`: central, from above, from below."""
    result, h = np.empty((3, *x.shape)), _STEP
    here = f(x)
    for entry in np.ndindex(x.shape):
        values = {}
        for steps in (-2, -1, 1, 2):
            moved = x.copy()
            moved[entry] += steps * h
            values[steps] = f(moved)
        result[0][entry] = (values[1] - values[-1]) / (2 * h)
        result[1][entry] = (4 * values[1] - 3 * here - values[2]) / (2 * h)
        result[2][entry] = (3 * here + values[-2] - 4 * values[-1]) / (2 * h)
    return result
