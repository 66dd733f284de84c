"""The same network in each library: a training step with Adam, an epoch, and a prediction.

Each function makes a `Task` for a network of given widths, with the same initial weights and the
same batches, drawn from float32 data in memory. If a library allows it, the losses are read only at
the end of each epoch. Each library is imported only in its own process.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from functools import partial
from importlib.machinery import ModuleSpec, PathFinder
from itertools import pairwise
from typing import Any

import numpy as np

import chainrule as cr

from .task import LR, Data, Task, network, weights


def chainrule(widths: list[int], data: Data, model: cr.Sequential | None = None) -> Task:
    """Set up chainrule: steps in a visible loop, epochs by a `Trainer`."""
    model = network(widths) if model is None else model
    loss, optimizer, drawn = cr.CrossEntropyLoss(), cr.Adam(lr=LR), data.batches()
    trainer = cr.Trainer(model, loss=loss, optimizer=optimizer)

    def step() -> float:
        inputs, labels = next(drawn)
        outputs, back_through_model = model.forward(inputs, training=True)
        value, back_through_loss = loss(outputs, labels)
        back_through_model(back_through_loss())
        optimizer.step()
        return float(value)

    def epoch() -> float:
        history = trainer.fit(*data.epoch, batch_size=data.batch, verbose=0)
        return float(history.epochs[-1]["loss"])

    return Task(step, epoch, model.predict)


def chainrule_plain(widths: list[int], data: Data, model: cr.Sequential | None = None) -> Task:
    """Set up chainrule without the ``fast`` extra, in a process that cannot import numba."""
    hide_numba()
    return chainrule(widths, data, model)


def hide_numba() -> None:
    """Keep this process from importing numba."""
    if "numba" in sys.modules:
        raise RuntimeError("numba is imported already")
    sys.meta_path[:] = [WithoutNumba if f is PathFinder else f for f in sys.meta_path]


class WithoutNumba(PathFinder):
    """An import finder that does not find numba."""

    @classmethod
    def find_spec(cls, fullname: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        hidden = fullname.partition(".")[0] == "numba"
        return None if hidden else super().find_spec(fullname, path, target)


def torch(
    widths: list[int],
    data: Data,
    model: Any = None,
    *,
    compiled: bool = False,
    fused: bool = False,
) -> Task:
    """Set up PyTorch with its defaults, with a compiled model, or with its fused Adam."""
    import torch

    model = torch_model(widths) if model is None else model
    forward = torch.compile(model) if compiled else model
    optimizer = torch.optim.Adam(model.parameters(), lr=LR, fused=fused)
    loss = torch.nn.CrossEntropyLoss()
    inputs, labels = torch.asarray(data.images), torch.asarray(data.labels)
    drawn, epoch_rows = data.rows(), data.epoch_rows()

    def update(rows: np.ndarray) -> Any:
        chosen = torch.asarray(rows)
        value = loss(forward(inputs[chosen]), labels[chosen])
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        return value.detach()

    def epoch() -> float:
        return float(torch.stack([update(rows) for rows in epoch_rows()]).mean())

    def predict(images: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            result: np.ndarray = forward(torch.asarray(images)).numpy()
        return result

    return Task(lambda: float(update(next(drawn))), epoch, predict)


def torch_model(widths: list[int]) -> Any:
    """Return the network as a PyTorch module."""
    import torch

    layers: list[Any] = []
    for n, m in pairwise(widths):
        layers += [torch.nn.Linear(n, m), torch.nn.ReLU()]
    model = torch.nn.Sequential(*layers[:-1])
    with torch.no_grad():
        for parameter, value in zip(model.parameters(), weights(widths), strict=True):
            parameter.copy_(torch.asarray(value))
    return model


def jax(widths: list[int], data: Data) -> Task:
    """Set up JAX, with a jitted step that also gathers the batch."""
    return jax_adam(_jax_logits, weights(widths), data)


def jax_adam(logits: Callable[..., Any], initial: list[np.ndarray], data: Data) -> Task:
    """Set up JAX for a function ``logits(parameters, images)``."""
    import jax
    import jax.numpy as jnp

    inputs, labels = jnp.asarray(data.images), jnp.asarray(data.labels)
    drawn, epoch_rows = data.rows(), data.epoch_rows()

    @jax.jit
    def update(state: Any, t: Any, chosen: Any) -> Any:
        return jax_update(state, t, inputs[chosen], labels[chosen], logits)

    held: dict[str, Any] = {"state": jax_state(initial), "t": 0}

    def step(chosen: np.ndarray) -> Any:
        held["t"] += 1
        held["state"], value = update(held["state"], jnp.float32(held["t"]), chosen)
        return value

    def epoch() -> float:
        return float(np.mean(jax.device_get([step(rows) for rows in epoch_rows()])))

    jitted = jax.jit(logits)
    return Task(
        lambda: float(step(next(drawn))),
        epoch,
        lambda images: np.asarray(jitted(held["state"][0], images)),
    )


def jax_state(initial: list[np.ndarray]) -> tuple[Any, Any, Any]:
    """Return the parameters, and Adam's means and mean squares of their gradients."""
    import jax.numpy as jnp

    parameters = [jnp.asarray(w) for w in initial]
    means, squares = ([jnp.zeros_like(p) for p in parameters] for _ in range(2))
    return parameters, means, squares


