"""The time of a training step beside PyTorch's eager mode, as ratios within one run.

``python -m benchmarks.compare`` prints a table. Every network is trained with Adam in float32 from
the same weights on the same data, a batch drawn from 60,000 x 784 floats at each step. It is
checked first that both compute the same losses. Their rounds take turns, so that a slow moment of
the machine meets both.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import multiprocessing
import os
import platform
import statistics
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
import torch

import chainrule as cr

SAMPLES, FEATURES, CLASSES = 60_000, 784, 10
NETWORKS = {"784-32-10": 32, "784-128-10": 128, "784-512-512-10": 128}

Step = Callable[[], Any]


def network_of(widths: list[int]) -> cr.Sequential:
    """A chain of linear maps with rectifiers between them."""
    layers: list[cr.Layer] = []
    for n, m in pairwise(widths):
        layers += [cr.Linear(n, m), cr.ReLU()]
    return cr.Sequential(*layers[:-1], seed=0)


def of_chainrule(widths: list[int], x: np.ndarray, y: np.ndarray, batch: int) -> Step:
    """A step of this library, by the visible loop."""
    model, loss = network_of(widths), cr.CrossEntropyLoss()
    optimizer = cr.Adam(lr=1e-3).bind(model)
    batches = forever(cr.minibatches(x, y, batch_size=batch, seed=0, drop_last=True))

    def step() -> float:
        inputs, labels = next(batches)
        outputs, back_through_model = model.forward(inputs, training=True)
        value, back_through_loss = loss(outputs, labels)
        back_through_model(back_through_loss())
        optimizer.step()
        return float(value)

    return step


def of_torch(widths: list[int], x: np.ndarray, y: np.ndarray, batch: int) -> Step:
    """The same step by PyTorch, from the same weights and with the same batches."""
    layers = [m for n, k in pairwise(widths) for m in (torch.nn.Linear(n, k), torch.nn.ReLU())]
    model = torch.nn.Sequential(*layers[:-1])
    weights = network_of(widths).named_parameters()
    model.load_state_dict({name: torch.asarray(p.value) for name, p in weights.items()})
    optimizer, loss = torch.optim.Adam(model.parameters(), lr=1e-3), torch.nn.CrossEntropyLoss()
    inputs, labels = torch.asarray(x), torch.asarray(y)
    orders = forever(cr.minibatches(np.arange(len(y)), batch_size=batch, seed=0, drop_last=True))

    def step() -> float:
        rows = torch.asarray(next(orders)[0])
        value = loss(model(inputs[rows]), labels[rows])
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        return float(value.item())

    return step


def forever(batches: cr.minibatches) -> Iterator[tuple[Any, ...]]:
    """Epoch after epoch."""
    while True:
        yield from batches


STEPS = {"chainrule": of_chainrule, "torch": of_torch}


def worker(pipe: Connection, library: str, network: str, batch: int) -> None:
    """Times rounds of steps of one library, whenever it is asked for one."""
    rng = np.random.default_rng(0)
    x = rng.random((SAMPLES, FEATURES), dtype=np.float32)
    y = rng.integers(0, CLASSES, SAMPLES)
    step = STEPS[library]([int(n) for n in network.split("-")], x, y, batch)
    while repeats := pipe.recv():
        losses = [step() for _ in range(10)]  # also wakes the library's threads
        start = time.perf_counter()
        for _ in range(repeats):
            step()
        pipe.send(((time.perf_counter() - start) / repeats, losses))


def compare(network: str, batch: int, rounds: int, repeats: int) -> dict[str, list[float]]:
    """Seconds a step, a figure a round for each library, their rounds taking turns.

    Each has a process of its own: the idle threads of one would slow the other down.
    """
    spawn = multiprocessing.get_context("spawn")
    pipes, times = {}, {library: [] for library in STEPS}
    for library in STEPS:
        pipes[library], end = spawn.Pipe()
        arguments = (end, library, network, batch)
        spawn.Process(target=worker, args=arguments, daemon=True).start()
    for turn in range(rounds + 1):
        losses = {}
        for library, pipe in pipes.items():
            pipe.send(repeats)
            seconds, losses[library] = pipe.recv()
            if turn:  # the first is to warm up
                times[library].append(seconds)
            time.sleep(0.05)  # until its threads are asleep
        if turn == 0 and not np.allclose(losses["chainrule"], losses["torch"], rtol=1e-3):
            raise SystemExit(f"{network}: the losses differ: {losses}")
    for pipe in pipes.values():
        pipe.send(0)
    return times


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--repeats", type=int, default=50, help="steps in a round")
    arguments = parser.parse_args()
    versions = {n: importlib.metadata.version(n) for n in ("chainrule", "numpy", "torch")}
    print(f"{platform.machine()}, {os.cpu_count()} cores, {platform.python_version()}, {versions}")
    print("| network, batch | chainrule µs | PyTorch eager µs | times as fast | quartiles |")
    print("|---|---|---|---|---|")
    for network, batch in NETWORKS.items():
        times = compare(network, batch, arguments.rounds, arguments.repeats)
        ratios = [t / c for c, t in zip(times["chainrule"], times["torch"], strict=True)]
        low, middle, high = statistics.quantiles(ratios, n=4)
        ours, theirs = (1e6 * statistics.median(times[library]) for library in STEPS)
        print(
            f"| {network}, {batch} | {ours:.0f} | {theirs:.0f} | {middle:.2f} | "
            f"{low:.2f} to {high:.2f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
