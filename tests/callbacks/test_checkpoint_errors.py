"""`Checkpoint` survives full disks, crashes and failing training runs."""

import errno
import math
import os
from pathlib import Path

import pytest
from helpers import FIT, Breaks, X, Y, names, resumed, score, steps, trainer_on

import chainrule as cr
from chainrule.callbacks import (
    Checkpoint,
    LambdaCallback,
    latest_checkpoint,
)


def test_there_is_always_a_checkpoint_to_resume_from(library, tmp_path, monkeypatch):
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


def test_a_folder_without_write_access_is_reported_at_the_start(library, tmp_path, monkeypatch):
    trainer, seen = trainer_on(library), []
    monkeypatch.setattr(os, "fsync", lambda file: (_ for _ in ()).throw(OSError("read-only")))
    listeners = [Checkpoint(tmp_path), LambdaCallback(on_step_end=seen.append)]
    with pytest.raises(OSError, match="read-only"):
        trainer.fit(X, Y, callbacks=listeners, **FIT)
    assert seen == names(tmp_path) == []


def test_a_crash_does_not_lose_the_best_checkpoint(library, tmp_path):
    """After a crash during any save, resumed training ends with the same best checkpoint."""
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
        keep = Checkpoint(folder, monitor="score", mode="min")
        with pytest.raises(OSError, match="crash"):
            trainer.fit(X, Y, epochs=4, callbacks=[values, keep], **FIT)
        again = resumed(latest_checkpoint(folder), library)
        listeners = [values, Checkpoint(folder, monitor="score", mode="min")]
        again.fit(X, Y, epochs=4, callbacks=listeners, resume=True, **FIT)
        assert resumed(folder / "best.safetensors", library).history["score"] == [2, 1]


def test_no_checkpoint_of_an_incomplete_step(library, tmp_path):
    """No file is written after an error, because a step or callback may be unfinished."""
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


def test_no_checkpoint_of_nan_weights(library, tmp_path):
    def spoil(trainer):
        if trainer.optimizer.steps == 6:
            trainer.model.state.values[...] = math.nan

    keep = Checkpoint(tmp_path, every_steps=1)
    with pytest.raises(cr.DivergenceError, match="the parameter '0.weight' holds NaN"):
        trainer_on(library).fit(X, Y, callbacks=[keep, LambdaCallback(on_step_end=spoil)],
                                epochs=3, **FIT)  # fmt: skip
    assert steps(tmp_path) == [3, 4, 5]
    resumed(latest_checkpoint(tmp_path), library)


def test_no_checkpoint_of_nan_weights_at_the_end(library, tmp_path):
    """NaN weights after the last step are reported by the trainer, not by Checkpoint."""

    def spoil(trainer):
        trainer.model.state.values[...] = math.nan

    listeners = [Checkpoint(tmp_path, every_epochs=2), LambdaCallback(on_epoch_end=spoil)]
    with pytest.raises(cr.DivergenceError, match=r"after the last step \(4\), the parameter '0."):
        trainer_on(library).fit(X, Y, epochs=1, callbacks=listeners, **FIT)
    assert steps(tmp_path) == [0]


def test_a_file_that_cannot_be_removed_does_not_stop_training(library, tmp_path, monkeypatch):
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
