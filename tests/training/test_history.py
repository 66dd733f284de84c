"""Check the columns of the history, the CSV file, and the printed progress lines."""

import csv

import pytest
from helpers import plain_trainer, three_classes

X, Y = three_classes(90)


def test_verbose(library, capsys):
    plain_trainer(library).fit(X, Y, epochs=2, batch_size=30, validation_data=(X, Y), verbose=2)
    out, err = capsys.readouterr()
    assert [line[:15] for line in out.splitlines()] == ["epoch 1/2  loss", "epoch 2/2  loss"]
    assert "  accuracy 0." in out
    assert "  val_accuracy 0." in out
    assert out.endswith("  lr 0.01\n")
    assert err == ""
    plain_trainer(library).fit(X, Y, epochs=2, batch_size=30, verbose=1)
    out, err = capsys.readouterr()
    assert out == ""
    assert "epoch 2/2: 100%" in err
    plain_trainer(library).fit(X, Y, epochs=2, batch_size=30, verbose=0)
    assert capsys.readouterr() == ("", "")
    with pytest.raises(ValueError, match="verbose"):
        plain_trainer(library).fit(X, Y, verbose=3)


def test_history_as_columns_and_csv(library, tmp_path):
    history = plain_trainer(library).fit(X, Y, epochs=2, batch_size=30, verbose=0)
    assert list(history.to_dict()) == ["epoch", "loss", "accuracy", "lr", "seconds"]
    history.to_csv(tmp_path / "history.csv")
    with (tmp_path / "history.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["loss"]) for row in rows] == history["loss"]
    assert "2 epochs: epoch, loss, accuracy, lr, seconds" in repr(history)
    with pytest.raises(KeyError, match="no 'val_loss' in this history; it has epoch, loss"):
        history["val_loss"]
    with pytest.raises(FileNotFoundError):
        history.to_csv(tmp_path / "nowhere" / "history.csv")
