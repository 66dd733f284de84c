"""Time and peak memory of a training step of convolutional networks.

The floor of a step is the time of its matrix products alone, each over the whole batch.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

import chainrule as cr

from .libraries import chainrule, chainrule_plain, jax_adam, torch
from .memory import highest, resident, tidy
from .rounds import Calls, race
from .task import Data, Task, make_data
from .text import number, ratio, rows, share, spread

BATCHES = 10  # number of batches in memory


@dataclass(frozen=True)
class Network:
    """A network for images. The layers have the same names and arguments as in PyTorch."""

    image: tuple[int, ...]
    batch: int
    layers: tuple[tuple[Any, ...], ...]

    def build(self, library: Any) -> list[Any]:
        """Return the layers from chainrule or ``torch.nn``."""
        return [getattr(library, name)(*arguments) for name, *arguments in self.layers]


def _conv(inputs: int, outputs: int, size: int, padding: int = 0) -> tuple[tuple[Any, ...], ...]:
    return ("Conv2d", inputs, outputs, size, 1, padding), ("ReLU",)


def _dense(*sizes: int) -> tuple[tuple[Any, ...], ...]:
    pairs = pairwise(sizes)
    layers = [layer for n, m in pairs for layer in (("Linear", n, m), ("ReLU",))]
    return ("Flatten",), *layers[:-1]


_POOL = (("MaxPool2d", 2),)

NETWORKS = {
    "LeNet-5": Network(
        (1, 28, 28),
        128,
        _conv(1, 6, 5, 2) + _POOL + _conv(6, 16, 5) + _POOL + _dense(400, 120, 84, 10),
    ),
    "PyTorch's MNIST example": Network(
        (1, 28, 28), 64, _conv(1, 32, 3) + _conv(32, 64, 3) + _POOL + _dense(9216, 128, 10)
    ),
    "64-64-128-128": Network(
        (3, 32, 32),
        32,
        _conv(3, 64, 3, 1) + _conv(64, 64, 3, 1) + _POOL
        + _conv(64, 128, 3, 1) + _conv(128, 128, 3, 1) + _POOL + _dense(8192, 10),
    ),
}  # fmt: skip


def measure(libraries: list[str], rounds: int) -> dict[str, Any]:
    """Return the seconds per step and the peak bytes for each network."""
    results = {}
    spawn = multiprocessing.get_context("spawn")
    chosen = [library for library in libraries if library in TASKS]
    for name in NETWORKS:
        seconds = race(calls, [(library, name) for library in chosen], rounds)
        peaks = {}
        for library in chosen:
            with ProcessPoolExecutor(1, spawn) as fresh:
                peaks[library] = fresh.submit(peak, library, name).result()
        results[name] = {"seconds": seconds, "peaks": peaks}
    return results


def calls(library: str, name: str) -> tuple[list[float], Calls]:
    """Return the step of a library; chainrule's process also times the products alone."""
    task = TASKS[library](name, _data(name))
    timed: Calls = {("step", library): task.step}
    if library == "chainrule":
        timed["floor", "NumPy"] = bare_products(NETWORKS[name])
    return [task.step() for _ in range(5)], timed


def peak(library: str, name: str) -> int:
    """Return the peak bytes of some steps, minus the bytes in use when the model is ready."""
    one = make_data(NETWORKS[name].image, 1, BATCHES, BATCHES)
    TASKS[library](name, one).step()  # loads code, which must not count
    step = TASKS[library](name, _data(name)).step
    tidy()
    before = resident()
    for _ in range(3):
        step()
    return highest() - before


def _data(name: str) -> Data:
    network = NETWORKS[name]
    return make_data(network.image, network.batch, BATCHES * network.batch, BATCHES)


def model(name: str) -> cr.Sequential:
    """Return the network in chainrule. All libraries start from its weights."""
    return cr.Sequential(*NETWORKS[name].build(cr), seed=0)


def _chainrule(name: str, data: Data) -> Task:
    return chainrule([], data, model(name))


def _chainrule_plain(name: str, data: Data) -> Task:
    return chainrule_plain([], data, model(name))


def _torch(name: str, data: Data) -> Task:
    import torch as library

    net = library.nn.Sequential(*NETWORKS[name].build(library.nn))
    net.load_state_dict(
        {key: library.asarray(p.value) for key, p in model(name).named_parameters().items()}
    )
    return torch([], data, net)


def _jax(name: str, data: Data) -> Task:
    import jax
    import jax.numpy as jnp

    layers = NETWORKS[name].layers

    def logits(parameters: list[Any], x: Any) -> Any:
        remaining = iter(parameters)
        for kind, *arguments in layers:
            if kind == "Conv2d":
                padding = [(arguments[4], arguments[4])] * 2
                x = jax.lax.conv_general_dilated(x, next(remaining), (1, 1), padding)
                x = x + next(remaining)[:, None, None]
            elif kind == "MaxPool2d":
                window = (1, 1, arguments[0], arguments[0])
                x = jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, window, window, "VALID")
            elif kind == "ReLU":
                x = jnp.maximum(x, 0.0)
            elif kind == "Flatten":
                x = x.reshape(len(x), -1)
            else:
                x = x @ next(remaining).T + next(remaining)
        return x

    return jax_adam(logits, [np.asarray(p.value) for p in model(name).parameters()], data)


TASKS: dict[str, Callable[[str, Data], Task]] = {
    "chainrule": _chainrule,
    "chainrule-plain": _chainrule_plain,
    "torch": _torch,
    "jax": _jax,
}


def bare_products(network: Network) -> Callable[[], None]:
    """Return a function that computes only the matrix products of a step, in NumPy.

    The products of a convolution are those of a linear layer with one row per patch.
    """
    rng, products = np.random.default_rng(0), []
    x = np.zeros((1, *network.image), np.float32)
    for layer in cr.Sequential(*network.build(cr)):
        y = layer.forward(x)[0]
        if layer.parameters():
            out, inner = layer.weight.shape[0], layer.weight.size // layer.weight.shape[0]
            columns = network.batch * y[0, 0].size
            shapes = (out, inner), (inner, columns), (out, columns)
            weight, patches, dy = (rng.random(shape, dtype=np.float32) for shape in shapes)
            products += [(weight, patches, np.empty_like(dy)), (dy, patches.T, weight.copy())]
            if x.shape[1:] != network.image:  # the first layer needs no input gradient
                products.append((weight.T, dy, np.empty_like(patches)))
        x = y

    def multiply() -> None:
        for a, b, out in products:
            np.matmul(a, b, out=out)

    return multiply


def table(results: dict[str, Any]) -> str:
    """Return tables of times and peaks, relative to chainrule's, and of floors."""
    lines, floors = [], []
    for name, result in results.items():
        network = f"{name}, {NETWORKS[name].batch}"
        seconds, peaks = dict(result["seconds"]), result["peaks"]
        floor = seconds.pop("floor")["NumPy"]
        for library, theirs in seconds["step"].items():
            slower = "" if library == "chainrule" else ratio(theirs, seconds["step"]["chainrule"])
            memory = f"{number(peaks[library] / 1e6)} MB"
            lines.append((network, library, spread(theirs), slower, memory))
        reached = [f"{library} {share(floor, s)}" for library, s in seconds["step"].items()]
        floors.append((network, spread(floor), ", ".join(reached)))
    head = ("network, batch", "library", "step", "time relative to chainrule's", "peak memory")
    below = ("network, batch", "matrix products of a step alone", "share of their speed reached")
    return f"{rows(head, lines)}\n\n{rows(below, floors)}"
