"""The history holds the training metrics and learning rates of the training steps."""

import numpy as np
import pytest
from helpers import Breaks, plain_trainer, three_classes, trainer_on

import chainrule as cr
from chainrule.callbacks import EarlyStopping
from chainrule.metrics import (
    accuracy,
    binary_accuracy,
    f1,
    mean_absolute_error,
    precision,
    r2,
    top_k_accuracy,
)

X, Y = three_classes(90)
ROWS = np.eye(3)[Y]
FIT = {"batch_size": 40, "verbose": 0}  # batches of 40, 40 and 10 samples
WEIGHT = np.linspace(0.0, 2.0, 90)


def test_the_metrics_are_those_of_the_outputs_of_the_steps(library):
    """Training metrics use the outputs of the training steps, which include dropout."""
    trainer, twin = (plain_trainer(library, dropout=0.5, lr=0.1) for _ in range(2))
    history = trainer.fit(X, Y, epochs=3, shuffle=False, **FIT)
    x, y, right = library.asarray(X), library.asarray(Y), np.zeros(3)
    for epoch in range(3):
        for start in range(0, 90, 40):
            rows = slice(start, min(start + 40, 90))
            outputs, back = twin.model.forward(x[rows, ...], training=True)
            predicted = library.to_numpy(outputs).argmax(axis=1)
            right[epoch] += (predicted == Y[rows]).sum()
            back(twin.loss(outputs, y[rows])[1]())
            twin.optimizer.step()
    assert history["accuracy"] == pytest.approx(right / 90, rel=1e-12)
    assert len(set(history["accuracy"])) > 1


METRICS = {
    "accuracy": (accuracy, Y, cr.CrossEntropyLoss(), 3),
    "accuracy of rows": (accuracy, ROWS, cr.CrossEntropyLoss(), 3),
    "accuracy of whole rows": (accuracy, ROWS.astype(int), cr.CrossEntropyLoss(), 3),
    "accuracy of uint8": (accuracy, Y.astype("uint8"), cr.CrossEntropyLoss(), 3),
    "weighted classes": (accuracy, Y, cr.CrossEntropyLoss(weight=[1.0, 2.0, 5.0]), 3),
    "a sum": (accuracy, Y, cr.CrossEntropyLoss(reduction="sum"), 3),
    "top 2": (top_k_accuracy(2), Y, cr.CrossEntropyLoss(), 3),
    "top 2 of uint8": (top_k_accuracy(2), Y.astype("uint8"), cr.CrossEntropyLoss(), 3),
    "top 2 of rows": (top_k_accuracy(2), ROWS, cr.CrossEntropyLoss(), 3),
    "binary": (binary_accuracy(0.0), ROWS, cr.BCEWithLogitsLoss(), 3),
    "binary of whole": (binary_accuracy(0.0), ROWS.astype(int), cr.BCEWithLogitsLoss(), 3),
    "absolute error": (mean_absolute_error, X[:, :2], cr.MSELoss(), 2),
    "of whole numbers": (mean_absolute_error, Y[:, None], cr.MSELoss(), 1),
}


@pytest.mark.parametrize(("metric", "y", "loss", "outputs"), METRICS.values(), ids=METRICS)
@pytest.mark.parametrize("options", [{}, {"micro_batches": 3}], ids=["whole", "micro-batches"])
def test_without_a_step_they_are_those_of_an_evaluation(metric, y, loss, outputs, options, library):
    """At learning rate 0, training metrics and `evaluate` agree for all batch sizes."""
    trainer = plain_trainer(library, lr=0.0, loss=loss, outputs=outputs, metrics={"m": metric})
    history = trainer.fit(X, y, **FIT, **options)
    assert history["m"] == pytest.approx([trainer.evaluate(X, y)["m"]], rel=1e-12)
    assert 0.0 < history["m"][0] != 1.0


@pytest.mark.parametrize("name", ["accuracy", "binary", "absolute error", "weighted classes"])
@pytest.mark.parametrize("options", [{}, {"micro_batches": 3}], ids=["whole", "micro-batches"])
def test_samples_count_by_their_weight(name, options, library):
    """Metrics equal `numpy.average` with the sample weights. Class weights have no effect."""
    metric, y, loss, outputs = METRICS[name]
    trainer = plain_trainer(library, lr=0.0, loss=loss, outputs=outputs, metrics={"m": metric})
    validation = (X, y, WEIGHT)
    history = trainer.fit(X, y, sample_weight=WEIGHT, validation_data=validation, **FIT, **options)
    evaluated = trainer.evaluate(X, y, sample_weight=WEIGHT)["m"]
    predicted = trainer.model.predict(X)
    values = {
        "accuracy": lambda: predicted.argmax(axis=1) == Y,
        "weighted classes": lambda: predicted.argmax(axis=1) == Y,
        "binary": lambda: ((predicted > 0) == ROWS).mean(axis=1),
        "absolute error": lambda: abs(predicted - y).mean(axis=1),
    }[name]()
    for found in (history["m"][0], history["val_m"][0], evaluated):
        assert found == pytest.approx(np.average(values, weights=WEIGHT), rel=1e-12)


