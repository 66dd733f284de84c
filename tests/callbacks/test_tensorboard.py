"""`TensorBoard` writes the curves to event files."""

import re
import sys

import numpy as np
import pytest
from helpers import FIT, X, Y, points, trainer_on

from chainrule.callbacks import (
    TensorBoard,
)


@pytest.mark.parametrize("step_losses", [False, True])
def test_tensorboard(step_losses, library, tmp_path):
    pytest.importorskip("tensorboardX")
    trainer, board = trainer_on(library), TensorBoard(tmp_path / "run", step_losses=step_losses)
    history = trainer.fit(X, Y, epochs=2, callbacks=[board], **FIT)
    trainer.fit(X, Y, epochs=1, callbacks=[board], **FIT)
    found = points(tmp_path / "run")
    steps = found.pop("step_loss", [])
    assert list(found) == ["loss", "accuracy", "val_loss", "val_accuracy", "lr", "seconds"]
    for name, curve in found.items():
        expected = list(enumerate(history[name], start=1))
        np.testing.assert_allclose(curve, expected, rtol=1e-6, err_msg=name)
    expected = list(enumerate(history.step_losses if step_losses else []))
    np.testing.assert_allclose(steps, expected, rtol=1e-6)


def test_tensorboard_is_an_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with pytest.raises(ImportError, match=re.escape('pip install ".[tensorboard]" in a clone')):
        TensorBoard("unused")
