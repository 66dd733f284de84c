"""Data, models, trainers and callbacks shared by several tests."""

import csv
import struct

import numpy as np
import pytest

import chainrule as cr
from chainrule import layers, losses, metrics, optimizers, training


def three_classes(samples):
    """Return samples with four features, and three classes that depend on two of the features."""
    x = np.random.default_rng(0).normal(size=(samples, 4))
    return x, (x[:, 0] > 0).astype(int) + (x[:, 1] > 0)


X, Y = three_classes(40)
FIT = {"batch_size": 10, "validation_data": (X, Y), "verbose": 0}  # four steps per epoch


def finite_differences(test):
    """Mark a test that calls `gradcheck`, which is slow on array_api_strict.

    `gradcheck` makes the arrays itself, so "numpy-readonly" would repeat "numpy". Other tests
    compare gradients on array_api_strict with NumPy's.
    """
    marks = pytest.mark.not_on("numpy-readonly", "strictest"), pytest.mark.on_request("strict")
    return marks[0](marks[1](test))


def model_on(library, *layers, **options):
    """Return a float64 model on this library, by default with two linear layers."""
    layers = layers or (cr.Linear(4, 3), cr.Tanh(), cr.Linear(3, 2))
    return cr.Sequential(*layers, **{"backend": library.backend, "dtype": "float64", **options})


def backward(model, library, seed=0):
    """Run a model forward and backward, which fills in the model's gradients."""
    rng = np.random.default_rng(seed)
    y, back = model.forward(library.asarray(rng.normal(size=(5, 4))))
    back(library.asarray(rng.normal(size=y.shape)))


def trainer_on(library, *layers, lr=0.05, loss=None, optimizer=None, dtype="float64", **options):
    """Return a trainer on this library, by default for a model with BatchNorm and dropout."""
    if not layers:
        layers = cr.Linear(4, 6), cr.BatchNorm(6), cr.Tanh(), cr.Dropout(0.2), cr.Linear(6, 3)
    return cr.Trainer(
        model_on(library, *layers, dtype=dtype, seed=3),
        loss=loss or cr.CrossEntropyLoss(),
        optimizer=optimizer or cr.SGD(lr, momentum=0.9),
        **options,
    )


def plain_trainer(library, *, dropout=0.0, lr=1e-2, outputs=3, optimizer=None, **options):
    """Return a trainer whose model has no BatchNorm, so samples do not affect each other."""
    layers = cr.Linear(4, 16), cr.Tanh(), cr.Dropout(dropout), cr.Linear(16, outputs)
    return trainer_on(library, *layers, optimizer=optimizer or cr.Adam(lr), **options)


def resumed(path, library, *, lr=0.05, loss=None, optimizer=None):
    """Resume a trainer from a file, by default with the loss and optimizer of `trainer_on`."""
    return cr.Trainer.resume(
        path,
        loss=loss or cr.CrossEntropyLoss(),
        optimizer=optimizer or cr.SGD(lr, momentum=0.9),
        backend=library.backend,
    )


def vectors(trainer, library):
    """Return copies of the model's vectors of weights and buffers, as NumPy arrays."""
    state = trainer.model.state
    return [library.to_numpy(v).copy() for v in (state.values, state.buffers)]


def score(*values):
    """Return a callback that adds a column ``score`` with these numbers, one per epoch."""

    def write(trainer):
        trainer.history.epochs[-1]["score"] = values[trainer.epoch - 1]

    return cr.callbacks.LambdaCallback(on_epoch_end=write)


class Recorder(cr.Callback):
    """Store the model's vectors at the end of each epoch."""

    def __init__(self, library):
        self.library, self.vectors = library, {}

    def on_epoch_end(self, trainer):
        self.vectors[trainer.epoch] = vectors(trainer, self.library)


class Moments(cr.Callback):
    """Record which callback methods are called, and stop training after two epochs."""

    def __init__(self):
        self.moments = []

    def on_fit_start(self, trainer):
        self.moments.append(f"start of {trainer.epochs} x {trainer.steps_per_epoch}")

    def on_epoch_start(self, trainer):
        self.moments.append(f"epoch {trainer.epoch}")

    def on_step_end(self, trainer):
        self.moments.append("step")

    def on_epoch_end(self, trainer):
        self.moments.append(f"{len(trainer.history)} done")
        if trainer.epoch == 2:
            trainer.stop()

    def on_fit_end(self, trainer):
        self.moments.append("end")


class Breaks(cr.Callback):
    """Raise an error after the given number of optimizer steps."""

    def __init__(self, *, step, error=KeyboardInterrupt):
        self.step, self.error = step, error

    def on_step_end(self, trainer):
        if trainer.optimizer.steps == self.step:
            raise self.error


def names(folder):
    """Return the sorted names of the files in a folder."""
    return sorted(path.name for path in folder.iterdir())


def steps(folder):
    """Return the step numbers of the checkpoints in a folder."""
    return [int(name[5:13]) for name in names(folder) if name.startswith("step-")]


def rows(path):
    """Return the rows of a CSV file."""
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def points(folder):
    """Return the curves that TensorBoard shows for the event files of a folder."""
    from tensorboardX.proto.event_pb2 import Event, SessionLog

    curves = {}
    for path in sorted(folder.glob("events*"), key=lambda path: path.stat().st_mtime_ns):
        data = path.read_bytes()
        while data:
            (size,) = struct.unpack("<Q", data[:8])
            event = Event.FromString(data[12 : 12 + size])
            data = data[16 + size :]
            if event.session_log.status == SessionLog.START:
                for curve in curves.values():
                    for step in [step for step, _ in curve if step >= event.step]:
                        curve[:] = [point for point in curve if point[0] != step]
            for value in event.summary.value:
                curves.setdefault(value.tag, []).append((event.step, value.simple_value))
    return curves


def as_if_on_a_device(monkeypatch):
    """Make chainrule treat all arrays as if they were on a GPU, where reading values is slow."""
    for module in (
        layers.embedding,
        layers.normalization,
        layers.padded,
        losses.base,
        metrics.base,
        optimizers.gradient,
        training.step,
        training.trainer,
    ):
        monkeypatch.setattr(module, "on_host", lambda x: False)
