"""`Checkpoint` writes the right files, and training runs resume from these files."""

import math
import os

import numpy as np
import pytest
from helpers import FIT, Breaks, Recorder, X, Y, names, resumed, score, steps, trainer_on, vectors

import chainrule as cr
from chainrule.callbacks import (
    Checkpoint,
    EarlyStopping,
    LambdaCallback,
    latest_checkpoint,
)


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
def test_the_files_of_checkpoints(options, expected, library, tmp_path):
    folder = tmp_path / "runs" / "one"
    trainer_on(library).fit(X, Y, epochs=5, callbacks=[Checkpoint(folder, **options)], **FIT)
    assert steps(folder) == expected
    assert latest_checkpoint(folder) == folder / "step-00000020.safetensors"
    again = resumed(latest_checkpoint(str(folder)), library)
    assert again.optimizer.steps == 20


def test_the_best_checkpoint(library, tmp_path):
    keep, recorder = (
        Checkpoint(tmp_path, monitor="score", mode="min", keep_last=1),
        Recorder(library),
    )
    trainer = trainer_on(library)
    trainer.fit(X, Y, epochs=5, callbacks=[keep, score(3, 1, math.nan, 2, 1), recorder], **FIT)
    assert names(tmp_path) == ["best.safetensors", "step-00000020.safetensors"]
    best = resumed(tmp_path / "best.safetensors", library)
    assert best.history["score"] == [3, 1]
    np.testing.assert_array_equal(vectors(best, library)[0], recorder.vectors[2][0])
    # A second call of fit still knows the best value so far, even with a new callback.
    for again in (keep, Checkpoint(tmp_path, monitor="score", mode="min")):
        trainer.fit(X, Y, callbacks=[again, score(*[1.5] * 9)], **FIT)
        assert resumed(tmp_path / "best.safetensors", library).history["score"] == [3, 1]
    trainer.fit(X, Y, callbacks=[keep, score(*[0.5] * 9)], **FIT)
    assert len(resumed(tmp_path / "best.safetensors", library).history) == 8


def test_a_further_call_of_fit_resumes_from_its_own_start(library, tmp_path):
    """If the second call of fit fails, resuming it trains only its remaining epochs."""
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


def test_an_interrupted_run_leaves_its_last_step(library, tmp_path, ctrl_c):
    """The last file holds the state after the interrupted step, and training resumes from it."""
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


def test_the_last_checkpoint_is_of_the_last_weights(library, tmp_path):
    """The last checkpoint holds the last weights, although the model ends with the best weights."""
    stop, recorder = EarlyStopping("score", mode="min", patience=2), Recorder(library)
    listeners = [Checkpoint(tmp_path, every_epochs=9), score(1, 2, 3), stop, recorder]
    trainer = trainer_on(library)
    trainer.fit(X, Y, epochs=9, callbacks=[*listeners[1:], listeners[0]], **FIT)
    again = resumed(latest_checkpoint(tmp_path), library)
    np.testing.assert_array_equal(vectors(again, library)[0], recorder.vectors[3][0])
    np.testing.assert_array_equal(vectors(trainer, library)[0], recorder.vectors[1][0])


def test_the_state_of_callbacks_is_that_of_the_same_moment(library, tmp_path):
    """All callback states in a file are from the same step, even if Checkpoint is listed first."""
    listeners = [
        Checkpoint(tmp_path),
        EarlyStopping("score", mode="min", patience=5),
        score(1, 2, 3),
    ]
    trainer_on(library).fit(X, Y, epochs=3, callbacks=[listeners[2], *listeners[:2]], **FIT)
    again, stop = resumed(latest_checkpoint(tmp_path), library), EarlyStopping("score", mode="min")
    listeners = [score(1, 2, 3, 4), Checkpoint(tmp_path), stop]
    again.fit(X, Y, epochs=4, callbacks=listeners, resume=True, **FIT)
    assert (stop.best, stop.best_epoch, stop.wait) == (1, 1, 3)


def test_numpy_numbers_in_the_history_are_saved(library, tmp_path):
    values = iter([np.float32(0.5), np.bool_(True), np.asarray(0.25), np.float32("nan")])

    def adds(trainer):
        trainer.history.epochs[-1]["own"] = next(values)

    listeners = [LambdaCallback(on_epoch_end=adds), Checkpoint(tmp_path)]
    trainer_on(library).fit(X, Y, epochs=4, callbacks=listeners, **FIT)
    again = resumed(latest_checkpoint(tmp_path), library)
    np.testing.assert_array_equal(again.history["own"], [0.5, 1.0, 0.25, math.nan])


def test_checkpoints_of_another_run_are_not_overwritten(library, tmp_path):
    trainer_on(library).fit(X, Y, epochs=2, callbacks=[Checkpoint(tmp_path)], **FIT)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    new = trainer_on(library)
    with pytest.raises(FileExistsError, match=r"beyond step 0 .* found step-00000008.safetensors"):
        new.fit(X, Y, callbacks=[Checkpoint(tmp_path)], **FIT)
    assert len(new.history) == 0
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    # Checkpoints of the earlier training run are not removed either.
    new.fit(X, Y, epochs=3, **FIT)
    new.fit(X, Y, epochs=2, callbacks=[Checkpoint(tmp_path, keep_last=1)], **FIT)
    assert steps(tmp_path) == [0, 4, 8, 20]
    (tmp_path / "best").mkdir()
    trainer_on(library).model.save(tmp_path / "best" / "best.safetensors")
    keep = Checkpoint(tmp_path / "best", monitor="loss")
    with pytest.raises(FileExistsError, match=r"found best.safetensors"):
        trainer_on(library).fit(X, Y, callbacks=[keep], **FIT)


def test_nothing_is_written_twice(library, tmp_path):
    trainer, saved = trainer_on(library), []
    trainer.save = lambda path: saved.append(path.name) or cr.Trainer.save(trainer, path)
    keep = Checkpoint(tmp_path)
    trainer.fit(X, Y, epochs=2, callbacks=[keep], **FIT)
    trainer.fit(X, Y, epochs=2, callbacks=[keep], resume=True, **FIT)  # all epochs are done
    assert saved == [f"step-0000000{step}.safetensors" for step in (0, 4, 8)]