def jax_update(
    state: Any, t: Any, images: Any, labels: Any, logits: Callable[..., Any] | None = None
) -> tuple[Any, Any]:
    """Take step `t` of Adam, counted from 1. Return the new state and the loss before the step."""
    import jax
    import jax.numpy as jnp

    def loss(parameters: list[Any]) -> Any:
        log_p = jax.nn.log_softmax((logits or _jax_logits)(parameters, images))
        return -jnp.mean(log_p[jnp.arange(len(labels)), labels])

    parameters, means, squares = state
    value, grads = jax.value_and_grad(loss)(parameters)
    means = [0.9 * m + 0.1 * g for m, g in zip(means, grads, strict=True)]
    squares = [0.999 * s + 0.001 * g * g for s, g in zip(squares, grads, strict=True)]
    rate, unbias = LR / (1 - 0.9**t), 1 / (1 - 0.999**t)
    moved = [
        p - rate * m / (jnp.sqrt(s * unbias) + 1e-8)
        for p, m, s in zip(parameters, means, squares, strict=True)
    ]
    return (moved, means, squares), value


def _jax_logits(parameters: list[Any], images: Any) -> Any:
    import jax.numpy as jnp

    for i in range(0, len(parameters), 2):
        images = images @ parameters[i].T + parameters[i + 1]
        images = jnp.maximum(images, 0.0) if i + 2 < len(parameters) else images
    return images


def sklearn(widths: list[int], data: Data) -> Task:
    """Set up scikit-learn's MLPClassifier. Each `partial_fit` trains on a batch or an epoch."""
    from sklearn.neural_network import MLPClassifier

    model = MLPClassifier(widths[1:-1], batch_size=data.batch, learning_rate_init=LR, alpha=0.0)
    drawn, classes = data.batches(), np.arange(widths[-1])
    model.partial_fit(*next(data.batches()), classes=classes)  # this call creates the arrays
    model.coefs_[:] = [w.T.copy() for w in weights(widths)[::2]]
    model.intercepts_[:] = [b.copy() for b in weights(widths)[1::2]]
    del model._optimizer  # the optimizer's state belongs to the old weights

    def fit(images: np.ndarray, labels: np.ndarray) -> float:
        model.partial_fit(images, labels)
        return float(model.loss_)

    def predict(images: np.ndarray) -> np.ndarray:
        result: np.ndarray = np.log(model.predict_proba(images))
        return result

    return Task(lambda: fit(*next(drawn)), lambda: fit(*data.epoch), predict)


def thinc(widths: list[int], data: Data) -> Task:
    """Set up Thinc with its defaults, which use its own build of BLIS on one thread."""
    from thinc.api import Adam, Relu, Softmax, chain

    layers: list[Any] = [Relu(m, n) for n, m in pairwise(widths[:-1])]
    layers.append(Softmax(widths[-1], widths[-2]))
    model: Any = chain(*layers)
    model.initialize()
    for i, value in enumerate(weights(widths)):
        layers[i // 2].set_param("Wb"[i % 2], value)
    optimizer = Adam(LR, L2=0.0, grad_clip=0.0, use_averages=False)
    drawn, each, passes = data.batches(), np.arange(data.batch), data.passes(*data.epoch)

    def update(images: np.ndarray, labels: np.ndarray) -> float:
        probabilities, backprop = model.begin_update(images)
        loss = -np.log(probabilities[each, labels]).mean()  # Thinc reports a different loss
        probabilities[each, labels] -= 1.0
        probabilities /= len(images)
        backprop(probabilities)
        model.finish_update(optimizer)
        return float(loss)

    def epoch() -> float:
        return float(np.mean([update(*batch) for batch in passes]))

    return Task(lambda: update(*next(drawn)), epoch, lambda x: np.log(model.predict(x)))


LIBRARIES: dict[str, Callable[[list[int], Data], Task]] = {
    "chainrule": chainrule,
    "chainrule-plain": chainrule_plain,
    "torch": torch,
    "torch.fused": partial(torch, fused=True),
    "torch.compile": partial(torch, compiled=True),
    "jax": jax,
    "sklearn": sklearn,
    "thinc": thinc,
}
"""A dict from each library's printed name to the function that sets up the library."""

_NEEDS = {"chainrule-plain": "numba", "torch.fused": "torch", "torch.compile": "torch"}


def installed() -> list[str]:
    """Return the installed libraries, with "chainrule plain" only if numba is installed."""
    return [n for n in LIBRARIES if importlib.util.find_spec(_NEEDS.get(n, n)) is not None]