@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["equal", "weighted"])
@pytest.mark.parametrize(
    "metric", [binary_accuracy(0.0), mean_absolute_error], ids=["accuracy", "error"]
)
def test_outputs_of_more_axes(metric, weight, library):
    """The metric of a sample with several outputs is the mean over its outputs."""
    x = np.random.default_rng(0).normal(size=(90, 5, 4))
    y = (x[:, :, :2] > 0.5).astype(float)
    trainer = trainer_on(
        library, cr.Linear(4, 2), loss=cr.BCEWithLogitsLoss(), optimizer=cr.SGD(0.0),
        metrics={"m": metric},
    )  # fmt: skip
    history = trainer.fit(x, y, sample_weight=weight, **FIT)
    predicted = trainer.model.predict(x)
    right, error = (predicted > 0.0) == y, abs(predicted - y)
    values = (error if metric is mean_absolute_error else right).mean(axis=(1, 2))
    assert history["m"] == pytest.approx([np.average(values, weights=weight)], rel=1e-12)


@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["equal", "weighted"])
def test_ignored_labels_do_not_count(weight, library):
    y = np.where(np.arange(90) % 3 == 0, -100, Y)
    trainer = plain_trainer(library, lr=0.0, loss=cr.CrossEntropyLoss(ignore_index=-100))
    history = trainer.fit(X, y, sample_weight=weight, **FIT)
    right = trainer.model.predict(X).argmax(axis=1) == y
    weights = (y >= 0) * (1.0 if weight is None else weight)
    evaluated = trainer.evaluate(X, y, sample_weight=weight)["accuracy"]
    for found in (history["accuracy"][0], evaluated):
        assert found == pytest.approx(np.average(right, weights=weights), rel=1e-12)
    none = trainer.evaluate(X[:3], np.full(3, -100), sample_weight=np.ones(3))
    assert none["accuracy"] == 0.0


def test_batches_that_come_ready_made(library):
    parts = [(X[i : i + 40], Y[i : i + 40], WEIGHT[i : i + 40]) for i in (0, 40, 80)]
    one, other = plain_trainer(library), plain_trainer(library)
    history = one.fit(parts, epochs=2, verbose=0)
    same = other.fit(X, Y, sample_weight=WEIGHT, epochs=2, shuffle=False, **FIT)
    assert history["accuracy"] == pytest.approx(same["accuracy"], rel=1e-12)


@pytest.mark.parametrize("options", [{}, {"sample_weight": WEIGHT}], ids=["plain", "weights"])
def test_steps_that_are_repeated_measure_the_same(options, repeating):
    curves = []
    for compile in ("off", "auto"):
        trainer = plain_trainer(
            repeating,
            dropout=0.3,
            metrics=[accuracy, top_k_accuracy(2)],
            compile=compile,
        )
        history = trainer.fit(X, Y, epochs=3, **FIT, **options)
        curves.append(np.stack([history["accuracy"], history["top_2_accuracy"]]))
    np.testing.assert_allclose(*curves, rtol=1e-12)
    assert len(np.unique(curves[0])) > 3


def test_where_no_metric_is_a_mean_nothing_is_computed(library):
    for metrics in ([], [f1, precision, r2, lambda outputs, targets: 0.5]):
        trainer = plain_trainer(library, metrics=metrics)
        history = trainer.fit(X, Y, **FIT)
        assert list(history.to_dict()) == ["epoch", "loss", "lr", "seconds"]


def test_a_custom_metric_of_each_sample(library):
    class Margin:
        """A custom metric: the mean of each sample's largest output."""

        def __call__(self, outputs, targets):
            return library.backend.xp.mean(library.backend.xp.max(outputs, axis=1))

        def per_sample(self, xp, outputs, targets):
            return xp.max(outputs, axis=1)

    trainer = plain_trainer(library, lr=0.0, metrics=[Margin()])
    history = trainer.fit(X, Y, validation_data=(X, Y), **FIT)
    assert history["Margin"] == pytest.approx(history["val_Margin"], rel=1e-12)


