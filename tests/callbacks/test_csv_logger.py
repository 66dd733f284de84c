"""`CSVLogger` writes rows to new files, to files of resumed runs and to files of other tools."""

import pytest
from helpers import FIT, X, Y, resumed, rows, trainer_on

from chainrule.callbacks import (
    CSVLogger,
    LambdaCallback,
)


def test_one_row_per_epoch(library, tmp_path):
    path, seen = tmp_path / "logs" / "log.csv", []
    log = CSVLogger(path)
    look = LambdaCallback(on_epoch_end=lambda trainer: seen.append(len(rows(path))))
    trainer = trainer_on(library)
    history = trainer.fit(X, Y, epochs=3, callbacks=[log, look], **FIT)
    assert seen == [1, 2, 3]  # each row is written when its epoch ends
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
    first = ["epoch", "loss", "accuracy", "lr", "seconds", "rate"]
    assert list(rows(path)[0]) == [*first, "val_loss", "val_accuracy"]
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
        file.write("1")  # an unfinished row, as after a kill
    again = resumed(tmp_path / "2.safetensors", library)
    listeners = [CSVLogger(path, append=append), LambdaCallback()]
    again.fit(X, Y, epochs=4, callbacks=listeners, resume=True, **FIT)
    assert [row["epoch"] for row in rows(path)] == [*earlier, "1", "2", "3", "4"]
    for row, before in zip(rows(path), first, strict=True):
        assert {**row, "seconds": 0} == {**before, "seconds": 0}


def test_rows_of_earlier_runs_stay_if_the_first_epoch_was_interrupted(library, tmp_path):
    path = tmp_path / "log.csv"
    trainer_on(library).fit(X, Y, epochs=3, callbacks=[CSVLogger(path)], **FIT)
    trainer = trainer_on(library)
    save = LambdaCallback(on_epoch_start=lambda t: t.save(tmp_path / f"{t.epoch}.safetensors"))
    trainer.fit(X, Y, epochs=2, callbacks=[CSVLogger(path, append=True), save], **FIT)
    again = resumed(tmp_path / "1.safetensors", library)
    listeners = [CSVLogger(path, append=True), LambdaCallback()]
    again.fit(X, Y, epochs=2, callbacks=listeners, resume=True, **FIT)
    assert [row["epoch"] for row in rows(path)] == ["1", "2", "3", "1", "2"]


def test_a_file_that_is_not_a_log(library, tmp_path):
    path = tmp_path / "log.csv"
    trainer = trainer_on(library)
    for text in (
        "name,age\nEve,7\n",
        "name,age\n",
        "epoch\n1,2\n",
        "epoch,loss\none,2\n",
        "epoch,loss\n1\n2,0.5\n",
        "epoch,loss,loss\n1,2,3\n",
        "epoch;loss\n1;2\n",
    ):
        path.write_text(text)
        with pytest.raises(ValueError, match=r"log.csv: expected .*'epoch' .* found the columns"):
            trainer.fit(X, Y, callbacks=[CSVLogger(path, append=True)], **FIT)
        assert path.read_text() == text
    path.write_text("")
    trainer.fit(X, Y, callbacks=[CSVLogger(path, append=True)], **FIT)
    assert len(rows(path)) == 1


@pytest.mark.parametrize("start", ["", "\ufeff"], ids=["plain", "Excel"])
@pytest.mark.parametrize("end", ["", "\n", "\r\n\r\n"], ids=["no newline", "newline", "empty line"])
def test_appending_to_a_file_of_another_tool(start, end, library, tmp_path):
    """The other tool's columns come first, and missing values become empty cells."""
    path = tmp_path / "log.csv"
    path.write_bytes(f"{start}epoch,rate,loss\n1,0.1,0.75\n2,0.1,0.5{end}".encode())
    trainer_on(library).fit(X, Y, callbacks=[CSVLogger(path, append=True)], **FIT)
    first, second, new = rows(path)
    measured = ["accuracy", "val_loss", "val_accuracy", "lr", "seconds"]
    assert list(first) == ["epoch", "rate", "loss", *measured]
    assert first == {"epoch": "1", "rate": "0.1", "loss": "0.75", **dict.fromkeys(measured, "")}
    assert second["loss"] == "0.5"
    assert new["rate"] == ""
    assert float(new["lr"]) == 0.05
