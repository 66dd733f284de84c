"""Kill a training run at random moments, resume it, and compare it with an unkilled run.

Sometimes a second process starts in the same folder, as if a queue had started a script twice. Then
one process continues training, and the other reports an error and changes nothing.

``python tests/killing.py --count 200`` kills 200 processes and prints a summary. The test suite
kills only a few.
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

import chainrule as cr

EPOCHS, BATCH = 12, 32
RESULT = "result.npz"
REFUSALS = (
    "FileExistsError",  # another training run is writing here, or has written later steps
    "No such file",  # the checkpoint to resume from was just replaced by a newer one
)


def train(folder: Path) -> None:
    """Train to the end, from the last checkpoint if there is one, and write the result."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(600, 20)).astype("float32")
    y = (x[:, :3] + 0.5 * rng.normal(size=(600, 3))).argmax(axis=1)
    average = cr.callbacks.ExponentialMovingAverage(0.95)
    callbacks = [
        cr.callbacks.EarlyStopping(patience=3, min_delta=0.01),
        average,
        cr.callbacks.CSVLogger(folder / "log.csv"),
        cr.callbacks.Checkpoint(
            folder / "checkpoints", every_steps=5, keep_last=2, monitor="val_loss"
        ),
    ]
    parts = {"loss": cr.CrossEntropyLoss(), "optimizer": optimizer()}
    newest = cr.callbacks.latest_checkpoint(folder / "checkpoints")
    trainer = cr.Trainer.resume(newest, **parts) if newest else cr.Trainer(model(), **parts)
    trainer.fit(
        x[:500], y[:500], epochs=EPOCHS, batch_size=BATCH, validation_data=(x[500:], y[500:]),
        callbacks=callbacks, resume=True, verbose=0,
    )  # fmt: skip
    state = trainer.model.state
    unfinished = folder / f"unfinished-{os.getpid()}.npz"
    with unfinished.open("wb") as file:
        np.savez(
            file,
            values=state.values,
            buffers=state.buffers,
            average=average.average,
            velocity=trainer.optimizer._vectors["velocity"],
            losses=trainer.history.step_losses,
            validation=trainer.history["val_loss"],
            counters=[state.draws, trainer.optimizer.steps],
            logged=np.loadtxt(folder / "log.csv", delimiter=",", skiprows=1, usecols=(0, 1, 2)),
            best=cr.load(folder / "checkpoints" / "best.safetensors").state.values,
        )
    unfinished.replace(folder / RESULT)


def model() -> cr.Sequential:
    """Return a model with every kind of state: dropout and running statistics."""
    return cr.Sequential(
        cr.Linear(20, 64), cr.BatchNorm(64), cr.ReLU(), cr.Dropout(0.2), cr.Linear(64, 3), seed=3
    )


def optimizer() -> cr.SGD:
    """Return an optimizer with momentum and a schedule."""
    steps = EPOCHS * -(-500 // BATCH)
    schedule = cr.schedules.warmup(20, cr.schedules.cosine(0.1, steps))
    return cr.SGD(schedule, momentum=0.9, nesterov=True, weight_decay=1e-3)


def start(folder: Path) -> subprocess.Popen[bytes]:
    """Start a process that trains in this folder."""
    return subprocess.Popen([sys.executable, __file__, "--train", str(folder)])


def finish(folder: Path) -> dict[str, np.ndarray]:
    """Train in this folder to the end, in a new process, and return the result."""
    if start(folder).wait():
        raise RuntimeError("a resumed training run ended with an error")
    with np.load(folder / RESULT) as result:
        return dict(result)


def kill(folder: Path, seconds: float) -> bool:
    """Train in this folder, kill the process later, and return whether it was still running."""
    process = start(folder)
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.returncode > 0:
        raise RuntimeError("a resumed training run ended with an error")
    return process.returncode < 0


def kill_two(folder: Path, seconds: float, apart: float) -> int:
    """Start two processes in this folder, the second a little later, and kill both.

    Returns
    -------
    int
        The number of processes that were still running when they were killed.

    Raises
    ------
    AssertionError
        If both processes ended with an error, or if one of them ended with an unexpected error.
    """
    command = [sys.executable, __file__, "--train", str(folder)]
    both = []
    for wait in (apart, seconds):
        both.append(subprocess.Popen(command, stderr=subprocess.PIPE, text=True))
        time.sleep(wait)
    for process in both:
        process.kill()
    said = [process.communicate()[1] for process in both]
    failed = [text for text, process in zip(said, both, strict=True) if process.returncode > 0]
    for text in failed:
        assert any(words in text for words in REFUSALS), text
    assert len(failed) < 2, "both were refused"
    return sum(process.returncode < 0 for process in both)


def check(count: int, seed: int = 0) -> dict[str, int]:
    """Kill processes `count` times in total, and compare each result with an unkilled run.

    Returns
    -------
    dict
        The number of kills, the number of kills before the first checkpoint, how often two
        processes were started in the same folder, and how many training runs were completed.

    Raises
    ------
    AssertionError
        If a result differs in any bit, or if a kill after the first checkpoint leaves no
        checkpoint that can be loaded.
    """
    chance = random.Random(seed)
    found = {"kills": 0, "before a checkpoint": 0, "pairs": 0, "trainings": 0}
    with tempfile.TemporaryDirectory() as root:
        begin = time.perf_counter()
        expected = finish(_made(Path(root) / "whole"))
        longest = time.perf_counter() - begin
        while found["kills"] < count:
            folder = _made(Path(root) / str(found["trainings"]))
            had_one = False
            while found["kills"] < count:
                seconds = chance.uniform(0.0, longest)
                if chance.random() < 0.3:
                    found["pairs"] += 1
                    killed = kill_two(folder, seconds, apart=chance.choice((0.0, seconds / 4)))
                else:
                    killed = int(kill(folder, seconds))
                if not killed:
                    break
                found["kills"] += killed
                newest = cr.callbacks.latest_checkpoint(folder / "checkpoints")
                if newest is None:
                    assert not had_one, "the checkpoints are gone"
                    found["before a checkpoint"] += 1
                else:
                    had_one = True
                    cr.Trainer.resume(newest, loss=cr.CrossEntropyLoss(), optimizer=optimizer())
            result = finish(folder)
            for name, array in expected.items():
                np.testing.assert_array_equal(result[name], array, err_msg=name)
            found["trainings"] += 1
    return found


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def main() -> None:
    """Train once, or kill processes and print a summary."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--train", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    if options.train:
        train(options.train)
    else:
        found = check(options.count, options.seed)
        print(", ".join(f"{number} {what}" for what, number in found.items()))
        print("every result is bitwise identical to the result of a run that was never killed")


if __name__ == "__main__":
    main()
