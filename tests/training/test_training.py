"""The Trainer: what it measures, what it calls, what it refuses."""

import csv

import numpy as np
import pytest
from array_api_compat import array_namespace
from helpers import as_if_on_a_device

import chainrule as cr

RNG = np.random.default_rng(0)
X = RNG.normal(size=(90, 4))
Y = (X[:, 0] > 0).astype(int) + (X[:, 1] > 0)
X.flags.writeable = Y.flags.writeable = False  # a user's data is never written to


def trainer_on(library, *, dropout=0.0, lr=1e-2, loss=None, outputs=3, seed=1, **options):
    layers = cr.Linear(4, 16), cr.Tanh(), cr.Dropout(dropout), cr.Linear(16, outputs)
    model = cr.Sequential(*layers, backend=library.backend, dtype="float64", seed=seed)
    return cr.Trainer(model, loss=loss or cr.CrossEntropyLoss(), optimizer=cr.Adam(lr), **options)


def test_it_learns_and_reports(library):
    trainer = trainer_on(library)
    history = trainer.fit(X, Y, epochs=60, batch_size=30, validation_data=(X, Y), verbose=0)
    assert len(history) == 60
    assert list(history.epochs[-1]) == ["epoch", "loss", "val_loss", "val_accuracy", "seconds"]
    assert history["val_accuracy"][-1] > 0.95
    assert history["epoch"] == list(range(1, 61))
    assert len(history.step_losses) == 180
    assert history["loss"][0] == pytest.approx(np.mean(history.step_losses[:3]))
    measured = trainer.evaluate(X, Y)
    assert measured["loss"] == pytest.approx(history["val_loss"][-1])
    assert measured["accuracy"] == pytest.approx(history["val_accuracy"][-1])
    predicted = trainer.model.predict(X).argmax(axis=1)
    assert measured["accuracy"] == pytest.approx((predicted == Y).mean())


def test_evaluation_does_not_depend_on_the_batch_size(library):
    trainer = trainer_on(library, loss=cr.CrossEntropyLoss(weight=[1, 2, 5]), dropout=0.5)
    whole = trainer.evaluate(X, Y)
    assert trainer.evaluate(X, Y, batch_size=7) == pytest.approx(whole, rel=1e-12)


def test_the_mean_of_an_epoch_counts_samples(library):
    trainer = trainer_on(library, lr=0.0)
    history = trainer.fit(X, Y, epochs=1, batch_size=40, verbose=0)
    assert history["loss"][0] == pytest.approx(trainer.evaluate(X, Y)["loss"], rel=1e-12)
    trainer = trainer_on(library, lr=0.0, loss=cr.CrossEntropyLoss(reduction="sum"))
    history = trainer.fit(X, Y, epochs=1, batch_size=40, verbose=0)
    assert history["loss"][0] == pytest.approx(trainer.evaluate(X, Y)["loss"], rel=1e-12)


@pytest.mark.parametrize("weight", [None, [1.0, 5.0, 2.0]])
def test_the_mean_of_an_epoch_counts_weights(weight, library):
    trainer = trainer_on(library, lr=0.0, loss=cr.CrossEntropyLoss(weight=weight))
    samples = (np.arange(90) % 7 == 0) + 0.25 * (np.arange(90) < 30)
    history = trainer.fit(X, Y, sample_weight=samples, epochs=1, batch_size=40, verbose=0)
    expected = trainer.evaluate(X, Y, sample_weight=samples)["loss"]
    assert history["loss"][0] == pytest.approx(expected, rel=1e-12)


def test_numbers_leave_the_device_once_an_epoch(monkeypatch):
    import array_api_strict

    kind = array_api_strict._array_object.Array
    backend = cr.get_backend(array_api_strict)
    trainer = trainer_on(type("L", (), {"backend": backend}), dropout=0.2, loss=weighted_loss())
    trainer.fit(X, Y, epochs=1, batch_size=30, verbose=0)
    read = []
    for name in ("__float__", "__int__", "__bool__", "__index__", "__array__", "__dlpack__"):
        method = getattr(kind, name)
        monkeypatch.setattr(
            kind, name, lambda *a, m=method, n=name, **k: read.append(n) or m(*a, **k)
        )
    as_if_on_a_device(monkeypatch)

    class Reset(cr.Callback):
        def on_fit_start(self, trainer):
            read.clear()  # the data was checked, once

        def on_fit_end(self, trainer):
            self.read = list(read)

    reset = Reset()
    options = {"validation_data": (X, Y), "callbacks": [reset], "verbose": 0}
    trainer.fit(X, Y, epochs=3, batch_size=30, **options)
    assert len(reset.read) == 3, reset.read