def test_a_metric_that_does_not_fit_is_named_before_the_first_step(library):
    trainer = plain_trainer(library, metrics=[top_k_accuracy(3)])
    with pytest.raises(cr.ShapeError, match="expected more than 3 classes") as caught:
        trainer.fit(X, Y, **FIT)
    assert "'top_3_accuracy'" in caught.value.__notes__[0]
    assert trainer.optimizer.steps == 0


@pytest.mark.filterwarnings("ignore:invalid value encountered")
def test_outputs_that_are_nan_are_not_right(library):
    trainer = plain_trainer(library)
    trainer.model[0].weight.value[...] = np.nan
    history = trainer.fit(X, Y, epochs=2, terminate_on_nan=False, **FIT)
    assert np.isnan(history["accuracy"]).all()


@pytest.mark.parametrize("through", ["file", "memory"])
def test_other_metrics_within_an_epoch(through, library, tmp_path):
    trainer, path = plain_trainer(library), tmp_path / "half.safetensors"
    with pytest.raises(KeyboardInterrupt):
        trainer.fit(X, Y, callbacks=[Breaks(step=2)], **FIT)
    if through == "file":
        trainer.save(path)
        parts = {"loss": cr.CrossEntropyLoss(), "optimizer": cr.Adam(1e-2)}
        trainer = cr.Trainer.resume(path, metrics=[], backend=library.backend, **parts)
    trainer.metrics = {}
    with pytest.raises(ValueError, match=r"2 steps with the metrics \['accuracy'\]: .* found \[\]"):
        trainer.fit(X, Y, resume=True, **FIT)
    trainer.metrics = {"accuracy": accuracy}
    assert len(trainer.fit(X, Y, resume=True, **FIT)["accuracy"]) == 1


def test_an_epoch_without_a_complete_step_is_saved_and_resumed(library, tmp_path, monkeypatch):
    trainer, path = plain_trainer(library), tmp_path / "start.safetensors"
    with monkeypatch.context() as patch:
        patch.setattr(cr.CrossEntropyLoss, "formula", interrupted)
        with pytest.raises(KeyboardInterrupt):
            trainer.fit(X, Y, **FIT)
    trainer.save(path)
    parts = {"loss": cr.CrossEntropyLoss(), "optimizer": cr.Adam(1e-2)}
    again = cr.Trainer.resume(path, backend=library.backend, **parts)
    expected = plain_trainer(library).fit(X, Y, **FIT)["accuracy"]
    assert again.fit(X, Y, resume=True, **FIT)["accuracy"] == expected


def interrupted(*arguments):
    raise KeyboardInterrupt


def test_early_stopping_can_monitor_them(library):
    trainer, stop = plain_trainer(library), EarlyStopping("accuracy", patience=3)
    history = trainer.fit(X, Y, epochs=200, callbacks=[stop], **FIT)
    assert stop.monitor.mode == "max"
    assert stop.best == max(history["accuracy"]) > 0.8
    assert len(history) == stop.best_epoch + 3


def test_the_learning_rate_is_that_of_the_last_step(library):
    trainer = plain_trainer(library, optimizer=cr.SGD(lambda step: 0.1 / (1 + step)))
    assert trainer.fit(X, Y, epochs=2, **FIT)["lr"] == pytest.approx([0.1 / 3, 0.1 / 6])
    trainer = plain_trainer(library, optimizer=cr.SGD(0.1))
    slower = cr.callbacks.LambdaCallback(on_epoch_end=lambda t: setattr(t.optimizer, "lr", 0.05))
    assert trainer.fit(X, Y, epochs=2, callbacks=[slower], **FIT)["lr"] == [0.1, 0.05]


def test_several_learning_rates_are_several_columns(library):
    rates = {"0": lambda step: 0.1 * step, "": 0.2}
    trainer = trainer_on(library, cr.Linear(4, 3), cr.Linear(3, 3), optimizer=cr.SGD(rates))
    history = trainer.fit(X, Y, epochs=2, **FIT)
    assert list(history.to_dict()) == ["epoch", "loss", "accuracy", "lr[0]", "lr", "seconds"]
    assert history["lr[0]"] == pytest.approx([0.2, 0.5])
    assert history["lr"] == [0.2, 0.2]


def test_a_metric_cannot_take_the_name_of_a_column():
    model, loss, optimizer = cr.mlp([4, 3]), cr.CrossEntropyLoss(), cr.SGD(0.1)
    for name in ("epoch", "loss", "lr", "seconds"):
        with pytest.raises(ValueError, match=f"cannot have the name '{name}': the history uses"):
            cr.Trainer(model, loss=loss, optimizer=optimizer, metrics={name: accuracy})
