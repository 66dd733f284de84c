"""The arguments of callbacks: defaults, mistakes and documentation."""

import inspect
import math
import re

import pytest
from helpers import FIT, X, Y, trainer_on

from chainrule import callbacks
from chainrule.callbacks import (
    Checkpoint,
    CSVLogger,
    EarlyStopping,
    ExponentialMovingAverage,
    LambdaCallback,
    ReduceOnPlateau,
)


@pytest.mark.parametrize(
    ("name", "mode"),
    [
        ("loss", "min"), ("val_loss", "min"), ("val_mean_absolute_error", "min"),
        ("val_accuracy", "max"), ("val_top_3_accuracy", "max"), ("val_f1", "max"),
        ("val_precision", "max"), ("recall", "max"), ("val_r2", "max"),
    ],
)  # fmt: skip
def test_which_is_better_goes_by_the_name(name, mode):
    assert EarlyStopping(name).monitor.mode == mode
    assert ReduceOnPlateau(name).monitor.mode == mode
    assert Checkpoint("unused", monitor=name).monitor.mode == mode


def test_a_metric_that_does_not_exist(library):
    trainer = trainer_on(library)
    for watching in (EarlyStopping, ReduceOnPlateau):
        with pytest.raises(ValueError, match="one of epoch, loss, seconds, found 'val_loss': fit"):
            trainer.fit(X, Y, callbacks=[watching()], verbose=0)
    message = "one of epoch, loss, val_loss, val_accuracy, seconds, found 'accuracy'$"
    with pytest.raises(ValueError, match=message):
        trainer.fit(X, Y, callbacks=[EarlyStopping("accuracy")], **FIT)


WRONG = {
    "patience 0": (lambda: EarlyStopping(patience=0), "patience to be at least 1, found 0"),
    "patience 1.5": (lambda: EarlyStopping(patience=1.5), "patience .* whole number, found 1.5"),
    "mode": (lambda: EarlyStopping(mode="best"), "mode .* 'auto', 'min' or 'max', found 'best'"),
    "min_delta": (lambda: EarlyStopping(min_delta=-1), "min_delta .* at least 0, found -1"),
    "min_delta text": (lambda: EarlyStopping(min_delta="1"), "min_delta .* number, found '1'"),
    "monitor": (lambda: EarlyStopping(3), "monitor to be a name such as 'val_loss', found 3"),
    "factor": (lambda: ReduceOnPlateau(factor=1.0), "0 <= factor < 1, found 1.0"),
    "cooldown": (lambda: ReduceOnPlateau(cooldown=-1), "cooldown .* at least 0, found -1"),
    "plateau patience": (lambda: ReduceOnPlateau(patience=-1), "patience .* least 0, found -1"),
    "min_lr": (lambda: ReduceOnPlateau(min_lr=math.inf), "min_lr .* finite .* found inf"),
    "every_epochs": (lambda: Checkpoint(".", every_epochs=0), "every_epochs .* 1, found 0"),
    "every_steps": (lambda: Checkpoint(".", every_steps=0.5), "every_steps .* found 0.5"),
    "keep_last": (lambda: Checkpoint(".", keep_last=0), "keep_last .* at least 1, found 0"),
    "best": (lambda: Checkpoint(".", monitor=True), "monitor to be a name .* found True"),
    "decay": (lambda: ExponentialMovingAverage(1), "0 <= decay < 1, found 1"),
    "decay text": (lambda: ExponentialMovingAverage("0.9"), "decay .* number, found '0.9'"),
    "function": (lambda: LambdaCallback(on_step_end=3), "on_step_end .* function, found 3"),
    "moment": (lambda: LambdaCallback(on_step=print), "on_step"),
    "path": (lambda: CSVLogger(3), "int"),
}


@pytest.mark.parametrize(("make", "message"), WRONG.values(), ids=WRONG)
def test_wrong_arguments(make, message):
    with pytest.raises((TypeError, ValueError), match=message):
        make()


@pytest.mark.parametrize("name", callbacks.__all__)
def test_every_argument_is_documented(name):
    thing = getattr(callbacks, name)
    text = inspect.getdoc(thing)
    for parameter in inspect.signature(thing).parameters:
        assert re.search(rf"^{parameter}\b|, {parameter}\b", text, re.MULTILINE), parameter
    if isinstance(thing, type):
        for method, function in inspect.getmembers(thing, inspect.isfunction):
            assert method.startswith("_") or inspect.getdoc(function), method