def weighted_loss():
    return cr.CrossEntropyLoss(weight=[1.0, 2.0, 3.0], label_smoothing=0.1)


def test_fit_goes_on_where_it_stopped(library):
    whole, parts = trainer_on(library, dropout=0.3), trainer_on(library, dropout=0.3)
    whole.fit(X, Y, epochs=4, batch_size=30, verbose=0)
    parts.fit(X, Y, epochs=1, batch_size=30, verbose=0)
    parts.fit(X, Y, epochs=3, batch_size=30, verbose=0)
    assert parts.history.step_losses == whole.history.step_losses
    assert parts.history["epoch"] == [1, 2, 3, 4]


def test_sample_weight_zero_is_no_sample(library):
    weight = (np.arange(90) < 60).astype(float)
    with_weight, without = trainer_on(library), trainer_on(library)
    with_weight.fit(X, Y, epochs=5, batch_size=90, sample_weight=weight, verbose=0)
    without.fit(X[:60], Y[:60], epochs=5, batch_size=60, verbose=0)
    np.testing.assert_allclose(with_weight.model.predict(X), without.model.predict(X), rtol=1e-9)
    a = with_weight.evaluate(X, Y, sample_weight=weight)["loss"]
    assert a == pytest.approx(without.evaluate(X[:60], Y[:60])["loss"], rel=1e-9)


def test_images_stay_uint8(library, monkeypatch):
    images = RNG.integers(0, 256, (40, 2, 2), dtype=np.uint8)
    layers = cr.Flatten(), cr.Rescaling(1 / 255), cr.Linear(4, 2)
    model = cr.Sequential(*layers, backend=library.backend)
    trainer = cr.Trainer(model, loss=cr.CrossEntropyLoss(), optimizer=cr.SGD(0.1))
    kept, enter = set(), cr.Sequential.enter
    monkeypatch.setattr(cr.Sequential, "enter", lambda self, x: kept.add(x.dtype) or enter(self, x))
    trainer.fit(images, np.arange(40) % 2, epochs=1, verbose=0)
    trainer.evaluate(images, np.arange(40) % 2)
    assert len(kept) == 1
    assert kept.pop() == library.backend.xp.uint8


@pytest.mark.parametrize(
    ("loss", "target"),
    [
        (cr.MSELoss(), X[:, :1]),
        (cr.BCEWithLogitsLoss(), (X[:, :1] > 0).astype(float)),
    ],
    ids=repr,
)
def test_other_losses(loss, target, library):
    trainer = trainer_on(library, loss=loss, outputs=1)
    before = trainer.evaluate(X, target)
    trainer.fit(X, target, epochs=20, batch_size=30, verbose=0)
    after = trainer.evaluate(X, target)
    assert after["loss"] < before["loss"] / 2
    assert ("accuracy" in after) == isinstance(loss, cr.BCEWithLogitsLoss)
    assert after.get("accuracy", 1.0) > 0.95


def test_metrics_of_ones_own(library):
    def mean_output(outputs, targets):
        return array_namespace(outputs).mean(outputs)

    for metrics in ([mean_output], {"mean_output": mean_output}):
        trainer = trainer_on(library, metrics=metrics)
        found = trainer.evaluate(X, Y)
        assert found["mean_output"] == pytest.approx(trainer.model.predict(X).mean())
        assert list(found) == ["loss", "mean_output"]


def test_binary_accuracy_and_accuracy(library):
    y, t = library.asarray([[0.2], [-0.3]]), library.asarray([[1.0], [1.0]])
    assert float(cr.metrics.binary_accuracy(0.0)(y, t)) == 0.5
    p = library.asarray([[0.7], [0.9]])
    assert float(cr.metrics.default_metrics(cr.BCELoss())["accuracy"](p, t)) == 1.0
    rows = library.asarray(np.eye(2))
    assert float(cr.metrics.accuracy(rows, library.asarray([0, 0]))) == 0.5
    assert float(cr.metrics.accuracy(rows, rows)) == 1.0
    assert cr.metrics.default_metrics(cr.MSELoss()) == {}


