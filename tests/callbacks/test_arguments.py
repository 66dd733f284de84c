"""Check the arguments of callbacks: defaults, mistakes and documentation."""

import inspect
import math
import re
from functools import partial

import pytest
from helpers import FIT, X, Y, trainer_on

import chainrule as cr
from chainrule import callbacks, metrics
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
        ("val_precision", "max"), ("recall", "max"), ("val_r2", "max"), ("val_score", "max"),
        ("val_roc_auc", "max"), ("val_acc", "max"), ("val_balanced_accuracy_score", "max"),
        ("val_f1_macro", "max"), ("val_F1-macro", "max"), ("val_r2_score", "max"),
        ("val_brier_score", "min"), ("val_accuracy_loss", "min"), ("val_max_error", "min"),
        ("error_accuracy", "min"), ("val_rmse", "min"), ("val_log_loss", "min"), ("val_mae", "min"),
        ("val_poisson_deviance", "min"), ("val_nll", "min"), ("val_perplexity", "min"),
    ],
)  # fmt: skip
def test_the_name_tells_the_direction(name, mode):
    assert EarlyStopping(name).monitor.mode == mode
    assert ReduceOnPlateau(name).monitor.mode == mode
    assert Checkpoint("unused", monitor=name).monitor.mode == mode


@pytest.mark.parametrize(
    "name",
    [
        "val_width", "val_thisf1", "val_lossless", "val_neg_mean_squared_error", "scores",
        "val_1-auc", "1 - accuracy", "-loss", "val_accuracy_drop", "error_reduction",
        "opposite_loss", "loss_std",
    ],
)  # fmt: skip
def test_a_name_that_does_not_tell_the_direction(name, library, tmp_path):
    trainer = trainer_on(library)
    for make in (EarlyStopping, ReduceOnPlateau, lambda name: Checkpoint(tmp_path, monitor=name)):
        with pytest.raises(
            ValueError, match=f"monitor '{name}': expected mode='min' or mode='max'"
        ):
            trainer.fit(X, Y, callbacks=[make(name)], **FIT)
    assert trainer.optimizer.steps == 0


def test_a_metric_can_tell_its_direction(library, tmp_path):
    marked = lambda outputs, targets: metrics.accuracy(outputs, targets)  # noqa: E731
    marked.higher_is_better = "yes"
    with pytest.raises(TypeError, match="higher_is_better to be True or False, found 'yes'"):
        metrics.base.direction(marked)
    marked.higher_is_better = True
    given = {
        "m": metrics.accuracy,
        "worst_loss": partial(metrics.f1, average="macro"),
        "k": metrics.top_k_accuracy(2),
        "off": lambda outputs, targets: 1.0 - metrics.accuracy(outputs, targets),
        "loss_less": marked,
    }
    given["off"].higher_is_better = False
    trainer = trainer_on(library, metrics=given)
    modes = dict.fromkeys(("m", "worst_loss", "k", "loss_less"), "max") | {"off": "min"}
    watching = {name: EarlyStopping(f"val_{name}") for name in modes}
    trainer.fit(X, Y, callbacks=list(watching.values()), **FIT)
    assert {name: stop.monitor.mode for name, stop in watching.items()} == modes
    trainer.save(tmp_path / "t.safetensors")
    again = cr.Trainer.resume(
        tmp_path / "t.safetensors", loss=cr.CrossEntropyLoss(), metrics=given,
        optimizer=cr.SGD(0.05, momentum=0.9), backend=library.backend,
    )  # fmt: skip
    watching = {name: EarlyStopping(f"val_{name}") for name in modes}
    again.fit(X, Y, epochs=2, callbacks=list(watching.values()), resume=True, **FIT)
    assert {name: stop.monitor.mode for name, stop in watching.items()} == modes


@pytest.mark.parametrize(
    "metric",
    [
        metrics.accuracy, metrics.f1, metrics.precision, metrics.recall, metrics.r2,
        metrics.binary_accuracy(0.5), metrics.top_k_accuracy(2), metrics.mean_absolute_error,
    ],
)  # fmt: skip
def test_built_in_metrics_tell_their_direction(metric):
    """Higher is better for all metrics except errors, as in scikit-learn's scorers."""
    assert metric.higher_is_better is (metric is not metrics.mean_absolute_error)


