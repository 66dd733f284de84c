"""A training step written directly in NumPy: a lower bound for libraries built on NumPy."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np

from .task import weights


def bare_products(widths: list[int], batch: int) -> Callable[[], None]:
    """Return a function that computes only the matrix products of a step, in NumPy."""
    rng = np.random.default_rng(0)
    products = []
    for layer, (inner, out) in enumerate(pairwise(widths)):
        shapes = (out, inner), (batch, inner), (batch, out)
        weight, x, dy = (rng.random(shape, dtype=np.float32) for shape in shapes)
        products += [(x, weight.T, np.empty_like(dy)), (dy.T, x, np.empty_like(weight))]
        if layer:  # the first layer needs no input gradient
            products.append((dy, weight, np.empty_like(x)))

    def multiply() -> None:
        for a, b, out in products:
            np.matmul(a, b, out=out)

    return multiply


def bare_step(widths: list[int], batch: int) -> Callable[[], list[np.ndarray]]:
    """Return a function that runs a forward and a backward pass, but no loss and no optimizer.

    The backward pass starts with the gradient 1 for each output. The function returns the gradients
    of the weights and biases.
    """
    parameters = weights(widths)
    layers = list(zip(parameters[::2], parameters[1::2], strict=True))
    images, ones = (np.ones((batch, n), np.float32) for n in (widths[0], widths[-1]))

    def step() -> list[np.ndarray]:
        x, dy = images, ones
        inputs: list[np.ndarray] = []
        grads: list[np.ndarray] = []
        for weight, bias in layers:
            x = np.maximum(x, 0.0) if inputs else x
            inputs.append(x)
            x = x @ weight.T
            x += bias
        for i, (weight, _) in reversed([*enumerate(layers)]):
            grads += [dy.sum(axis=0), dy.T @ inputs[i]]
            if i:
                dy = dy @ weight
                dy *= inputs[i] > 0
        return grads[::-1]

    return step
