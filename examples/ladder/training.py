"""Train the network of a rung once, and count its errors."""

import os
import platform
import re
import time
from pathlib import Path

import numpy as np

import chainrule as cr
from chainrule.callbacks import Callback, Checkpoint, latest_checkpoint


def measure(rung, seed, train, test, *, backend, folder):
    """Train a network, starting from the last checkpoint if there is one, and count its errors.

    Parameters
    ----------
    rung : Rung
        The rung.
    seed : int
        Seed of the initial weights, the order of the batches, the distortions and the masks.
    train, test : tuple of array
        Images in uint8, and labels.
    backend : str
        The backend of the network.
    folder : Path
        The folder of the checkpoints.

    Returns
    -------
    dict
        The measurement, in types that JSON supports.
    """
    trainer = fit(rung, seed, *train, backend=backend, folder=folder)
    images, labels = test
    wrong = trainer.model.predict(images).argmax(axis=1) != labels
    return {
        "seed": seed,
        "errors": int(wrong.sum()),
        "images": len(labels),
        "minutes": minutes(trainer.history, "seconds"),
        "cpu_minutes": minutes(trainer.history, "cpu_seconds"),
        "loss": round(trainer.history["loss"][-1], 6),
        "backend": backend,
        "threads": os.environ.get("OMP_NUM_THREADS", str(os.cpu_count())),
        "chainrule": cr.__version__,
        "numpy": np.__version__,
        "settings": rung.settings(len(train[0])),
    }


def minutes(history, column):
    """Return the number of epochs times the median of the seconds in this column, in minutes.

    A pause does not change the median.
    """
    return round(len(history.epochs) * float(np.nanmedian(history[column])) / 60, 2)


class ProcessorTime(Callback):
    """Record the processor time of each epoch. Other programs hardly change it."""

    def on_epoch_start(self, trainer):
        self.start = time.process_time()

    def on_epoch_end(self, trainer):
        trainer.history.epochs[-1]["cpu_seconds"] = time.process_time() - self.start


def fit(rung, seed, images, labels, *, backend, folder):
    """Train a network for all epochs of the rung, and return its trainer."""
    parts = {"loss": rung.loss(), "optimizer": rung.optimizer(len(images))}
    if newest := latest_checkpoint(folder):
        print(f"continuing at {newest}")
        trainer = cr.Trainer.resume(newest, backend=backend, **parts)
    else:
        model = cr.Sequential(*rung.layers(), backend=backend, seed=seed)
        trainer = cr.Trainer(model, **parts)
    trainer.fit(
        images, targets(labels) if rung.squared_error else labels,
        epochs=rung.epochs, batch_size=rung.batch_size, augment=rung.augment,
        callbacks=[ProcessorTime(), Checkpoint(folder, keep_last=1)], verbose=2, resume=True,
    )  # fmt: skip
    return trainer


def targets(labels):
    """Return a row for each label, with 1 for its class and -1 for the other classes."""
    return np.where(np.arange(10) == labels[:, None], 1, -1).astype(np.float32)


def processor():
    """Return the model name of the processor."""
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        text = ""
    found = re.search(r"model name\s*: (.*)", text)
    return found[1] if found else platform.processor()
