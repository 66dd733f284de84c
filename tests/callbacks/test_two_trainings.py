"""Two training runs must not write to the same files at the same time."""

import copy
import threading

import numpy as np
import pytest
from helpers import FIT, X, Y, names, points, resumed, rows, steps, trainer_on

import chainrule as cr
from chainrule.callbacks import Checkpoint, CSVLogger, LambdaCallback, latest_checkpoint


def board(folder):
    pytest.importorskip("tensorboardX")
    return cr.callbacks.TensorBoard(folder)


WRITERS = {"checkpoint": Checkpoint, "csv": CSVLogger, "tensorboard": board}


@pytest.mark.parametrize("make", WRITERS.values(), ids=WRITERS)
def test_a_second_run_is_an_error_at_its_start(make, library, tmp_path):
    """The first training run loses nothing and frees its file or folder when it ends."""
    path, seen = tmp_path / "here", []

    def second(trainer):
        other = trainer_on(library)
        started = LambdaCallback(on_step_end=lambda trainer: seen.append("a step"))
        with pytest.raises(FileExistsError, match="another training run .* here: process"):
            other.fit(X, Y, callbacks=[started, make(path)], **FIT)
        with pytest.raises(FileExistsError, match="callback is in use by another training run"):
            other.fit(X, Y, callbacks=[started, writer], **FIT)
        seen.append(len(other.history))

    writer, alone = make(path), make(tmp_path / "alone")
    again = LambdaCallback(on_epoch_end=second)
    trainer_on(library).fit(X, Y, epochs=2, callbacks=[writer, again], **FIT)
    trainer_on(library).fit(X, Y, epochs=2, callbacks=[alone], **FIT)
    assert seen == [0, 0]
    compare(path, tmp_path / "alone")
    trainer = trainer_on(library)
    trainer.fit(X, Y, epochs=2, **FIT)
    trainer.fit(X, Y, callbacks=[make(path)], **FIT)


def compare(path, other):
    """Check that two folders hold the same files, apart from recorded times."""
    if path.is_file():
        assert [row["loss"] for row in rows(path)] == [row["loss"] for row in rows(other)]
    elif steps(path):
        assert names(path) == names(other)
        ours, others = (cr.load(latest_checkpoint(folder)).state for folder in (path, other))
        np.testing.assert_array_equal(ours.values, others.values)
    else:
        ours, others = points(path), points(other)
        assert ours.keys() == others.keys()
        assert ours["loss"] == others["loss"]


@pytest.mark.parametrize("make", WRITERS.values(), ids=WRITERS)
@pytest.mark.parametrize("last", [False, True])
def test_an_error_frees_the_folder(make, last, library, tmp_path):
    """An error in a step, or in another callback's start, frees the file or folder."""

    def fails(trainer):
        raise ValueError("here")

    broken = LambdaCallback(**{"on_step_end" if last else "on_fit_start": fails})
    broken.last = True  # called after Checkpoint
    writer = make(tmp_path / "here")
    for one in (writer, make(tmp_path / "here")):
        with pytest.raises(ValueError, match="^here$"):
            trainer_on(library).fit(X, Y, callbacks=[one, broken], **FIT)


@pytest.mark.parametrize(
    "text", ["a,b\n1,2\n", "epoch,loss\n1," + "x" * 200_000 + "\n"], ids=["columns", "field"]
)
def test_an_error_at_its_own_start_frees_the_folder(text, library, tmp_path):
    path = tmp_path / "log.csv"
    path.write_text(text)
    for _ in range(2):
        with pytest.raises(ValueError, match="log.csv: (expected a table|not a CSV file)"):
            trainer_on(library).fit(X, Y, callbacks=[CSVLogger(path, append=True)], **FIT)
    assert names(tmp_path) == ["log.csv"]
    trainer_on(library).fit(X, Y, callbacks=[CSVLogger(path)], **FIT)


