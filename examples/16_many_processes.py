"""16. Many processes
==================

Several processes train one network, and get the losses of a single process.

The lesson starts itself with ``mpiexec``, with one process, then with two and with three. Each of
them, a rank, computes the gradient of its part of every batch. Before each step, the ranks add up
their gradients. The network has dropout and batch normalisation, and a batch of 100 samples cannot
be divided by three. Still, the losses agree to the last digits: the masks of dropout depend only on
the place of a sample in the batch, and batch normalisation uses the mean of the whole batch.

The sum over a batch becomes a sum of sums, and is rounded in another order. So the losses are not
equal bit for bit. Here, the difference stays near 1e-16 in float64 and below 1e-6 in float32. In
deep networks, it grows from step to step, because each step starts from slightly different weights.

The lesson needs mpi4py and an MPI: ``pip install ".[examples,mpi]"``.
"""

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from lesson import arguments

import chainrule as cr
from chainrule.plotting import save_or_show

options = arguments(__doc__, ranks=3, output="", dtype="float64", seed=0)


def train():
    """Train on one rank, and return the loss of each step."""
    x, y = cr.datasets.spirals(900, classes=3, noise=0.1, seed=options.seed)
    layers = []
    for inputs, outputs in ((2, 64), (64, 64)):
        layers += [cr.Linear(inputs, outputs), cr.BatchNorm(outputs), cr.ReLU(), cr.Dropout(0.2)]
    model = cr.Sequential(
        *layers, cr.Linear(64, 3), backend=options.backend, dtype=options.dtype, seed=options.seed
    )
    trainer = cr.Trainer(model, loss=cr.CrossEntropyLoss(), optimizer=cr.Adam(0.01))
    ranks = cr.parallel.Ranks()
    trainer.fit(x, y, epochs=12, batch_size=100, parallel=ranks, verbose=0)
    return ranks.rank, trainer.history.step_losses


def train_with(ranks, dtype, folder):
    """Start this script on several ranks, and return the losses that rank 0 writes."""
    output = Path(folder) / "losses.json"
    beside_python = shutil.which("mpiexec", path=Path(sys.executable).parent)
    command = [beside_python or "mpiexec", "-n", ranks, sys.executable, __file__]
    more = ["--output", output, "--dtype", dtype, "--seed", options.seed]
    subprocess.run([str(word) for word in [*command, *more]], check=True)
    return np.asarray(json.loads(output.read_text()))


if options.output:
    rank, losses = train()
    if rank == 0:
        Path(options.output).write_text(json.dumps(losses))
    sys.exit()

with tempfile.TemporaryDirectory() as folder:
    losses = {
        (ranks, dtype): train_with(ranks, dtype, folder)
        for dtype in ("float32", "float64")
        for ranks in range(1, options.ranks + 1)
    }

figure, (curves, differences) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
for (ranks, dtype), found in losses.items():
    name = "1 process" if ranks == 1 else f"{ranks} processes"
    difference = np.abs(found - losses[1, dtype])
    if dtype == "float64":
        print(f"{name}: last loss {found[-1]:.12f}, largest difference {difference.max():.1e}")
        curves.plot(found, linewidth=7 - 2 * ranks, label=name)
    if ranks > 1:  # equal losses are shown at the bottom
        smallest = np.finfo(dtype).eps / 8
        differences.semilogy(np.maximum(difference, smallest), label=f"{name}, {dtype}")
curves.set(title="One curve for any number of processes", xlabel="step", ylabel="loss")
differences.set(title="Difference from one process", xlabel="step", ylabel="difference of losses")
for axes in (curves, differences):
    axes.legend()
save_or_show(figure, options.plot)
