"""Callbacks: what each does, and that a training which stopped and went on is the same with it."""

import copy
import csv
import errno
import inspect
import json
import math
import os
import pickle
import re
import struct
import sys
from pathlib import Path

import numpy as np
import pytest

import chainrule as cr
from chainrule import callbacks
from chainrule.callbacks import (
    Checkpoint,
    CSVLogger,
    EarlyStopping,
    ExponentialMovingAverage,
    GradientNorms,
    LambdaCallback,
    ReduceOnPlateau,
    TensorBoard,
    latest_checkpoint,
)

RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 4))
Y = (X[:, 0] > 0).astype(int) + (X[:, 1] > 0)
FIT = {"batch_size": 10, "validation_data": (X, Y), "verbose": 0}  # four steps an epoch
LOSS = cr.CrossEntropyLoss()


def trainer_on(library, *, lr=0.05, seed=3):
    layers = cr.Linear(4, 6), cr.BatchNorm(6), cr.Tanh(), cr.Dropout(0.2), cr.Linear(6, 3)
    model = cr.Sequential(*layers, backend=library.backend, dtype="float64", seed=seed)
    return cr.Trainer(model, loss=LOSS, optimizer=cr.SGD(lr, momentum=0.9))


def resumed(path, library, *, lr=0.05):
    optimizer = cr.SGD(lr, momentum=0.9)
    return cr.Trainer.resume(path, loss=LOSS, optimizer=optimizer, backend=library.backend)


def vectors(trainer, library):
    state = trainer.model.state
    return [library.to_numpy(v).copy() for v in (state.values, state.buffers)]


def score(*values):
    """Gives the epochs these numbers as their ``score``."""

    def write(trainer):
        trainer.history.epochs[-1]["score"] = values[trainer.epoch - 1]

    return LambdaCallback(on_epoch_end=write)


class Recorder(cr.Callback):
    """The model's vectors at the end of each epoch."""

    def __init__(self, library):
        self.library, self.vectors = library, {}

    def on_epoch_end(self, trainer):
        self.vectors[trainer.epoch] = vectors(trainer, self.library)


class Breaks(cr.Callback):
    def __init__(self, *, step, error=KeyboardInterrupt):
        self.step, self.error = step, error

    def on_step_end(self, trainer):
        if trainer.optimizer.steps == self.step:
            raise self.error


# EarlyStopping.


@pytest.mark.parametrize(
    ("options", "values", "best_epoch", "epochs"),
    [
        ({"mode": "min"}, [3, 2, 1, 1, 2, 0], 3, 5),
        ({"mode": "max"}, [1, 2, 1, 3, 2, 1, 9], 4, 6),
        ({"patience": 1}, [1, 2, 0], 1, 2),
        ({"patience": 3}, [1, 2, 0, 1, 1, 1, 1], 3, 6),
        ({"min_delta": 0.5}, [3, 2.6, 2.4, 2.1, 2.0], 3, 5),
        ({"mode": "max", "min_delta": 1}, [0, 1, 1.5, 2.4, 2.5, 5], 3, 5),
        ({}, [math.nan, 2, math.nan, math.nan, 1], 2, 4),
        ({}, [math.nan, math.nan, 1], None, 2),
        ({}, [math.inf, 1, math.inf, -math.inf, 1, 1, 0], 4, 6),
        ({"patience": 9}, [3, 2, 4], 2, 3),
    ],
)
def test_early_stopping(options, values, best_epoch, epochs, library):
    stop, recorder = EarlyStopping("score", **{"patience": 2, **options}), Recorder(library)
    trainer = trainer_on(library)
    listeners = [score(*values), stop, recorder]
    trainer.fit(X, Y, epochs=len(values), callbacks=listeners, **FIT)
    assert len(trainer.history) == epochs
    assert stop.best_epoch == best_epoch
    assert stop.best == (None if best_epoch is None else values[best_epoch - 1])
    expected = recorder.vectors[best_epoch or epochs]
    for found, best in zip(vectors(trainer, library), expected, strict=True):
        np.testing.assert_array_equal(found, best)


@pytest.mark.parametrize(
    ("name", "mode"),
    [
        ("loss", "min"), ("val_loss", "min"), ("val_mean_absolute_error", "min"),
        ("val_accuracy", "max"), ("val_top_3_accuracy", "max"), ("val_f1", "max"),
        ("val_precision", "max"), ("recall", "max"), ("val_r2", "max"),
    ],
)  # fmt: skip
def test_which_is_better_goes_by_the_name(name, mode):
    assert EarlyStopping(name).monitor.mode == mode
    assert ReduceOnPlateau(name).monitor.mode == mode
    assert Checkpoint("unused", monitor=name).monitor.mode == mode


def test_the_last_weights_are_kept_where_asked(library):
    stop, recorder = EarlyStopping("score", patience=1, restore_best=False), Recorder(library)
    trainer = trainer_on(library)
    trainer.fit(X, Y, epochs=5, callbacks=[score(1, 2), stop, recorder], **FIT)
    np.testing.assert_array_equal(vectors(trainer, library)[0], recorder.vectors[2][0])
    watched = {"monitor": "score", "mode": "min"}
    assert stop.state() == {**watched, "best": 1, "best_epoch": 1, "wait": 1}


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError])
def test_the_best_weights_are_there_after_an_error(error, library):
    stop, recorder = EarlyStopping("score", patience=2), Recorder(library)
    trainer, listeners = trainer_on(library), [score(1, 2, 3), stop, recorder]
    with pytest.raises(error):
        trainer.fit(X, Y, epochs=9, callbacks=[*listeners, Breaks(step=10, error=error)], **FIT)
    for found, best in zip(vectors(trainer, library), recorder.vectors[1], strict=True):
        np.testing.assert_array_equal(found, best)