@pytest.mark.not_on("numpy-readonly", "strict", "strictest")
def test_the_script_started_again_while_it_runs(library, tmp_path):
    """A second run that resumes from a checkpoint fails at once. The first run continues."""
    trainer, failed = trainer_on(library), []
    keep = Checkpoint(tmp_path, every_steps=1, keep_last=2)
    thread = threading.Thread(
        target=trainer.fit, args=(X, Y), kwargs={"epochs": 20, "callbacks": [keep], **FIT}
    )
    thread.start()
    while thread.is_alive():
        try:
            again = resumed(latest_checkpoint(tmp_path), library)
        except (FileNotFoundError, TypeError):  # there is no checkpoint at this moment
            continue
        if again.optimizer.steps < 80:
            with pytest.raises(FileExistsError, match=r"another training|beyond step"):
                again.fit(X, Y, epochs=20, callbacks=[Checkpoint(tmp_path)], resume=True, **FIT)
            failed.append(again.optimizer.steps)
    thread.join()
    assert failed
    assert steps(tmp_path) == [79, 80]
    assert len(trainer.history) == 20


def test_only_abandoned_files_are_removed(library, tmp_path):
    left, others = ".step-00000003.safetensors.x1y2", ".other.safetensors.x1y2"
    for name in (left, ".best.safetensors.x1y2", others):
        (tmp_path / name).write_text("half")
    trainer_on(library).fit(X, Y, callbacks=[Checkpoint(tmp_path)], **FIT)
    assert [name for name in names(tmp_path) if name[0] == "."] == [others]


def test_two_callbacks_of_one_run_share_a_folder(library, tmp_path):
    """Callbacks that write different files can share a folder."""
    listeners = [board(tmp_path), Checkpoint(tmp_path), CSVLogger(tmp_path / "log.csv")]
    trainer_on(library).fit(X, Y, callbacks=listeners, **FIT)
    assert {"log.csv", "step-00000004.safetensors"} < set(names(tmp_path))
    assert not [name for name in names(tmp_path) if name[0] == "."]


def test_two_checkpoints_in_one_folder(library, tmp_path):
    """Two Checkpoints in one folder are an error, because they would remove each other's files."""
    listeners = [Checkpoint(tmp_path), Checkpoint(tmp_path, monitor="loss")]
    with pytest.raises(FileExistsError, match=r"\(or another callback of this run\)"):
        trainer_on(library).fit(X, Y, callbacks=listeners, **FIT)
    trainer_on(library).fit(X, Y, callbacks=listeners[:1], epochs=2, resume=True, **FIT)


@pytest.mark.parametrize("make", [Checkpoint, CSVLogger])
def test_copies_during_a_run(make, library, tmp_path):
    """Copies of a callback neither own nor release the file or folder of the training run."""
    copies, writer = [], make(tmp_path / "here")

    def look(trainer):
        copies.append(copy.deepcopy(writer))
        with pytest.raises(FileExistsError, match="another training run .* is writing here"):
            trainer_on(library).fit(X, Y, callbacks=[copies[-1]], **FIT)

    look = LambdaCallback(on_epoch_end=look)
    trainer_on(library).fit(X, Y, epochs=2, callbacks=[writer, look], **FIT)
    assert len(copies) == 2


def test_a_log_that_cannot_be_written_is_reported_at_the_start(library, tmp_path, monkeypatch):
    def starts(path):
        steps = []
        look = LambdaCallback(on_step_end=steps.append)
        with pytest.raises(OSError, match="found a folder, a pipe|read-only|directory|xist"):
            trainer_on(library).fit(X, Y, callbacks=[CSVLogger(path), look], **FIT)
        return steps

    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    assert starts(tmp_path / "folder") == starts(tmp_path / "file" / "log.csv") == []

    def read_only(*_):
        raise PermissionError("read-only")

    monkeypatch.setattr("os.open", read_only)
    assert starts(tmp_path / "log.csv") == []
