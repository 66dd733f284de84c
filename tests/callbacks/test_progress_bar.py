"""ProgressBar: the bar of a resumed training."""

import pytest
from helpers import FIT, Breaks, X, Y, trainer_on

from chainrule import callbacks


def test_the_bar_of_a_resumed_training(library, tmp_path, capsys):
    trainer = trainer_on(library)
    with pytest.raises(KeyboardInterrupt):
        trainer.fit(X, Y, epochs=3, callbacks=[Breaks(step=6)], **FIT)
    bar = callbacks.ProgressBar()
    trainer.fit(X, Y, epochs=3, callbacks=[bar], resume=True, **FIT)
    assert " 6/6 " in capsys.readouterr().err
    batches = [(X[:20], Y[:20]), (X[20:], Y[20:])]
    trainer.fit(lambda rng: iter(batches), callbacks=[bar], verbose=0)  # of unknown number
    assert "2step" in capsys.readouterr().err
