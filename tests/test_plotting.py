"""Pictures: what they hold, and what they refuse."""

import sys

import numpy as np
import pytest

import chainrule as cr
from chainrule import plotting

pytest.importorskip("matplotlib")


def history():
    record = cr.History()
    record.epochs += [{"epoch": 1, "loss": 0.5, "val_loss": 0.6}, {"epoch": 2, "loss": 0.3}]
    return record


def test_history():
    lines = plotting.plot_history(history())
    np.testing.assert_array_equal(lines[0].get_xydata(), [[1, 0.5], [2, 0.3]])
    np.testing.assert_array_equal(lines[1].get_ydata(), [0.6, np.nan])
    ax = lines[0].axes
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("epoch", "loss")
    assert [t.get_text() for t in ax.get_legend().get_texts()] == ["training", "validation"]
    assert plotting.plot_history(history(), ax=ax)[0].axes is ax


def test_histories_without_what_is_asked_for():
    with pytest.raises(cr.DataError, match="expected a history with 'accuracy'.*found epoch, loss"):
        plotting.plot_history(history(), name="accuracy")
    with pytest.raises(cr.DataError, match="no epochs: train first"):
        plotting.plot_history(cr.History())


def test_predictions(library, tmp_path):
    images = library.asarray(np.random.default_rng(0).random((5, 4, 4)))
    predicted, labels = library.asarray([0, 1, 2, 0, 1]), library.asarray([0, 1, 1, 0, 1])
    drawn = plotting.plot_predictions(images, predicted, labels, columns=3, names=["a", "b", "c"])
    texts = [t.get_text() for t in drawn[0].axes.texts]
    assert texts == ["a", "b", "c, not b", "a", "b"]
    assert len(drawn[0].axes.lines) == 1
    np.testing.assert_array_equal(drawn[3].get_array(), library.to_numpy(images)[3])
    drawn[0].figure.savefig(tmp_path / "grid.png")
    assert not plotting.plot_predictions(images, predicted)[0].axes.lines


def test_predictions_that_do_not_fit():
    images = np.zeros((3, 4, 4))
    with pytest.raises(cr.ShapeError, match=r"\(n, height, width\), found \(3, 16\)"):
        plotting.plot_predictions(np.zeros((3, 16)), [1, 2, 3])
    with pytest.raises(cr.ShapeError, match="3 images, 2 predictions, 2 labels"):
        plotting.plot_predictions(images, [1, 2])


def test_without_matplotlib(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(ImportError, match=r'pip install "chainrule\[plot\]"'):
        plotting.plot_history(history())
