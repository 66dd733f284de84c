"""Data-parallel training with MPI: how much faster two processes are, and a model of many.

``python -m benchmarks.processes`` measures. ``python -m benchmarks.processes --model`` prints the
speedups that a simple model predicts. Both need the extra ``mpi``.

A step has three parts: the gradient of the rank's part of the batch, the sum over all ranks, and
the optimizer's step, which every rank makes as a whole. Each process uses one thread.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

import chainrule as cr

from .text import rows

WIDTHS, BATCH = [784, 2500, 2000, 1500, 1000, 500, 10], 512
NETWORKS = {  # widths and batch size: the networks of docs/speed.md
    "784-32-10": ([784, 32, 10], 32),
    "784-128-10": ([784, 128, 10], 128),
    "784-512-512-10": ([784, 512, 512, 10], 128),
    "784-2500-2000-1500-1000-500-10": (WIDTHS, 256),
}
FLOPS = 7e10  # operations per second of one core in float32
MEMORY = 2e10  # bytes per second of one core
OVERHEAD = (5e-5, 1.2e-5)  # seconds of Python code per step, and per layer
CONNECTIONS = {  # seconds per message, bytes per second
    "shared memory": (1e-6, 1.2e9),
    "10 Gbit/s Ethernet": (3e-5, 1.2e9),
    "100 Gbit/s InfiniBand": (2e-6, 1.2e10),
}
IN_SHARED_MEMORY = (1 << 22, 2.4e9)  # from this number of bytes on, without MPI: bytes per second


class Clock:
    """The seconds that this rank spends in sums."""

    def __init__(self, ranks: Any) -> None:
        self.seconds, self.inner = 0.0, ranks.add_up

    def __call__(self, array: Any) -> None:
        start = time.perf_counter()
        self.inner(array)
        self.seconds += time.perf_counter() - start


def train(output: Path, steps: int) -> None:
    """Train on this rank, and write the seconds of each step and the share of the sums."""
    ranks = cr.parallel.Ranks()
    ranks.add_up = clock = Clock(ranks)  # type: ignore[method-assign]
    rng = np.random.default_rng(0)
    x = rng.normal(size=(BATCH * steps, WIDTHS[0])).astype("float32")
    y = rng.integers(0, 10, len(x))
    model = cr.mlp(WIDTHS)
    trainer = cr.Trainer(model, loss=cr.CrossEntropyLoss(), optimizer=cr.Adam(1e-4), metrics=[])
    ends: list[tuple[float, float]] = []
    note = cr.callbacks.LambdaCallback(
        on_step_end=lambda _: ends.append((time.perf_counter(), clock.seconds))
    )
    trainer.fit(x, y, batch_size=BATCH, callbacks=[note], parallel=ranks, verbose=0)
    if ranks.rank == 0:
        each = np.diff(np.asarray(ends), axis=0)[1:]  # without the first two steps
        output.write_text(json.dumps(each.T.tolist()))


def measure(size: int, steps: int) -> tuple[float, float]:
    """Return the median seconds of a step, and of the sums in it, with this many ranks."""
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "seconds.json"
        launcher = shutil.which("mpiexec", path=Path(sys.executable).parent) or "mpiexec"
        command = [launcher, "-n", str(size), sys.executable, "-m", __spec__.name]
        more = ["--output", str(output), "--steps", str(steps)]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        subprocess.run([*command, *more], check=True, env=environment)
        step, sums = json.loads(output.read_text())
        return statistics.median(step), statistics.median(sums)


def predicted(widths: list[int], batch: int, connection: str, size: int) -> float:
    """Return the seconds of a step in the model.

    Python's share and the optimizer's step take equally long on each rank. The gradient takes six
    operations per weight and sample. Adam reads and writes seven vectors of all parameters. A sum
    over N ranks sends ``2 (N - 1) / N`` vectors in ``2 (N - 1)`` messages, or ``2 log2(N)`` vectors
    in as many messages, whichever is faster.
    """
    parameters = sum(n * m + m for n, m in itertools.pairwise(widths))
    latency, bandwidth = CONNECTIONS[connection]
    large, without_mpi = IN_SHARED_MEMORY
    if connection == "shared memory" and 4 * parameters >= large:
        bandwidth = without_mpi
    gradient = 6.0 * parameters * -(-batch // size) / FLOPS
    optimizer = 7 * 4 * parameters / MEMORY
    python = OVERHEAD[0] + OVERHEAD[1] * (len(widths) - 1)
    alone = python + gradient + optimizer
    if size == 1:
        return alone
    data = 4 * parameters / bandwidth
    ring = 2 * (size - 1) * (latency + data / size)
    tree = 2 * np.ceil(np.log2(size)) * (latency + data)
    return float(alone + min(ring, tree))


def model_table() -> str:
    """Return the predicted speedups, and the number of ranks from which more ranks are slower."""
    counts, lines = (2, 4, 8, 16), []
    for name, (widths, batch) in NETWORKS.items():
        for connection in CONNECTIONS:
            times = [predicted(widths, batch, connection, n) for n in range(1, batch + 1)]
            speedups = [f"{times[0] / times[n - 1]:.2f}" for n in counts]
            best = int(np.argmin(times)) + 1
            lines.append((f"{name}, {batch}", connection, *speedups, str(best)))
    heads = ("network, batch", "connection", *(f"{n} ranks" for n in counts), "fastest with")
    return rows(heads, lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", action="store_true", help="print the prediction of the model")
    parser.add_argument("--steps", type=int, default=12, help="(%(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="(%(default)s)")
    parser.add_argument("--output", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.output:
        train(options.output, options.steps)
    elif options.model:
        print(model_table())
    else:
        for _ in range(options.rounds):
            (one, _), (two, sums) = (measure(n, options.steps) for n in (1, 2))
            print(
                f"one rank {one:.3f} s a step, two ranks {two:.3f} s: {one / two:.2f} times as "
                f"fast; sums take {100 * sums / two:.0f} % of a step",
                flush=True,
            )


if __name__ == "__main__":
    main()