@pytest.mark.parametrize("through", ["memory", "file"])
def test_after_the_best_it_goes_on_from_the_last(through, library, tmp_path):
    whole, parts = trainer_on(library), trainer_on(library)
    values, breaks = score(1, 2, 3, 4, 5, 6), Breaks(step=10)
    kinds = EarlyStopping("score", patience=9), breaks
    whole.fit(X, Y, epochs=6, callbacks=[values, EarlyStopping("score", patience=9)], **FIT)
    with pytest.raises(KeyboardInterrupt):
        parts.fit(X, Y, epochs=6, callbacks=[values, *kinds], **FIT)
    if through == "file":
        parts.save(tmp_path / "stopped.safetensors")
        parts = resumed(tmp_path / "stopped.safetensors", library)
        kinds = EarlyStopping("score", patience=9), breaks
    breaks.step = None
    parts.fit(X, Y, epochs=6, callbacks=[values, *kinds], resume=True, **FIT)
    assert parts.history.step_losses == whole.history.step_losses
    for found, best in zip(vectors(parts, library), vectors(whole, library), strict=True):
        np.testing.assert_array_equal(found, best)


def test_a_number_that_is_not_there(library):
    trainer = trainer_on(library)
    for watching in (EarlyStopping, ReduceOnPlateau):
        with pytest.raises(ValueError, match="one of epoch, loss, seconds, found 'val_loss': fit"):
            trainer.fit(X, Y, callbacks=[watching()], verbose=0)
    message = "one of epoch, loss, val_loss, val_accuracy, seconds, found 'accuracy'$"
    with pytest.raises(ValueError, match=message):
        trainer.fit(X, Y, callbacks=[EarlyStopping("accuracy")], **FIT)


# Checkpoint.


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def steps(folder):
    return [int(name[5:13]) for name in names(folder) if name != "best.safetensors"]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, [12, 16, 20]),
        ({"keep_last": 1}, [20]),
        ({"keep_last": None}, [0, 4, 8, 12, 16, 20]),
        ({"every_epochs": 2}, [8, 16, 20]),
        ({"every_steps": 3}, [15, 18, 20]),
        ({"every_steps": 7, "every_epochs": 3, "keep_last": 9}, [0, 7, 12, 14, 20]),
        ({"every_epochs": 9}, [0, 20]),
    ],
)
def test_which_checkpoints_there_are(options, expected, library, tmp_path):
    folder = tmp_path / "runs" / "one"
    trainer_on(library).fit(X, Y, epochs=5, callbacks=[Checkpoint(folder, **options)], **FIT)
    assert steps(folder) == expected
    assert latest_checkpoint(folder) == folder / "step-00000020.safetensors"
    again = resumed(latest_checkpoint(str(folder)), library)
    assert again.optimizer.steps == 20


def test_the_best_checkpoint(library, tmp_path):
    keep, recorder = Checkpoint(tmp_path, monitor="score", keep_last=1), Recorder(library)
    trainer = trainer_on(library)
    trainer.fit(X, Y, epochs=5, callbacks=[keep, score(3, 1, math.nan, 2, 1), recorder], **FIT)
    assert names(tmp_path) == ["best.safetensors", "step-00000020.safetensors"]
    best = resumed(tmp_path / "best.safetensors", library)
    assert best.history["score"] == [3, 1]
    np.testing.assert_array_equal(vectors(best, library)[0], recorder.vectors[2][0])
    # Another call of fit, also with a new callback, does not forget what was best.
    for again in (keep, Checkpoint(tmp_path, monitor="score")):
        trainer.fit(X, Y, callbacks=[again, score(*[1.5] * 9)], **FIT)
        assert resumed(tmp_path / "best.safetensors", library).history["score"] == [3, 1]
    trainer.fit(X, Y, callbacks=[keep, score(*[0.5] * 9)], **FIT)
    assert len(resumed(tmp_path / "best.safetensors", library).history) == 8


def test_there_is_always_a_checkpoint_to_go_on_from(library, tmp_path, monkeypatch):
    checked = []

    def check(*_):
        found = latest_checkpoint(tmp_path)
        if checked or found:
            resumed(found, library)
            checked.append(found)

    for module, name in ((os, "unlink"), (os, "replace")):
        original = getattr(module, name)

        def watched(*args, original=original, **options):
            check()
            result = original(*args, **options)
            check()
            return result

        monkeypatch.setattr(module, name, watched)
    keep = Checkpoint(tmp_path, every_steps=2, keep_last=1)
    moments = LambdaCallback(on_step_end=check)
    trainer_on(library).fit(X, Y, epochs=2, callbacks=[keep, moments], **FIT)
    assert len(checked) > 12
    assert steps(tmp_path) == [8]


def test_a_full_disk_loses_nothing(library, tmp_path, monkeypatch):
    trainer, keep = trainer_on(library), Checkpoint(tmp_path, keep_last=1, monitor="loss")
    trainer.fit(X, Y, callbacks=[keep], **FIT)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def full(file):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        trainer.fit(X, Y, epochs=3, callbacks=[keep], **FIT)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    monkeypatch.undo()
    trainer.fit(X, Y, epochs=3, callbacks=[keep], resume=True, **FIT)
    assert steps(tmp_path) == [16]


