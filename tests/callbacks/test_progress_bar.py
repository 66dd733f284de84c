"""Progress bars and printed lines show the correct numbers, even after resuming."""

import re

import numpy as np
import pytest
from helpers import FIT, Breaks, X, Y, trainer_on

import chainrule as cr
from chainrule import callbacks
from chainrule.history import shown


@pytest.mark.parametrize("verbose", [1, 2])
def test_small_losses_are_printed_with_their_digits(verbose, capsys):
    x = np.linspace(0, 1, 64, dtype="float32")[:, None]
    trainer = cr.Trainer(cr.mlp([1, 8, 1]), loss=cr.MSELoss(), optimizer=cr.Adam(1e-2))
    trainer.fit(x, 1e-4 * x, epochs=200, verbose=verbose)
    printed = [float(n) for n in re.findall(r"loss (\S+?)[\]\s]", "".join(capsys.readouterr()))]
    losses = trainer.history["loss"]
    assert losses[-1] < 1e-6
    if verbose == 2:
        np.testing.assert_allclose(printed, losses, rtol=5e-3)
    else:
        assert printed[-1] == pytest.approx(losses[-1], rel=5e-3)


@pytest.mark.parametrize("number", [0.0, 1e-9, 2.38e-7, 0.0098, 0.0123, 0.9811, 2.3, 12345.6, 1e20])
def test_numbers_keep_three_digits(number):
    for n in (number, -number):
        assert float(shown(n)) == pytest.approx(n, rel=5e-3)
        assert len(shown(n)) <= 11
    assert shown(float("nan")) == "nan"
    assert shown(float("inf")) == "inf"


def test_the_bar_of_a_resumed_run(library, tmp_path, capsys):
    trainer = trainer_on(library)
    with pytest.raises(KeyboardInterrupt):
        trainer.fit(X, Y, epochs=3, callbacks=[Breaks(step=6)], **FIT)
    bar = callbacks.ProgressBar()
    trainer.fit(X, Y, epochs=3, callbacks=[bar], resume=True, **FIT)
    assert " 6/6 " in capsys.readouterr().err
    batches = [(X[:20], Y[:20]), (X[20:], Y[20:])]
    trainer.fit(lambda rng: iter(batches), callbacks=[bar], verbose=0)  # an iterator has no length
    assert "2step" in capsys.readouterr().err
