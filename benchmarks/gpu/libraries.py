"""The same training in each library, with all data on the GPU from the start.

Each function sets up a network of the given widths for training with Adam. All libraries use the
same initial weights and the same batches in the same order. As in `cr.Trainer`, the sample order of
an epoch is moved to the device before its first step, and all losses are read after its last step.
"""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

import chainrule as cr

from ..libraries import jax_state, jax_update, torch_model
from ..task import LR, Data, network
from .place import Clock, Place, clock


@dataclass(frozen=True)
class Trained:
    """Losses and times of some epochs."""

    losses: list[float]
    """The loss before each step of the first epoch."""
    seconds: list[float]
    """Seconds of each epoch, from an idle device to an idle device."""
    by_events: list[float]
    """Seconds per step in each epoch by the device's clock, not counting the first step."""


Train = Callable[[int], Trained]
"""Trains for a number of epochs and returns the measurements."""


class Events(cr.Callback):
    """Measures the seconds per step in each epoch, by the clock of the device."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock

    def on_fit_start(self, trainer: cr.Trainer) -> None:
        self.seconds: list[float] = []

    def on_epoch_start(self, trainer: cr.Trainer) -> None:
        self.moments: list[Any] = []

    def on_step_end(self, trainer: cr.Trainer) -> None:
        if len(trainer.progress.rows) in (1, trainer.steps_per_epoch):
            self.moments.append(self.clock.now())

    def on_epoch_end(self, trainer: cr.Trainer) -> None:
        seconds = self.clock.between(*self.moments)
        self.seconds.append(seconds / (trainer.steps_per_epoch - 1))


def chainrule(widths: list[int], data: Data, place: Place, compile: str = "off") -> Train:
    """Set up chainrule's Trainer. With `compile="auto"`, each step is launched as one graph."""
    backend = place.backend
    place.check_product(partial(_multiply, backend, compile))
    model = network(widths, backend)
    trainer = place.trainer(model, compile, optimizer=cr.Adam(lr=LR))
    images, labels = map(backend.asarray, data.epoch)
    events = Events(clock(place, "cupy"))
    options: dict[str, Any] = {"batch_size": data.batch, "verbose": 0, "callbacks": [events]}

    def train(epochs: int) -> Trained:
        history = trainer.fit(images, labels, epochs=epochs, **options)
        losses = history.step_losses[-epochs * data.steps :][: data.steps]
        seconds = [row["seconds"] for row in history.epochs[-epochs:]]
        return Trained(losses, seconds, events.seconds)

    return train