def test_a_folder_that_cannot_be_written_to_is_known_at_the_start(library, tmp_path, monkeypatch):
    trainer, seen = trainer_on(library), []
    monkeypatch.setattr(os, "fsync", lambda file: (_ for _ in ()).throw(OSError("read-only")))
    listeners = [Checkpoint(tmp_path), LambdaCallback(on_step_end=seen.append)]
    with pytest.raises(OSError, match="read-only"):
        trainer.fit(X, Y, callbacks=listeners, **FIT)
    assert seen == names(tmp_path) == []


def test_a_further_call_of_fit_goes_on_from_its_start(library, tmp_path):
    """Not from the end of the one before, of which as many epochs would be left as it had."""
    whole, parts = trainer_on(library), trainer_on(library)
    for trainer in (whole, parts):
        trainer.fit(X, Y, epochs=2, callbacks=[Checkpoint(tmp_path / str(id(trainer)))], **FIT)
    whole.fit(X, Y, epochs=3, **FIT)
    listeners = [Checkpoint(tmp_path / str(id(parts))), Breaks(step=9, error=ValueError)]
    with pytest.raises(ValueError, match="^$"):
        parts.fit(X, Y, epochs=3, callbacks=listeners, **FIT)
    again = resumed(latest_checkpoint(listeners[0].folder), library)
    listeners[1].step = None
    again.fit(X, Y, epochs=3, callbacks=listeners, resume=True, **FIT)
    assert again.history.step_losses == whole.history.step_losses


def test_an_interrupted_training_leaves_its_last_step(library, tmp_path, ctrl_c):
    """In the file is the state of that step: the training goes on exactly from there."""
    whole, parts = trainer_on(library), trainer_on(library)
    whole.fit(X, Y, epochs=3, **FIT)

    def interrupt(trainer):
        if trainer.optimizer.steps == 6:
            os.kill(os.getpid(), 2)

    listeners = [Checkpoint(tmp_path), LambdaCallback(on_step_end=interrupt)]
    with pytest.raises(KeyboardInterrupt):
        parts.fit(X, Y, epochs=3, callbacks=listeners, **FIT)
    assert steps(tmp_path) == [0, 4, 6]
    parts = resumed(latest_checkpoint(tmp_path), library)
    listeners = [Checkpoint(tmp_path), LambdaCallback()]
    parts.fit(X, Y, epochs=3, callbacks=listeners, resume=True, **FIT)
    assert parts.history.step_losses == whole.history.step_losses


def test_what_was_best_is_not_forgotten_by_a_crash(library, tmp_path):
    """Between the two files of an epoch, whichever of them is the first."""
    values = score(2, 1, 3, 4)
    for calls in range(1, 7):
        folder = tmp_path / str(calls)
        trainer, saved = trainer_on(library), []

        def save(path, trainer=trainer, saved=saved, calls=calls):
            if len(saved) == calls:
                raise OSError("crash")
            saved.append(path.name)
            cr.Trainer.save(trainer, path)

        trainer.save = save
        with pytest.raises(OSError, match="crash"):
            trainer.fit(X, Y, epochs=4, callbacks=[values, Checkpoint(folder, monitor="score")],
                        **FIT)  # fmt: skip
        again = resumed(latest_checkpoint(folder), library)
        listeners = [values, Checkpoint(folder, monitor="score")]
        again.fit(X, Y, epochs=4, callbacks=listeners, resume=True, **FIT)
        assert resumed(folder / "best.safetensors", library).history["score"] == [2, 1]


def test_the_last_checkpoint_is_of_the_last_weights(library, tmp_path):
    """Not of the best, which the model has after it: it could not go on from those."""
    stop, recorder = EarlyStopping("score", patience=2), Recorder(library)
    listeners = [Checkpoint(tmp_path, every_epochs=9), score(1, 2, 3), stop, recorder]
    trainer = trainer_on(library)
    trainer.fit(X, Y, epochs=9, callbacks=[*listeners[1:], listeners[0]], **FIT)
    again = resumed(latest_checkpoint(tmp_path), library)
    np.testing.assert_array_equal(vectors(again, library)[0], recorder.vectors[3][0])
    np.testing.assert_array_equal(vectors(trainer, library)[0], recorder.vectors[1][0])


def test_no_checkpoint_of_half_a_step(library, tmp_path):
    """An error in a step or in a callback may leave some things done and others not."""
    trainer = trainer_on(library)
    listeners = [Checkpoint(tmp_path / "callback"), Breaks(step=6, error=ValueError)]
    with pytest.raises(ValueError, match="^$"):
        trainer.fit(X, Y, epochs=3, callbacks=listeners, **FIT)
    assert steps(tmp_path / "callback") == [0, 4]
    trainer = trainer_on(library)
    step = trainer.optimizer.step

    def fails():
        step()
        if trainer.optimizer.steps == 6:
            raise MemoryError

    trainer.optimizer.step = fails
    with pytest.raises(MemoryError):
        trainer.fit(X, Y, epochs=3, callbacks=[Checkpoint(tmp_path / "step")], **FIT)
    assert steps(tmp_path / "step") == [0, 4]