def test_a_column_that_does_not_exist(library):
    trainer = trainer_on(library)
    for watching in (EarlyStopping, ReduceOnPlateau):
        with pytest.raises(ValueError, match="lr, seconds, found 'val_loss': it needs fit"):
            trainer.fit(X, Y, callbacks=[watching()], verbose=0)
    trainer.metrics = {"f1": metrics.f1}  # f1 is not a mean over samples
    message = "one of epoch, loss, val_loss, val_f1, lr, seconds, found 'f1': did you mean 'val_f1'"
    with pytest.raises(ValueError, match=message):
        trainer.fit(X, Y, callbacks=[EarlyStopping("f1")], **FIT)


WRONG = {
    "patience 0": (lambda: EarlyStopping(patience=0), "patience to be at least 1, found 0"),
    "patience 1.5": (lambda: EarlyStopping(patience=1.5), "patience .* whole number, found 1.5"),
    "mode": (lambda: EarlyStopping(mode="best"), "mode .*'auto', 'min', 'max'., found 'best'"),
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


def test_wrong_arguments_assigned_later(tmp_path):
    """Numbers and flags of a callback are checked whenever they are assigned."""
    numbers = (
        (EarlyStopping(), ("patience", "restore_best")),
        (ReduceOnPlateau(), ("factor", "patience", "cooldown", "min_lr")),
        (Checkpoint(tmp_path), ("every_epochs", "every_steps", "keep_last")),
        (CSVLogger(tmp_path / "log.csv"), ("append",)),
        (EarlyStopping().monitor, ("min_delta",)),
    )
    for thing, names in numbers:
        for name in names:
            before = getattr(thing, name)
            with pytest.raises(TypeError, match=f"expected {name} to be .*, found 'three'"):
                setattr(thing, name, "three")
            assert getattr(thing, name) is before


@pytest.mark.parametrize("name", callbacks.__all__)
def test_every_argument_is_documented(name):
    thing = getattr(callbacks, name)
    text = inspect.getdoc(thing)
    for parameter in inspect.signature(thing).parameters:
        assert re.search(rf"^{parameter}\b|, {parameter}\b", text, re.MULTILINE), parameter
    if isinstance(thing, type):
        for method, function in inspect.getmembers(thing, inspect.isfunction):
            assert method.startswith("_") or inspect.getdoc(function), method


@pytest.mark.parametrize(
    ("name", "validation", "hint"),
    [
        ("val_acc", True, r"one of epoch, .*found 'val_acc': did you mean 'val_accuracy'\?"),
        ("val_acc", False, "found 'val_acc': it needs fit.validation_data"),
        (
            "val_loss",
            False,
            "found 'val_loss': it needs fit.*, or early_stopping=True in an est",
        ),
        ("acc", True, "found 'acc'"),
    ],
)
@pytest.mark.parametrize("make", [EarlyStopping, cr.callbacks.ReduceOnPlateau])
def test_a_missing_column_is_reported_at_the_start(make, name, validation, hint):
    model = cr.Sequential(cr.Linear(4, 3))
    trainer = cr.Trainer(model, loss=cr.CrossEntropyLoss(), optimizer=cr.SGD(0.1))
    data = {"validation_data": (X, Y)} if validation else {}
    with pytest.raises(ValueError, match=hint):
        trainer.fit(X, Y, callbacks=[make(name)], verbose=0, **data)
    assert trainer.optimizer.steps == 0


class TrainAccuracy(cr.Callback):
    def on_epoch_end(self, trainer):
        trainer.history.epochs[-1]["train_accuracy"] = trainer.evaluate(X, Y)["accuracy"]


def test_a_custom_callback_may_write_the_number(library):
    writers = (
        TrainAccuracy(),
        cr.callbacks.LambdaCallback(on_epoch_end=TrainAccuracy().on_epoch_end),
    )
    for writer in writers:
        stop = EarlyStopping("train_accuracy", patience=1)
        trainer_on(library).fit(X, Y, callbacks=[writer, stop], verbose=0)
        assert stop.best is not None