class Recorder(cr.Callback):
    def __init__(self):
        self.moments = []

    def on_fit_start(self, trainer):
        self.moments.append(f"start of {trainer.epochs} x {trainer.steps_per_epoch}")

    def on_epoch_start(self, trainer):
        self.moments.append(f"epoch {trainer.epoch}")

    def on_step_end(self, trainer):
        self.moments.append("step")

    def on_epoch_end(self, trainer):
        self.moments.append(f"{len(trainer.history)} done")
        if trainer.epoch == 2:
            trainer.stop()

    def on_fit_end(self, trainer):
        self.moments.append("end")


def test_callbacks(library):
    recorder = Recorder()
    trainer = trainer_on(library)
    trainer.fit(X, Y, epochs=5, batch_size=45, callbacks=[recorder], verbose=0)
    assert recorder.moments == [
        "start of 5 x 2", "epoch 1", "step", "step", "1 done",
        "epoch 2", "step", "step", "2 done", "end",
    ]  # fmt: skip
    assert len(trainer.history) == 2


def test_an_error_in_a_callback_still_ends_the_others(library):
    class Breaks(cr.Callback):
        def on_step_end(self, trainer):
            raise KeyboardInterrupt

    recorder, trainer = Recorder(), trainer_on(library)
    with pytest.raises(KeyboardInterrupt):
        trainer.fit(X, Y, callbacks=[recorder, Breaks()], verbose=0)
    assert recorder.moments[-1] == "end"
    trainer.fit(X, Y, epochs=1, verbose=0)


def test_verbose(library, capsys):
    trainer_on(library).fit(X, Y, epochs=2, batch_size=30, validation_data=(X, Y), verbose=2)
    out, err = capsys.readouterr()
    assert [line[:15] for line in out.splitlines()] == ["epoch 1/2  loss", "epoch 2/2  loss"]
    assert "val_accuracy 0." in out
    assert err == ""
    trainer_on(library).fit(X, Y, epochs=2, batch_size=30, verbose=1)
    out, err = capsys.readouterr()
    assert out == ""
    assert "epoch 2/2: 100%" in err
    trainer_on(library).fit(X, Y, epochs=2, batch_size=30, verbose=0)
    assert capsys.readouterr() == ("", "")
    with pytest.raises(ValueError, match="verbose"):
        trainer_on(library).fit(X, Y, verbose=3)


