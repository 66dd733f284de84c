"""Train a small network with several ranks: ``mpiexec -n 2 python tests/ranks.py --output FILE``.

The network has every kind of layer and option that could make the result depend on the number of
ranks. Rank 0 writes the losses and the weights to the file. `tests/parallel` runs this script.
"""

import argparse
import json
import os
import signal
import threading
import time
from pathlib import Path

import numpy as np
from array_api_compat import array_namespace

import chainrule as cr

EPOCHS, BATCH = 10, 23  # 10 epochs of 10 steps; 2, 3 and 4 ranks divide neither 23 nor 13
SAMPLES = 220
KINDS = ("exception", "nan", "kill", "interrupt")


def data():
    """Return images, labels and sample weights, some of which are 0."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(SAMPLES, 1, 6, 6)), rng.integers(0, 4, SAMPLES)
    weight = rng.uniform(0.0, 2.0, SAMPLES) * (rng.random(SAMPLES) > 0.2)
    return x + 0.5 * y[:, None, None, None], y, weight


def model(backend="numpy"):
    layers = (
        cr.Conv2d(1, 3, 3), cr.BatchNorm(3), cr.ReLU(), cr.Dropout2d(0.2), cr.Flatten(),
        cr.Linear(48, 16, max_norm=1.0), cr.BatchNorm(16), cr.ReLU(), cr.Dropout(0.3),
        cr.Linear(16, 4),
    )  # fmt: skip
    return cr.Sequential(*layers, backend=backend, dtype="float64", seed=3)


def mean_output(outputs, targets):
    """Return a metric that is no mean over samples in parts, so it needs all outputs."""
    return float(array_namespace(outputs).max(outputs))


def arguments_of_trainer():
    schedule = cr.schedules.cosine(0.05, EPOCHS * 10)
    return {
        "loss": cr.CrossEntropyLoss(weight=[1.0, 2.0, 0.5, 1.5], ignore_index=3),
        "optimizer": cr.SGD(schedule, momentum=0.9, weight_decay=1e-3, clip_norm=1.0),
        "metrics": {"accuracy": cr.metrics.accuracy, "largest": mean_output},
    }


def noise(x, rng):
    """Add noise, as a custom augmentation that knows nothing about ranks."""
    return x + 0.1 * array_namespace(x).asarray(rng.normal(size=x.shape))


AUGMENTATIONS = {
    "none": None,
    "built-in": cr.augmentation.Compose(
        cr.augmentation.RandomShift(1), cr.augmentation.RandomElastic(1.0, 1.0)
    ),
    "custom": noise,
}


def fit(trainer, ranks, **options):
    """Train with everything that could depend on the number of ranks."""
    x, y, weight = data()
    given = {
        "sample_weight": weight,
        "validation_data": (x[:41], y[:41], weight[:41]),
        "epochs": EPOCHS,
        "batch_size": BATCH,
        "verbose": 0,
    }
    return trainer.fit(x, y, parallel=ranks, **(given | options))


def found(trainer):
    """Return what must be equal in two training runs."""
    state = trainer.model.state
    to_numpy = state.backend.to_numpy
    columns = {n: c for n, c in trainer.history.to_dict().items() if n != "seconds"}
    return {
        **columns,
        "losses": trainer.history.step_losses,
        "values": to_numpy(state.values).tolist(),
        "buffers": to_numpy(state.buffers).tolist(),
        "draws": state.draws,
    }


def fit_own_data(trainer, ranks, **options):
    """Train on samples that are spread unevenly over the ranks: 3 of 6, 2 of 6 and so on."""
    x, y, weight = data()
    ends = np.cumsum([0, *range(ranks.size, 0, -1)]) * SAMPLES // sum(range(ranks.size + 1))
    here = slice(ends[ranks.rank], ends[ranks.rank + 1])
    given = {"sample_weight": weight[here], "epochs": 2, "batch_size": BATCH, "verbose": 0}
    return trainer.fit(x[here], y[here], parallel=ranks, **(given | options))


def expect_exact_sums(ranks):
    """Add up arrays of whole numbers, the last of which are large enough for shared memory."""
    for length in (1, 1000, 1_000_003, 700_001):
        array = np.arange(length, dtype="float64") * (1 + ranks.rank)
        ranks.add_up(array)
        np.testing.assert_array_equal(array, np.arange(length) * sum(range(ranks.size + 1)))


class Fails(cr.Callback):
    """Makes one rank fail after a step, or some seconds after the start."""

    def __init__(self, kind, step, seconds=0.0, stamp=None):
        self.kind, self.step, self.seconds, self.stamp = kind, step, seconds, stamp
        self.timer = threading.Timer(seconds, self.fail, (None,))

    def on_fit_start(self, trainer):
        if self.seconds:
            self.timer.daemon = True
            self.timer.start()

    def on_step_end(self, trainer):
        if trainer.optimizer.steps == self.step and not self.seconds:
            self.fail(trainer)

    def on_fit_end(self, trainer):
        self.timer.cancel()

    def fail(self, trainer):
        if self.stamp is not None:
            self.stamp.write_text(str(time.time()))
        if self.kind == "exception":
            raise RuntimeError("this rank fails")
        if self.kind == "nan":
            trainer.model.state.values[...] = np.nan
        else:
            number = signal.SIGKILL if self.kind == "kill" else signal.SIGINT
            os.kill(os.getpid(), number)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--checkpoints", type=Path)
    parser.add_argument("--micro-batches", type=int, default=1)
    parser.add_argument("--augment", choices=AUGMENTATIONS, default="none")
    parser.add_argument("--own-data", action="store_true")
    parser.add_argument("--fail", choices=(*KINDS, "early"))
    parser.add_argument("--rank", type=int, default=0)
    parser.add_argument("--step", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=0.0)
    parser.add_argument("--stamp", type=Path, help="a file for the moment of the failure")
    given = parser.parse_args()

    ranks = cr.parallel.Ranks(own_data=given.own_data)
    expect_exact_sums(ranks)
    if given.fail == "early" and ranks.rank == given.rank:
        raise RuntimeError("this rank fails before fit")
    callbacks, newest = [], None
    if given.checkpoints is not None:
        newest = cr.callbacks.latest_checkpoint(given.checkpoints)
        callbacks.append(cr.callbacks.Checkpoint(given.checkpoints, every_steps=7))
    if given.fail and ranks.rank == given.rank:
        callbacks.insert(0, Fails(given.fail, given.step, given.seconds, given.stamp))
    parts = arguments_of_trainer()
    trainer = cr.Trainer.resume(newest, **parts) if newest else cr.Trainer(model(), **parts)
    (fit_own_data if given.own_data else fit)(
        trainer,
        ranks,
        resume=True,
        callbacks=callbacks,
        micro_batches=given.micro_batches,
        augment=AUGMENTATIONS[given.augment],
    )
    if ranks.rank == 0:
        given.output.write_text(json.dumps(found(trainer)))


if __name__ == "__main__":
    main()