def test_the_state_of_callbacks_is_that_of_the_same_moment(library, tmp_path):
    """Though the checkpoint is the first of the list."""
    listeners = [Checkpoint(tmp_path), EarlyStopping("score", patience=5), score(1, 2, 3)]
    trainer_on(library).fit(X, Y, epochs=3, callbacks=[listeners[2], *listeners[:2]], **FIT)
    again, stop = resumed(latest_checkpoint(tmp_path), library), EarlyStopping("score")
    listeners = [score(1, 2, 3, 4), Checkpoint(tmp_path), stop]
    again.fit(X, Y, epochs=4, callbacks=listeners, resume=True, **FIT)
    assert (stop.best, stop.best_epoch, stop.wait) == (1, 1, 3)


def test_checkpoints_of_another_training_are_not_written_over(library, tmp_path):
    trainer_on(library).fit(X, Y, epochs=2, callbacks=[Checkpoint(tmp_path)], **FIT)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    new = trainer_on(library)
    with pytest.raises(FileExistsError, match=r"beyond step 0, .* found step-00000008.safetensors"):
        new.fit(X, Y, callbacks=[Checkpoint(tmp_path)], **FIT)
    assert len(new.history) == 0
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    # Nor are those removed that were there from before.
    new.fit(X, Y, epochs=3, **FIT)
    new.fit(X, Y, epochs=2, callbacks=[Checkpoint(tmp_path, keep_last=1)], **FIT)
    assert steps(tmp_path) == [0, 4, 8, 20]
    (tmp_path / "best").mkdir()
    trainer_on(library).model.save(tmp_path / "best" / "best.safetensors")
    keep = Checkpoint(tmp_path / "best", monitor="loss")
    with pytest.raises(FileExistsError, match=r"found best.safetensors"):
        trainer_on(library).fit(X, Y, callbacks=[keep], **FIT)


def test_no_checkpoint_of_weights_that_are_no_numbers(library, tmp_path):
    def spoil(trainer):
        if trainer.optimizer.steps == 6:
            trainer.model.state.values[...] = math.nan

    keep = Checkpoint(tmp_path, every_steps=1)
    with pytest.raises(cr.DivergenceError, match="at step 6 the model holds NaN"):
        trainer_on(library).fit(X, Y, callbacks=[keep, LambdaCallback(on_step_end=spoil)],
                                epochs=3, **FIT)  # fmt: skip
    assert steps(tmp_path) == [3, 4, 5]
    resumed(latest_checkpoint(tmp_path), library)


def test_nor_where_the_training_ends(library, tmp_path):
    """There it is no error: it would hide the one by which the training ended."""

    def spoil(trainer):
        trainer.model.state.values[...] = math.nan

    listeners = [Checkpoint(tmp_path, every_epochs=2), LambdaCallback(on_epoch_end=spoil)]
    trainer_on(library).fit(X, Y, epochs=1, callbacks=listeners, **FIT)
    assert steps(tmp_path) == [0]


def test_nothing_is_written_twice(library, tmp_path):
    trainer, saved = trainer_on(library), []
    trainer.save = lambda path: saved.append(path.name) or cr.Trainer.save(trainer, path)
    keep = Checkpoint(tmp_path)
    trainer.fit(X, Y, epochs=2, callbacks=[keep], **FIT)
    trainer.fit(X, Y, epochs=2, callbacks=[keep], resume=True, **FIT)  # nothing left to do
    assert saved == [f"step-0000000{step}.safetensors" for step in (0, 4, 8)]


def test_a_file_that_cannot_be_removed_stops_nothing(library, tmp_path, monkeypatch):
    def refuse(path, *_, **__):
        raise PermissionError(path)

    with monkeypatch.context() as patch:
        patch.setattr(os, "unlink", refuse)
        patch.setattr(Path, "unlink", refuse)
        keep = Checkpoint(tmp_path, keep_last=1)
        trainer_on(library).fit(X, Y, epochs=3, callbacks=[keep], **FIT)
    assert steps(tmp_path) == [0, 4, 8, 12]


def test_only_finished_files_are_found(tmp_path):
    assert latest_checkpoint(tmp_path / "nowhere") is None
    for name in (
        ".step-00000009.safetensors.x1",
        "best.safetensors",
        "step-9.safetensors",
        "notes",
    ):
        (tmp_path / name).touch()
    assert latest_checkpoint(tmp_path) is None
    for step in (99999999, 100000000, 12):
        (tmp_path / f"step-{step:08d}.safetensors").touch()
    assert latest_checkpoint(tmp_path).name == "step-100000000.safetensors"


# CSVLogger.