def test_history_as_columns_and_csv(library, tmp_path):
    history = trainer_on(library).fit(X, Y, epochs=2, batch_size=30, verbose=0)
    assert list(history.to_dict()) == ["epoch", "loss", "seconds"]
    history.to_csv(tmp_path / "history.csv")
    with (tmp_path / "history.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["loss"]) for row in rows] == history["loss"]
    assert "2 epochs: epoch, loss, seconds" in repr(history)
    with pytest.raises(KeyError, match="no 'accuracy' in this history; it has epoch, loss"):
        history["accuracy"]
    with pytest.raises(FileNotFoundError):
        history.to_csv(tmp_path / "nowhere" / "history.csv")


@pytest.mark.filterwarnings("ignore:overflow encountered", "ignore:invalid value encountered")
def test_divergence_is_told_with_its_step(library):
    trainer = trainer_on(library, loss=cr.MSELoss(), outputs=4)
    trainer.optimizer.lr = lambda step: 1e200 if step == 4 else 0.0
    with pytest.raises(
        cr.DivergenceError, match=r"at step 5 \(step 2 of epoch 2\), first in the loss itself: try"
    ):
        trainer.fit(X, X, epochs=3, batch_size=30, verbose=0)
    assert len(trainer.history) == 1
    assert len(trainer.history.step_losses) == 3  # those of whole epochs
    trainer.optimizer.lr = 0.0
    trainer.model.state.values[...] = 0.0
    trainer.fit(X, X, epochs=3, batch_size=30, resume=True, verbose=0)  # from that step on
    assert (trainer.optimizer.steps, len(trainer.history.step_losses)) == (9, 9)


@pytest.mark.filterwarnings("ignore:overflow encountered", "ignore:invalid value encountered")
@pytest.mark.parametrize("where", ["host", "device"])
def test_divergence_is_told_with_its_layer(library, where, monkeypatch):
    """On a device it is found at the end of the epoch, by doing the steps before it once more."""
    if where == "device":
        as_if_on_a_device(monkeypatch)

    def trainer():
        layers = cr.Linear(4, 16), cr.BatchNorm(16), cr.Dropout(0.5), cr.Linear(16, 3)
        model = cr.Sequential(*layers, backend=library.backend, dtype="float64", seed=1)
        return cr.Trainer(model, loss=cr.CrossEntropyLoss(), optimizer=cr.Adam())

    x, options = X.copy(), {"batch_size": 10, "verbose": 0}
    x[37] = 1e308  # a sum of four of these is infinite
    order = np.random.default_rng(1)
    order.permutation(90)
    step = int(np.flatnonzero(order.permutation(90) == 37)[0]) // 10
    assert step > 1
    ours, before = trainer(), trainer()
    ours.fit(X, Y, **options)
    with pytest.raises(
        cr.DivergenceError,
        match=rf"became nan at step {9 + step} \(step {step} of epoch 2\), first in the output of "
        r"layer '0', Linear\(4, 16\)",
    ):
        ours.fit(x, Y, **options)
    before.fit(X, Y, **options)
    with pytest.raises(KeyboardInterrupt):
        before.fit(X, Y, **options, callbacks=[StopsAt(step)])
    for vector in ("values", "buffers"):  # the model is as it was before the step
        found, expected = (getattr(t.model.state, vector) for t in (ours, before))
        np.testing.assert_array_equal(library.to_numpy(found), library.to_numpy(expected))
    assert ours.model.state.draws == before.model.state.draws
    assert ours.optimizer.steps == 9 + step
    ours.model[3].weight.value[...] = np.nan
    with pytest.raises(cr.DivergenceError, match="the parameter '3.weight', after the step before"):
        ours.fit(X, Y, **options)


class StopsAt(cr.Callback):
    def __init__(self, step):
        self.left = step

    def on_step_end(self, trainer):
        self.left -= 1
        if not self.left:
            raise KeyboardInterrupt


@pytest.mark.filterwarnings("ignore:overflow encountered", "ignore:invalid value encountered")
@pytest.mark.parametrize("where", ["host", "device"])
def test_a_loss_may_be_nan_if_one_says_so(library, where, monkeypatch):
    if where == "device":
        as_if_on_a_device(monkeypatch)
    trainer = trainer_on(library)
    trainer.model[0].weight.value[...] = np.nan
    history = trainer.fit(X, Y, epochs=2, terminate_on_nan=False, verbose=0)
    assert np.isnan(history["loss"]).all()


BAD = {
    "labels": (X, Y + 2, {}, cr.DataError, "labels of 3 classes from 0 to 2, found 4"),
    "negative": (X, Y - 1, {}, cr.DataError, "found -1"),
    "columns": (X[:, :3], Y, {}, cr.ShapeError, r"expected input of shape \(batch, 4\)"),
    "rows": (X, Y[:, None], {}, cr.ShapeError, r"labels of shape \(batch,\)"),
    "lengths": (X, Y[:50], {}, cr.ShapeError, "found 90 of x, 50 of y"),
    "NaN": (X * np.nan, Y, {}, cr.DataError, "^x: .*NaN, infinity .* in 90 of 90"),
    "empty": (X[:0], Y[:0], {}, cr.DataError, "^x: expected samples"),
    "objects": (np.full(X.shape, None), Y, {}, cr.DataError, "real numbers, found dtype object"),
    "batch 0": (X, Y, {"batch_size": 0}, ValueError, "batch_size to be at least 1, found 0"),
    "batch 91": (X, Y, {"batch_size": 91}, ValueError, "batch size from 1 .* found 91"),
    "epochs": (X, Y, {"epochs": 0}, ValueError, "epochs to be at least 1, found 0"),
    "epochs and a half": (X, Y, {"epochs": 1.5}, TypeError, "epochs to be a whole number, found 1"),
    "batch '3'": (X, Y, {"batch_size": "3"}, TypeError, "batch_size to be a whole number"),
    "parts": (X, Y, {"micro_batches": None}, TypeError, "micro_batches to be a whole number"),
    "no y": (X, None, {}, TypeError, "found ndarray: was y forgotten"),
    "no y beside a list": (X.tolist(), None, {}, TypeError, "batch 0: .* was y forgotten"),
    "validation": (X, Y, {"validation_data": (X, Y[:3])}, cr.ShapeError, "of validation y"),
    "weights": (X, Y, {"sample_weight": -np.ones(90)}, cr.DataError, "found values from -1 to -1"),
    "no weights": (X, Y, {"sample_weight": np.zeros(90)}, cr.DataError, "not all of them 0"),
    "columns of weights": (X, Y, {"sample_weight": np.ones((90, 1))}, cr.ShapeError, r"\(n,\)"),
}


@pytest.mark.parametrize(("x", "y", "options", "error", "message"), BAD.values(), ids=BAD)
def test_bad_data_is_told_before_the_first_step(x, y, options, error, message, library):
    trainer = trainer_on(library)
    before = library.to_numpy(trainer.model.state.values).copy()
    with pytest.raises(error, match=message):
        trainer.fit(x, y, **{"verbose": 0, **options})
    np.testing.assert_array_equal(library.to_numpy(trainer.model.state.values), before)
    assert len(trainer.history) == 0


def test_bad_trainers():
    with pytest.raises(TypeError, match=r"cr.Sequential\(layer\) makes one"):
        cr.Trainer(cr.Linear(2, 2), loss=cr.MSELoss(), optimizer=cr.SGD(0.1))
    model = cr.Sequential(cr.Linear(4, 3))
    for bad, message in (
        ({"loss": cr.MSELoss}, "expected a Loss, found .*MSELoss"),
        ({"loss": "mse"}, "expected a Loss, found 'mse'"),
        ({"optimizer": "adam"}, "expected a Optimizer|expected an Optimizer"),
        ({"metrics": ["accuracy"]}, "expected metrics that are functions"),
        ({"metrics": {"loss": max}}, "cannot be called 'loss'"),
        ({"metrics": [lambda y, t: y, lambda y, t: t]}, "metrics of different names"),
    ):
        options = {"loss": cr.CrossEntropyLoss(), "optimizer": cr.SGD(0.1), **bad}
        with pytest.raises((TypeError, ValueError), match=message):
            cr.Trainer(model, **options)
    trainer = cr.Trainer(model, loss=cr.CrossEntropyLoss(), optimizer=cr.SGD(0.1))
    for bad in ({"validation_data": (X,)}, {"validation_data": 3}, {"callbacks": [cr.Callback]}):
        with pytest.raises(TypeError, match="expected"):
            trainer.fit(X, Y, verbose=0, **bad)
    trainer.metrics["odd"] = lambda outputs, targets: outputs
    with pytest.raises(cr.ShapeError, match="metric 'odd': expected one number"):
        trainer.evaluate(X, Y)
    with pytest.raises(ValueError, match="reduction='none'"):
        cr.Trainer(cr.Sequential(), loss=cr.MSELoss(reduction="none"), optimizer=cr.SGD(0.1))


def test_metrics_do_not_broadcast(library):
    y = library.asarray(np.eye(3))
    with pytest.raises(cr.ShapeError, match=r"accuracy: expected targets of shape \(3,\) or"):
        cr.metrics.accuracy(y, library.asarray([[0], [1], [2]]))
    with pytest.raises(cr.ShapeError, match="binary_accuracy: expected targets"):
        cr.metrics.binary_accuracy(0.0)(y[:, :1], library.asarray([1.0, 0.0, 1.0]))
    with pytest.raises(cr.ShapeError, match="at least two classes"):
        cr.metrics.accuracy(y[:, :1], library.asarray([0, 0, 0]))


def test_masks_booleans_and_classes_without_weight(library):
    trainer = trainer_on(library, loss=cr.CrossEntropyLoss(weight=[0.0, 0.0, 1.0]))
    history = trainer.fit(X[:10], np.zeros(10, "uint16"), epochs=1, verbose=0)
    assert history["loss"] == [0.0]
    trainer.fit(X, np.eye(3, dtype=int)[Y], sample_weight=X[:, 0] > 0, epochs=1, verbose=0)
    with pytest.raises(cr.DataError, match="masked"):
        trainer.fit(np.ma.masked_less(X, 0.0), Y, verbose=0)


def test_every_callback_that_started_is_ended(library):
    class BreaksAtTheEnd(cr.Callback):
        def on_fit_end(self, trainer):
            raise OSError("full")

    recorder, trainer = Recorder(), trainer_on(library)
    with pytest.raises(OSError, match="full"):
        trainer.fit(X, Y, callbacks=[recorder, BreaksAtTheEnd()], verbose=0)
    assert recorder.moments[-1] == "end"
    trainer.fit(X, Y, verbose=0)
    assert trainer.steps_per_epoch == 1  # 90 samples, in batches of at most 128