def _multiply(backend: cr.Backend, compile: str, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Compute a matrix product as a training step does."""
    first, second, out = map(backend.asarray, (a, b, np.zeros((len(a), b.shape[1]), a.dtype)))

    def multiply() -> None:
        backend.matmul(first, second, out)

    run = multiply if compile == "off" else backend.compile(multiply)
    for _ in range(3):  # first run, then capture, then launch
        run()
    return backend.to_numpy(out)


def torch(widths: list[int], data: Data, place: Place, way: str = "eager") -> Train:
    """Set up PyTorch: eager, with a compiled model and loss, or with each step as one graph."""
    import torch

    device = torch.device(place.torch_device)
    on_device = partial(torch.asarray, device=device)
    torch.set_float32_matmul_precision("high" if place.in_tf32 else "highest")
    place.check_product(lambda a, b: (on_device(a) @ on_device(b)).cpu().numpy())

    model, criterion = torch_model(widths).to(device), torch.nn.CrossEntropyLoss()
    in_a_graph = way == "graph" and not place.dry
    optimizer = torch.optim.Adam(model.parameters(), lr=LR, fused=True, capturable=in_a_graph)
    images, labels = map(on_device, data.epoch)
    rows = torch.zeros((data.steps, data.batch), dtype=torch.int64, device=device)
    losses = torch.zeros(data.steps, device=device)
    line = torch.zeros(1, dtype=torch.int64, device=device)
    draw, chosen, values = _orders(data), rows.unbind(), []

    def loss(images: Any, labels: Any) -> Any:
        return criterion(model(images), labels)

    loss_of = torch.compile(loss, mode="reduce-overhead") if way == "compiled" else loss

    def update(chosen: Any) -> Any:
        optimizer.zero_grad()
        value = loss_of(images[chosen], labels[chosen])
        value.backward()
        optimizer.step()
        return value.detach()

    def step(i: int) -> None:
        values.append(update(chosen[i]))

    def step_compiled(i: int) -> None:
        torch.compiler.cudagraph_mark_step_begin()
        values.append(update(chosen[i]).clone())  # the next step overwrites the loss

    def step_at_line() -> None:
        value = update(rows.index_select(0, line)[0])
        losses.index_copy_(0, line, value.reshape(1))
        line.add_(1)

    def begin() -> None:
        rows.copy_(torch.asarray(draw()))
        line.zero_()
        values.clear()

    def end() -> list[float]:
        read: list[float] = (torch.stack(values) if values else losses).tolist()
        return read

    steps: dict[str, Callable[[int], object]] = {"eager": step, "compiled": step_compiled}
    if way == "graph":
        initial = [p.detach().clone() for p in model.parameters()]
        replay = _captured(step_at_line, place)
        steps["graph"] = lambda i: replay()
        with torch.no_grad():  # undo the training of the warm-up
            for parameter, value in zip(model.parameters(), initial, strict=True):
                parameter.copy_(value)
            for kept in optimizer.state.values():
                for vector in kept.values():
                    vector.zero_()
    return _by_steps(begin, steps[way], end, data.steps, clock(place, "torch"))


def _captured(step: Callable[[], None], place: Place) -> Callable[[], None]:
    """Capture a PyTorch step as a graph after three warm-up steps, which PyTorch requires."""
    import torch

    if place.dry:
        for _ in range(3):
            step()
        return step
    aside = torch.cuda.Stream()
    aside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(aside):
        for _ in range(3):
            step()
    torch.cuda.current_stream().wait_stream(aside)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()
    replay: Callable[[], None] = graph.replay
    return replay


def jax(widths: list[int], data: Data, place: Place, scan: bool = False) -> Train:
    """Set up JAX, with a jitted step or with all steps of an epoch in one `scan`."""
    import jax
    import jax.numpy as jnp

    if not place.dry and jax.default_backend() != "gpu":
        raise RuntimeError(f"expected JAX to find a GPU, found {jax.devices()}")
    precision = "TF32_TF32_F32" if place.in_tf32 else "highest"
    jax.config.update("jax_default_matmul_precision", precision)
    place.check_product(lambda a, b: np.asarray(jnp.asarray(a) @ jnp.asarray(b)))

    images, labels = map(jnp.asarray, data.epoch)
    draw = _orders(data)

    def step(held: Any, rows: Any, images: Any, labels: Any) -> Any:
        state, t, line, losses = held
        chosen = rows[line]
        state, value = jax_update(state, t + 1, images[chosen], labels[chosen])
        return state, t + 1, line + 1, losses.at[line].set(value)

    def epoch(held: Any, *arrays: Any) -> Any:
        return jax.lax.scan(lambda h, _: (step(h, *arrays), None), held, length=data.steps)[0]

    run = jax.jit(epoch if scan else step, donate_argnums=0)
    held: list[Any] = [jax_state(widths), jnp.zeros(()), None, jnp.zeros(data.steps)]
    rows: list[Any] = [None]

    def begin() -> None:
        rows[0] = jnp.asarray(draw())
        held[2] = jnp.zeros((), jnp.int32)

    def call(i: int) -> None:
        held[:] = run(tuple(held), rows[0], images, labels)

    def end() -> list[float]:
        losses: list[float] = np.asarray(held[3]).tolist()
        return losses

    return _by_steps(begin, call, end, 1 if scan else data.steps, None)


def _orders(data: Data) -> Callable[[], np.ndarray]:
    """Return a function that draws an epoch's sample indices, as `cr.minibatches` does."""
    rng, shape = np.random.default_rng(0), (data.steps, data.batch)
    return lambda: rng.permutation(data.steps * data.batch).reshape(shape)


def _by_steps(
    begin: Callable[[], None],
    step: Callable[[int], object],
    end: Callable[[], list[float]],
    steps: int,
    clock: Clock | None,
) -> Train:
    """Train by calling `step` with each step index. `end` waits for the losses and reads them."""

    def train(epochs: int) -> Trained:
        trained = Trained([], [], [])
        for _ in range(epochs):
            start = time.perf_counter()
            begin()
            step(0)
            first = clock.now() if clock else None
            for i in range(1, steps):
                step(i)
            last = clock.now() if clock else None
            losses = end()
            trained.seconds.append(time.perf_counter() - start)
            trained.losses.extend([] if trained.losses else losses)
            if clock:
                trained.by_events.append(clock.between(first, last) / (steps - 1))
        return trained

    return train


LIBRARIES: dict[str, tuple[str, Callable[[list[int], Data, Place], Train]]] = {
    "chainrule": ("", chainrule),
    "chainrule graph": ("nvmath", partial(chainrule, compile="auto")),
    "PyTorch": ("torch", torch),
    "torch.compile": ("torch", partial(torch, way="compiled")),
    "PyTorch graph": ("torch", partial(torch, way="graph")),
    "JAX step": ("jax", jax),
    "JAX scan": ("jax", partial(jax, scan=True)),
}
"""For each printed name: the required module, and the function that sets up the training."""


def installed(place: Place) -> list[str]:
    """Return the installed libraries. On the CPU, repeated steps need no nvmath."""
    here = {"": True, "nvmath": place.dry}
    return [
        name
        for name, (module, _) in LIBRARIES.items()
        if here.get(module) or importlib.util.find_spec(module)
    ]
