"""The same network in each library: one step of training with Adam, and a prediction.

Each function makes a `Task` from the same initial weights and the same batches, drawn from float32
data in memory. A library is imported where it is used, in a process of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

import chainrule as cr

LR = 1e-3


@dataclass(frozen=True)
class Task:
    """What is timed; both functions return numbers on the host."""

    step: Callable[[], float]
    """Draws a batch, trains on it, returns its loss before the step."""
    predict: Callable[[np.ndarray], np.ndarray]
    """The logits of some images."""


def network(widths: list[int]) -> cr.Sequential:
    """Linear maps with rectifiers between them."""
    return cr.mlp(widths, seed=0)


def weights(widths: list[int]) -> list[np.ndarray]:
    """The initial weights and biases, layer by layer, weights as ``(out, in)``."""
    return [np.array(p.value) for p in network(widths).parameters()]


def batches(size: int, *arrays: np.ndarray) -> Iterator[tuple[Any, ...]]:
    """Batches of one permutation after another, as chainrule draws them."""
    drawn = cr.minibatches(*arrays, batch_size=size, seed=0, drop_last=True)
    while True:
        yield from drawn


def rows(size: int, samples: int) -> Iterator[np.ndarray]:
    """The numbers of the samples in those batches."""
    return (chosen for (chosen,) in batches(size, np.arange(samples)))


def chainrule(widths: list[int], x: np.ndarray, y: np.ndarray, size: int) -> Task:
    """Ours, by the visible loop."""
    model, loss = network(widths), cr.CrossEntropyLoss()
    optimizer, drawn = cr.Adam(lr=LR).bind(model), batches(size, x, y)

    def step() -> float:
        inputs, labels = next(drawn)
        outputs, back_through_model = model.forward(inputs, training=True)
        value, back_through_loss = loss(outputs, labels)
        back_through_model(back_through_loss())
        optimizer.step()
        return float(value)

    return Task(step, model.predict)


def torch(
    widths: list[int], x: np.ndarray, y: np.ndarray, size: int, compiled: bool = False
) -> Task:
    """PyTorch's eager mode, or `torch.compile`."""
    import torch

    layers: list[Any] = []
    for n, m in pairwise(widths):
        layers += [torch.nn.Linear(n, m), torch.nn.ReLU()]
    model = torch.nn.Sequential(*layers[:-1])
    with torch.no_grad():
        for parameter, value in zip(model.parameters(), weights(widths), strict=True):
            parameter.copy_(torch.asarray(value))
    forward = torch.compile(model) if compiled else model
    optimizer, loss = torch.optim.Adam(model.parameters(), lr=LR), torch.nn.CrossEntropyLoss()
    inputs, labels, drawn = torch.asarray(x), torch.asarray(y), rows(size, len(x))

    def step() -> float:
        chosen = torch.asarray(next(drawn))
        value = loss(forward(inputs[chosen]), labels[chosen])
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        return float(value.item())

    def predict(images: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            result: np.ndarray = forward(torch.asarray(images)).numpy()
        return result

    return Task(step, predict)


def torch_compiled(widths: list[int], x: np.ndarray, y: np.ndarray, size: int) -> Task:
    """PyTorch with the model compiled."""
    return torch(widths, x, y, size, compiled=True)


def jax(widths: list[int], x: np.ndarray, y: np.ndarray, size: int) -> Task:
    """JAX, a whole step jitted, the batch gathered inside."""
    import jax
    import jax.numpy as jnp

    inputs, labels, drawn = jnp.asarray(x), jnp.asarray(y), rows(size, len(x))
    parameters = [jnp.asarray(w) for w in weights(widths)]

    def logits(parameters: list[Any], images: Any) -> Any:
        for i in range(0, len(parameters), 2):
            images = images @ parameters[i].T + parameters[i + 1]
            images = jnp.maximum(images, 0.0) if i + 2 < len(parameters) else images
        return images

    def loss(parameters: list[Any], images: Any, labels: Any) -> Any:
        log_p = jax.nn.log_softmax(logits(parameters, images))
        return -jnp.mean(log_p[jnp.arange(size), labels])

    @jax.jit
    def update(state: Any, t: Any, chosen: Any) -> Any:
        parameters, means, squares = state
        value, grads = jax.value_and_grad(loss)(parameters, inputs[chosen], labels[chosen])
        means = [0.9 * m + 0.1 * g for m, g in zip(means, grads, strict=True)]
        squares = [0.999 * s + 0.001 * g * g for s, g in zip(squares, grads, strict=True)]
        rate, unbias = LR / (1 - 0.9**t), 1 / (1 - 0.999**t)
        moved = [
            p - rate * m / (jnp.sqrt(s * unbias) + 1e-8)
            for p, m, s in zip(parameters, means, squares, strict=True)
        ]
        return (moved, means, squares), value

    zeros = [jnp.zeros_like(p) for p in parameters]
    held = {"state": (parameters, zeros, zeros), "t": 0}

    def step() -> float:
        held["t"] += 1
        held["state"], value = update(held["state"], jnp.float32(held["t"]), next(drawn))
        return float(value)

    jitted = jax.jit(logits)
    return Task(step, lambda images: np.asarray(jitted(held["state"][0], images)))


def sklearn(widths: list[int], x: np.ndarray, y: np.ndarray, size: int) -> Task:
    """scikit-learn's MLPClassifier, a batch a call of `partial_fit`."""
    from sklearn.neural_network import MLPClassifier

    model = MLPClassifier(widths[1:-1], batch_size=size, learning_rate_init=LR, alpha=0.0)
    drawn, classes = batches(size, x, y), np.arange(widths[-1])
    model.partial_fit(*next(batches(size, x, y)), classes=classes)  # makes its arrays
    model.coefs_[:] = [w.T.copy() for w in weights(widths)[::2]]
    model.intercepts_[:] = [b.copy() for b in weights(widths)[1::2]]
    del model._optimizer  # its state is of other weights

    def step() -> float:
        model.partial_fit(*next(drawn))
        return float(model.loss_)

    def predict(images: np.ndarray) -> np.ndarray:
        return np.log(model.predict_proba(images))

    return Task(step, predict)


LIBRARIES: dict[str, Callable[..., Task]] = {
    "chainrule": chainrule,
    "torch": torch,
    "torch.compile": torch_compiled,
    "jax": jax,
    "sklearn": sklearn,
}
"""By the name that is printed; `torch.compile` and the others run where they are installed."""
