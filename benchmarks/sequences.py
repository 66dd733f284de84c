"""Time of a training step of recurrent networks.

Each network is one recurrent layer, and a linear layer for its last state. The floor of a step is
the time of its matrix products alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import product
from typing import Any

import numpy as np

import chainrule as cr

from .libraries import chainrule, chainrule_plain, jax_adam, torch
from .rounds import Calls, Times, race
from .task import CLASSES, Data, Task, make_data
from .text import ratio, rows, spread

BATCHES = 10  # number of batches in memory
FLOOR = "matrix products"


@dataclass(frozen=True)
class Network:
    """A recurrent layer of this kind, and the size of its input."""

    kind: str
    batch: int
    time: int
    inputs: int
    hidden: int

    @property
    def gates(self) -> int:
        """The number of gates. Each gate has one row of the weights per hidden unit."""
        gates: int = getattr(cr, self.kind).gates
        return gates


SIZES = ((64, 28, 28, 128), (32, 50, 64, 64), (16, 100, 32, 256), (128, 28, 28, 256))
NETWORKS = {
    f"{kind} ({batch}, {time}, {inputs} → {hidden})": Network(kind, batch, time, inputs, hidden)
    for kind, (batch, time, inputs, hidden) in product(("LSTM", "GRU"), SIZES)
}


def measure(libraries: list[str], rounds: int) -> dict[str, Times]:
    """Return the seconds per step for each network."""
    chosen = [library for library in libraries if library in TASKS]
    return {name: race(calls, [(one, name) for one in chosen], rounds) for name in NETWORKS}


def calls(library: str, name: str) -> tuple[list[float], Calls]:
    """Return the step of a library. The process of chainrule also times the products alone."""
    network = NETWORKS[name]
    shape = network.time, network.inputs
    task = TASKS[library](network, make_data(shape, network.batch, BATCHES * network.batch))
    timed: Calls = {("step", library): task.step}
    if library == "chainrule":
        timed["step", FLOOR] = bare_products(network)
    return [task.step() for _ in range(5)], timed


def model(network: Network) -> cr.Sequential:
    """Return the network in chainrule. All libraries start from its weights."""
    layer = getattr(cr, network.kind)(network.inputs, network.hidden, output="last")
    return cr.Sequential(layer, cr.Linear(network.hidden, CLASSES), seed=0)


def _chainrule(network: Network, data: Data) -> Task:
    return chainrule([], data, model(network))


def _chainrule_plain(network: Network, data: Data) -> Task:
    return chainrule_plain([], data, model(network))


def _torch(network: Network, data: Data) -> Task:
    from torch import asarray, nn

    class Last(getattr(nn, network.kind)):  # type: ignore[misc]
        def forward(self, x: Any) -> Any:
            return super().forward(x)[0][:, -1]

    layer = Last(network.inputs, network.hidden, batch_first=True)
    net = nn.Sequential(layer, nn.Linear(network.hidden, CLASSES))
    named = model(network).named_parameters()
    net.load_state_dict({name: asarray(p.value) for name, p in named.items()})
    return torch([], data, net)


def _jax(network: Network, data: Data) -> Task:
    named = model(network).named_parameters()
    initial = [np.asarray(p.value) for p in named.values()]
    return jax_adam(partial(_jax_logits, [*named], network), initial, data)


def _jax_logits(names: list[str], network: Network, parameters: list[Any], x: Any) -> Any:
    import jax
    import jax.numpy as jnp

    named = dict(zip(names, parameters, strict=True))
    weight_ih, weight_hh, bias_ih, bias_hh = (
        named[f"0.{name}_l0"] for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    )

    def step(states: Any, from_x: Any) -> Any:
        h, *c = states
        from_h = h @ weight_hh.T + bias_hh
        if network.kind == "LSTM":
            i, f, g, o = jnp.split(from_x + from_h, 4, axis=1)
            new_c = jax.nn.sigmoid(f) * c[0] + jax.nn.sigmoid(i) * jnp.tanh(g)
            return (jax.nn.sigmoid(o) * jnp.tanh(new_c), new_c), None
        (x_r, x_z, x_n), (h_r, h_z, h_n) = (jnp.split(a, 3, axis=1) for a in (from_x, from_h))
        r, z = jax.nn.sigmoid(x_r + h_r), jax.nn.sigmoid(x_z + h_z)
        return ((1.0 - z) * jnp.tanh(x_n + r * h_n) + z * h,), None

    from_x = jnp.swapaxes(x, 0, 1) @ weight_ih.T + bias_ih  # one product for all steps
    start = jnp.zeros((len(x), network.hidden), x.dtype)
    states, _ = jax.lax.scan(step, (start,) * (2 if network.kind == "LSTM" else 1), from_x)
    return states[0] @ named["1.weight"].T + named["1.bias"]


TASKS: dict[str, Callable[[Network, Data], Task]] = {
    "chainrule": _chainrule,
    "chainrule-plain": _chainrule_plain,
    "torch": _torch,
    "jax": _jax,
}


def bare_products(network: Network) -> Callable[[], None]:
    """Return a function that computes only the matrix products of a step, in NumPy."""
    random = partial(np.random.default_rng(0).random, dtype=np.float32)
    batch, hidden, gates = network.batch, network.hidden, network.gates * network.hidden
    every = batch * network.time
    x, states, da = (random((every, width)) for width in (network.inputs, hidden, gates))
    weight_ih, weight_hh = random((gates, network.inputs)), random((gates, hidden))
    weight, dy = random((CLASSES, hidden)), random((batch, CLASSES))
    h, d = states[:batch], da[:batch]
    of_all_steps = (x, weight_ih.T), (da.T, x), (da.T, states)
    of_a_step = (h, weight_hh.T), (d, weight_hh)
    of_the_linear_layer = (h, weight.T), (dy.T, h), (dy, weight)
    pairs = of_all_steps + network.time * of_a_step + of_the_linear_layer
    products = [(a, b, np.empty((len(a), b.shape[1]), np.float32)) for a, b in pairs]

    def multiply() -> None:
        for a, b, out in products:
            np.matmul(a, b, out=out)

    return multiply


def table(results: dict[str, Times]) -> str:
    """Return a table of times, relative to chainrule's and to the matrix products alone."""
    lines = []
    for name, times in results.items():
        step = times["step"]
        for library, theirs in step.items():
            slower = "" if library == "chainrule" else ratio(theirs, step["chainrule"])
            above = "" if library == FLOOR else ratio(theirs, step[FLOOR])
            lines.append((name, library, spread(theirs), slower, above))
    head = (
        "layer (batch, time, in → hidden)",
        "library",
        "step",
        "time relative to chainrule's",
        "time relative to the matrix products",
    )
    return rows(head, lines)
