"""Callbacks are called at the right moments, even after an error."""

import pytest
from helpers import Breaks, Moments, plain_trainer, three_classes

import chainrule as cr

X, Y = three_classes(90)


def test_callbacks_are_called_at_their_moments(library):
    recorder = Moments()
    trainer = plain_trainer(library)
    trainer.fit(X, Y, epochs=5, batch_size=45, callbacks=[recorder], verbose=0)
    assert recorder.moments == [
        "start of 5 x 2", "epoch 1", "step", "step", "1 done",
        "epoch 2", "step", "step", "2 done", "end",
    ]  # fmt: skip
    assert len(trainer.history) == 2


def test_an_error_in_a_callback_still_ends_the_others(library):
    recorder, trainer = Moments(), plain_trainer(library)
    with pytest.raises(KeyboardInterrupt):
        trainer.fit(X, Y, callbacks=[recorder, Breaks(step=1)], verbose=0)
    assert recorder.moments[-1] == "end"
    trainer.fit(X, Y, epochs=1, verbose=0)


def test_every_callback_that_started_is_ended(library):
    class FailsAtTheEnd(cr.Callback):
        def on_fit_end(self, trainer):
            raise OSError("full")

    recorder, trainer = Moments(), plain_trainer(library)
    with pytest.raises(OSError, match="full"):
        trainer.fit(X, Y, callbacks=[recorder, FailsAtTheEnd()], verbose=0)
    assert recorder.moments[-1] == "end"
    trainer.fit(X, Y, verbose=0)
    assert trainer.steps_per_epoch == 1  # 90 samples, in batches of at most 128
