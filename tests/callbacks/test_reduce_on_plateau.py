"""`ReduceOnPlateau` lowers the learning rate once a metric stops improving."""

import pytest
from helpers import FIT, X, Y, score, trainer_on

import chainrule as cr
from chainrule.callbacks import (
    LambdaCallback,
    ReduceOnPlateau,
)


def test_reduce_on_plateau(library):
    found = []
    rates = LambdaCallback(on_epoch_start=lambda trainer: found.append(trainer.optimizer.lr))
    slower = ReduceOnPlateau("score", mode="min", factor=0.5, patience=1, cooldown=2, min_lr=0.03)
    values = [5, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4]
    trainer = trainer_on(library, lr=0.1)
    trainer.fit(X, Y, epochs=12, callbacks=[rates, score(*values), slower], **FIT)
    # Each reduction follows two ignored epochs and two epochs without improvement.
    assert found == [0.1] * 4 + [0.05] * 4 + [0.03] * 4
    assert slower.best == 4
    trainer.optimizer.lr = 0.01  # below the callback's min_lr
    trainer.fit(X, Y, epochs=6, callbacks=[score(*[1] * 99), slower], **FIT)
    assert trainer.optimizer.lr == 0.01


def test_a_schedule_is_not_reduced(library):
    trainer = trainer_on(library, lr=cr.schedules.exponential(0.1, gamma=0.9))
    with pytest.raises(TypeError, match="lr to be a number, found the schedule exponential"):
        trainer.fit(X, Y, callbacks=[ReduceOnPlateau()], **FIT)
    assert len(trainer.history) == 0