def rows(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_row_an_epoch(library, tmp_path):
    path, seen = tmp_path / "logs" / "log.csv", []
    log = CSVLogger(path)
    look = LambdaCallback(on_epoch_end=lambda trainer: seen.append(len(rows(path))))
    trainer = trainer_on(library)
    history = trainer.fit(X, Y, epochs=3, callbacks=[log, look], **FIT)
    assert seen == [1, 2, 3]  # each is there when its epoch ends
    history.to_csv(tmp_path / "history.csv")
    assert path.read_bytes() == (tmp_path / "history.csv").read_bytes()
    trainer.fit(X, Y, epochs=1, callbacks=[log], **FIT)
    assert [row["epoch"] for row in rows(path)] == ["4"]
    trainer_on(library).fit(X, Y, epochs=2, callbacks=[CSVLogger(path, append=True)], **FIT)
    assert [row["epoch"] for row in rows(path)] == ["4", "1", "2"]


def test_a_new_column_later(library, tmp_path):
    path, trainer = tmp_path / "log.csv", trainer_on(library)

    def more(trainer):
        if trainer.epoch > 1:
            trainer.history.epochs[-1]["rate"] = 0.5

    listeners = [LambdaCallback(on_epoch_end=more), CSVLogger(path)]
    trainer.fit(X, Y, epochs=3, callbacks=listeners, batch_size=10, verbose=0)
    assert [row["rate"] for row in rows(path)] == ["", "0.5", "0.5"]
    trainer.fit(X, Y, epochs=1, callbacks=[CSVLogger(path, append=True)], **FIT)
    assert list(rows(path)[0]) == ["epoch", "loss", "seconds", "rate", "val_loss", "val_accuracy"]
    assert [row["rate"] for row in rows(path)] == ["", "0.5", "0.5", ""]


@pytest.mark.parametrize("append", [False, True])
def test_rows_after_the_checkpoint_are_cut(append, library, tmp_path):
    path = tmp_path / "log.csv"
    if append:
        trainer_on(library).fit(X, Y, epochs=5, callbacks=[CSVLogger(path)], **FIT)
    earlier = [row["epoch"] for row in rows(path)] if append else []
    trainer = trainer_on(library)
    save = LambdaCallback(
        on_epoch_end=lambda t: t.save(tmp_path / f"{t.epoch}.safetensors"),
    )
    trainer.fit(X, Y, epochs=4, callbacks=[CSVLogger(path, append=append), save], **FIT)
    first = rows(path)
    with path.open("a") as file:
        file.write("1")  # of 10: a process was killed while it wrote
    again = resumed(tmp_path / "2.safetensors", library)
    listeners = [CSVLogger(path, append=append), LambdaCallback()]
    again.fit(X, Y, epochs=4, callbacks=listeners, resume=True, **FIT)
    assert [row["epoch"] for row in rows(path)] == [*earlier, "1", "2", "3", "4"]
    for row, before in zip(rows(path), first, strict=True):
        assert {**row, "seconds": 0} == {**before, "seconds": 0}


def test_rows_of_earlier_trainings_stay_when_the_first_epoch_was_broken_off(library, tmp_path):
    path = tmp_path / "log.csv"
    trainer_on(library).fit(X, Y, epochs=3, callbacks=[CSVLogger(path)], **FIT)
    trainer = trainer_on(library)
    save = LambdaCallback(on_epoch_start=lambda t: t.save(tmp_path / f"{t.epoch}.safetensors"))
    trainer.fit(X, Y, epochs=2, callbacks=[CSVLogger(path, append=True), save], **FIT)
    again = resumed(tmp_path / "1.safetensors", library)
    listeners = [CSVLogger(path, append=True), LambdaCallback()]
    again.fit(X, Y, epochs=2, callbacks=listeners, resume=True, **FIT)
    assert [row["epoch"] for row in rows(path)] == ["1", "2", "3", "1", "2"]


def test_a_file_that_is_no_log(library, tmp_path):
    path = tmp_path / "log.csv"
    trainer = trainer_on(library)
    for text in ("name,age\nEve,7\n", "epoch\n1,2\n", "epoch,loss\none,2\n"):
        path.write_text(text)
        with pytest.raises(ValueError, match=r"log.csv: expected .*'epoch' .* found the columns"):
            trainer.fit(X, Y, callbacks=[CSVLogger(path, append=True)], **FIT)
        assert path.read_text() == text
    path.write_text("")
    trainer.fit(X, Y, callbacks=[CSVLogger(path, append=True)], **FIT)
    assert len(rows(path)) == 1


# TensorBoard.


def points(folder):
    """The curves in the event files of a folder, as TensorBoard shows them."""
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


@pytest.mark.parametrize("step_losses", [False, True])
def test_tensorboard(step_losses, library, tmp_path):
    pytest.importorskip("tensorboardX")
    trainer, board = trainer_on(library), TensorBoard(tmp_path / "run", step_losses=step_losses)
    history = trainer.fit(X, Y, epochs=2, callbacks=[board], **FIT)
    trainer.fit(X, Y, epochs=1, callbacks=[board], **FIT)
    found = points(tmp_path / "run")
    steps = found.pop("step_loss", [])
    assert list(found) == ["loss", "val_loss", "val_accuracy", "seconds"]
    for name, curve in found.items():
        expected = list(enumerate(history[name], start=1))
        np.testing.assert_allclose(curve, expected, rtol=1e-6, err_msg=name)
    expected = list(enumerate(history.step_losses if step_losses else []))
    np.testing.assert_allclose(steps, expected, rtol=1e-6)


def test_tensorboard_is_an_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with pytest.raises(ImportError, match=re.escape('pip install "chainrule[tensorboard]"')):
        TensorBoard("unused")


# ProgressBar.


def test_the_bar_of_a_training_that_goes_on(library, tmp_path, capsys):
    trainer = trainer_on(library)
    with pytest.raises(KeyboardInterrupt):
        trainer.fit(X, Y, epochs=3, callbacks=[Breaks(step=6)], **FIT)
    bar = callbacks.ProgressBar()
    trainer.fit(X, Y, epochs=3, callbacks=[bar], resume=True, **FIT)
    assert " 6/6 " in capsys.readouterr().err
    batches = [(X[:20], Y[:20]), (X[20:], Y[20:])]
    trainer.fit(lambda rng: iter(batches), callbacks=[bar], verbose=0)  # of unknown number
    assert "2step" in capsys.readouterr().err


# LambdaCallback.


def test_functions_are_called_at_their_moments(library):
    seen = []
    moments = [name for name in vars(cr.Callback) if name.startswith("on_")]
    assert moments == list(inspect.signature(LambdaCallback).parameters)
    functions = {name: lambda trainer, name=name: seen.append(name) for name in moments}
    options = {"epochs": 1, "batch_size": 20, "verbose": 0}
    trainer_on(library).fit(X, Y, callbacks=[LambdaCallback(**functions)], **options)
    trainer_on(library).fit(X, Y, callbacks=[LambdaCallback()], **options)
    assert seen == [
        "on_fit_start", "on_epoch_start", "on_step_end", "on_step_end", "on_epoch_end",
        "on_fit_end",
    ]  # fmt: skip


# ReduceOnPlateau.


def test_reduce_on_plateau(library):
    found = []
    rates = LambdaCallback(on_epoch_start=lambda trainer: found.append(trainer.optimizer.lr))
    slower = ReduceOnPlateau("score", factor=0.5, patience=1, cooldown=2, min_lr=0.03)
    values = [5, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4]
    trainer = trainer_on(library, lr=0.1)
    trainer.fit(X, Y, epochs=12, callbacks=[rates, score(*values), slower], **FIT)
    # Two epochs without improvement, then two that are not counted.
    assert found == [0.1] * 4 + [0.05] * 4 + [0.03] * 4
    assert slower.best == 4
    trainer.optimizer.lr = 0.01  # lower than the callback goes
    trainer.fit(X, Y, epochs=6, callbacks=[score(*[1] * 99), slower], **FIT)
    assert trainer.optimizer.lr == 0.01


def test_a_schedule_is_not_reduced(library):
    trainer = trainer_on(library, lr=cr.schedules.constant(0.1))
    with pytest.raises(TypeError, match=r"lr to be a number, found the schedule constant\(lr=0.1"):
        trainer.fit(X, Y, callbacks=[ReduceOnPlateau()], **FIT)
    assert len(trainer.history) == 0


# ExponentialMovingAverage.


def test_moving_average(library):
    weights = []
    take = LambdaCallback(on_step_end=lambda trainer: weights.append(vectors(trainer, library)[0]))
    trainer, average = trainer_on(library), ExponentialMovingAverage(0.9)
    for _ in range(2):  # used again, it starts afresh
        expected = vectors(trainer, library)[0]
        weights.clear()
        trainer.fit(X, Y, epochs=2, callbacks=[average, take], **FIT)
        for values in weights:
            expected = 0.9 * expected + 0.1 * values
        found = average.average
        assert (found.dtype, type(found)) == (trainer.model.state.dtype, library.backend.array_type)
        np.testing.assert_allclose(library.to_numpy(found), expected, rtol=1e-12, atol=1e-15)


def test_the_average_is_applied_and_taken_back(library):
    trainer, average = trainer_on(library), ExponentialMovingAverage(0.5)
    with pytest.raises(RuntimeError, match="no average yet"):
        average.copy_to(trainer.model)
    trainer.fit(X, Y, epochs=3, callbacks=[average], **FIT)
    model, (own, buffers) = trainer.model, vectors(trainer, library)
    before = model.predict(X)
    with average.applied(model) as averaged:
        assert averaged is model
        inside, statistics = vectors(trainer, library)
        np.testing.assert_array_equal(inside, library.to_numpy(average.average))
        predicted = model.predict(X)
        np.testing.assert_array_equal(statistics, buffers)  # those of the training
    assert not np.array_equal(predicted, before)
    np.testing.assert_array_equal(model.predict(X), before)
    with pytest.raises(ZeroDivisionError), average.applied(model):
        1 / 0  # noqa: B018
    np.testing.assert_array_equal(vectors(trainer, library)[0], own)
    twin = copy.deepcopy(model)
    average.copy_to(twin)
    np.testing.assert_array_equal(twin.predict(X), predicted)
    np.testing.assert_array_equal(model.predict(X), before)


def test_the_average_for_a_model_of_another_backend(library):
    trainer, average = trainer_on(library), ExponentialMovingAverage(0.5)
    trainer.fit(X, Y, epochs=2, callbacks=[average], **FIT)
    layers = cr.Linear(4, 6), cr.BatchNorm(6), cr.Tanh(), cr.Dropout(0.2), cr.Linear(6, 3)
    other = cr.Sequential(*layers)  # on NumPy, in float32
    average.copy_to(other)
    expected = library.to_numpy(average.average)
    np.testing.assert_allclose(other.state.values, expected, rtol=1e-6)
    with pytest.raises(cr.ShapeError, match="a model of 63 weights, .* found one of 15"):
        average.copy_to(cr.Sequential(cr.Linear(4, 3)))


# All of them.


def files(folder):
    return {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def without_seconds(table):
    return [{k: v for k, v in row.items() if k != "seconds"} for row in table]


def curves(folder):
    return {name: curve for name, curve in points(folder).items() if name != "seconds"}


# A callback, and what it has come to; `folder` is its own.
CONTRACT = {
    cr.Callback: (lambda folder: cr.Callback(), lambda callback, folder, library: None),
    Checkpoint: (
        lambda folder: Checkpoint(folder, every_steps=3, keep_last=2, monitor="val_loss"),
        lambda callback, folder, library: {
            name: vectors(resumed(folder / name, library), library) for name in names(folder)
        },
    ),
    CSVLogger: (
        lambda folder: CSVLogger(folder / "log.csv"),
        lambda callback, folder, library: without_seconds(rows(folder / "log.csv")),
    ),
    EarlyStopping: (
        lambda folder: EarlyStopping("val_loss", patience=5, min_delta=9.0),
        lambda callback, folder, library: (callback.best, callback.best_epoch, callback.wait),
    ),
    ExponentialMovingAverage: (
        lambda folder: ExponentialMovingAverage(0.9),
        lambda callback, folder, library: library.to_numpy(callback.average),
    ),
    GradientNorms: (
        lambda folder: GradientNorms(),
        lambda callback, folder, library: callback.norms,
    ),
    LambdaCallback: (
        lambda folder: LambdaCallback(on_epoch_end=lambda trainer: None),
        lambda callback, folder, library: None,
    ),
    callbacks.PrintEpochs: (
        lambda folder: callbacks.PrintEpochs(),
        lambda callback, folder, library: None,
    ),
    callbacks.ProgressBar: (
        lambda folder: callbacks.ProgressBar(),
        lambda callback, folder, library: None,
    ),
    ReduceOnPlateau: (
        lambda folder: ReduceOnPlateau("val_loss", patience=1, min_delta=9.0, cooldown=2),
        lambda callback, folder, library: (callback.best, callback.state()),
    ),
    TensorBoard: (
        lambda folder: TensorBoard(folder, step_losses=True),
        lambda callback, folder, library: curves(folder),
    ),
}

EXPORTED = [
    thing
    for name in callbacks.__all__
    if isinstance(thing := getattr(callbacks, name), type) and issubclass(thing, cr.Callback)
]


def test_the_contract_covers_every_callback():
    assert set(CONTRACT) == set(EXPORTED)


class Saves(cr.Callback):
    """Saves after a step, and ends the training after another as if it were killed."""

    last = True

    def __init__(self, path, *, at, until):
        self.path, self.at, self.until = path, at, until

    def on_step_end(self, trainer):
        if trainer.optimizer.steps == self.at:
            trainer.save(self.path)
        if trainer.optimizer.steps == self.until:
            raise ValueError("killed")

    def on_epoch_end(self, trainer):
        if trainer.optimizer.steps == self.at:  # again, now with the epoch
            trainer.save(self.path)


@pytest.mark.parametrize("at", [10, 16])  # within an epoch, and at the end of one
@pytest.mark.parametrize("kind", CONTRACT, ids=lambda kind: kind.__name__)
def test_a_pause_changes_nothing(kind, at, library, tmp_path):
    """A file, a new process's objects, and on: the same training and the same callback."""
    if kind is TensorBoard:
        pytest.importorskip("tensorboardX")
    make, outcome = CONTRACT[kind]
    whole, paused = tmp_path / "whole", tmp_path / "paused"
    for folder in (whole, paused):
        folder.mkdir()
    path = tmp_path / "at.safetensors"
    # A folder that a checkpoint goes on in holds no later ones; the others are to cope with them.
    later = 0 if kind is Checkpoint else 5

    trainer, callback = trainer_on(library), make(whole)
    listeners = [callback, Saves(path, at=None, until=None)]
    trainer.fit(X, Y, epochs=7, callbacks=listeners, **FIT)

    killed = trainer_on(library)
    listeners = [make(paused), Saves(path, at=at, until=at + later)]
    with pytest.raises(ValueError, match="killed"):
        killed.fit(X, Y, epochs=7, callbacks=listeners, **FIT)
    again, other = resumed(path, library), make(paused)
    listeners = [other, Saves(path, at=None, until=None)]
    again.fit(X, Y, epochs=7, callbacks=listeners, resume=True, **FIT)

    assert again.history.step_losses == trainer.history.step_losses
    assert without_seconds(again.history.epochs) == without_seconds(trainer.history.epochs)
    for found, expected in zip(vectors(again, library), vectors(trainer, library), strict=True):
        np.testing.assert_array_equal(found, expected)
    assert again.optimizer.lr == trainer.optimizer.lr
    np.testing.assert_equal(outcome(other, paused, library), outcome(callback, whole, library))


@pytest.mark.parametrize("kind", CONTRACT, ids=lambda kind: kind.__name__)
def test_a_state_is_of_what_json_has_and_of_arrays(kind, library, tmp_path):
    if kind is TensorBoard:
        pytest.importorskip("tensorboardX")
    make = CONTRACT[kind][0]
    callback, found = make(tmp_path), []

    def take(trainer):
        state = callback.state()
        found.append((state, copy.deepcopy(on_host(state, library))))

    listeners = [callback, LambdaCallback(on_step_end=take, on_fit_end=take)]
    take(None)
    trainer_on(library).fit(X, Y, epochs=2, callbacks=listeners, **FIT)
    take(None)
    array_types = np.ndarray, library.backend.array_type
    for state, then in found:
        np.testing.assert_equal(on_host(state, library), then)  # not written to afterwards
        values = {k: v for k, v in state.items() if not isinstance(v, array_types)}
        arrays = {k: v for k, v in on_host(state, library).items() if k not in values}
        twin = make(tmp_path)
        twin.load_state({**json.loads(json.dumps(values, allow_nan=False)), **arrays})
        np.testing.assert_equal(on_host(twin.state(), library), then)


def on_host(state, library):
    array = library.backend.array_type
    return {k: library.to_numpy(v) if isinstance(v, array) else v for k, v in state.items()}


AFRESH = [kind for kind in CONTRACT if kind is not GradientNorms]  # which adds to what it has


@pytest.mark.parametrize("kind", AFRESH, ids=lambda kind: kind.__name__)
def test_used_again_it_starts_afresh(kind, library, tmp_path):
    """In a further call of fit it does what a new one does."""
    if kind is TensorBoard:
        pytest.importorskip("tensorboardX")
    make, outcome = CONTRACT[kind]
    found = []
    for fresh in (False, True):
        folder = tmp_path / str(fresh)
        folder.mkdir()
        trainer, callback = trainer_on(library), make(folder)
        trainer.fit(X, Y, epochs=3, callbacks=[callback], **FIT)
        callback = make(folder) if fresh and kind is not Checkpoint else callback
        trainer.fit(X, Y, epochs=3, callbacks=[callback], **FIT)
        found.append(outcome(callback, folder, library))
    np.testing.assert_equal(*found)


@pytest.mark.parametrize("kind", CONTRACT, ids=lambda kind: kind.__name__)
def test_copies(kind, library, tmp_path):
    """After a training, also with the trainer, which holds them."""
    if kind is TensorBoard:
        pytest.importorskip("tensorboardX")
    callback, trainer = CONTRACT[kind][0](tmp_path), trainer_on(library)
    trainer.fit(X, Y, epochs=2, callbacks=[callback], **FIT)
    twins = [copy.deepcopy(trainer).listeners[0]]
    if kind is not LambdaCallback:  # a lambda cannot be pickled
        twins.append(pickle.loads(pickle.dumps(callback)))
    for twin in twins:
        assert type(twin) is kind
        np.testing.assert_equal(on_host(twin.state(), library), on_host(callback.state(), library))


def test_nothing_is_read_from_the_device_at_a_step(monkeypatch, tmp_path):
    pytest.importorskip("tensorboardX")
    import array_api_strict

    array, read = array_api_strict._array_object.Array, []
    library = type("Library", (), {"backend": cr.get_backend(array_api_strict)})
    listeners = [
        make(tmp_path / kind.__name__) for kind, (make, _) in CONTRACT.items()
        if kind is not Checkpoint
    ]  # fmt: skip
    listeners.append(Checkpoint(tmp_path / "checkpoints"))
    listening = []
    for listener in listeners:
        original = listener.on_step_end

        def watched(trainer, original=original):
            listening.append(True)
            original(trainer)
            listening.pop()

        listener.on_step_end = watched
    for name in ("__float__", "__int__", "__bool__", "__index__", "__array__", "__dlpack__"):
        method = getattr(array, name)

        def reads(*args, method=method, name=name, **options):
            if listening:
                read.append(name)
            return method(*args, **options)

        monkeypatch.setattr(array, name, reads)
    trainer_on(library).fit(X, Y, epochs=2, callbacks=listeners, **FIT)
    assert read == []


WRONG = {
    "patience 0": (lambda: EarlyStopping(patience=0), "patience to be at least 1, found 0"),
    "patience 1.5": (lambda: EarlyStopping(patience=1.5), "patience .* whole number, found 1.5"),
    "mode": (lambda: EarlyStopping(mode="best"), "mode .* 'auto', 'min' or 'max', found 'best'"),
    "min_delta": (lambda: EarlyStopping(min_delta=-1), "min_delta .* at least 0, found -1"),
    "min_delta text": (lambda: EarlyStopping(min_delta="1"), "min_delta .* number, found '1'"),
    "monitor": (lambda: EarlyStopping(3), "monitor to be a name such as 'val_loss', found 3"),
    "factor": (lambda: ReduceOnPlateau(factor=1.0), "0 <= factor < 1, found 1.0"),
    "cooldown": (lambda: ReduceOnPlateau(cooldown=-1), "cooldown .* at least 0, found -1"),
    "plateau patience": (lambda: ReduceOnPlateau(patience=-1), "patience .* least 0, found -1"),
    "min_lr": (lambda: ReduceOnPlateau(min_lr=math.inf), "min_lr .* finite .* found inf"),
    "every_epochs": (lambda: Checkpoint(".", every_epochs=0), "every_epochs .* 1, found 0"),
    "every_steps": (lambda: Checkpoint(".", every_steps=0.5), "every_steps .* found 0.5"),
    "keep_last": (lambda: Checkpoint(".", keep_last=0), "keep_last .* at least 1, found 0"),
    "best": (lambda: Checkpoint(".", monitor=True), "monitor to be a name .* found True"),
    "decay": (lambda: ExponentialMovingAverage(1), "0 <= decay < 1, found 1"),
    "decay text": (lambda: ExponentialMovingAverage("0.9"), "decay .* number, found '0.9'"),
    "function": (lambda: LambdaCallback(on_step_end=3), "on_step_end .* function, found 3"),
    "moment": (lambda: LambdaCallback(on_step=print), "on_step"),
    "path": (lambda: CSVLogger(3), "int"),
}


@pytest.mark.parametrize(("make", "message"), WRONG.values(), ids=WRONG)
def test_wrong_arguments(make, message):
    with pytest.raises((TypeError, ValueError), match=message):
        make()


@pytest.mark.parametrize("name", callbacks.__all__)
def test_every_argument_is_documented(name):
    thing = getattr(callbacks, name)
    text = inspect.getdoc(thing)
    for parameter in inspect.signature(thing).parameters:
        assert re.search(rf"^{parameter}\b|, {parameter}\b", text, re.MULTILINE), parameter
    if isinstance(thing, type):
        for method, function in inspect.getmembers(thing, inspect.isfunction):
            assert method.startswith("_") or inspect.getdoc(function), method
