"""`fit` trains, records a history, continues in further calls, and uses sample weights."""

import numpy as np
import pytest
from array_api_compat import array_namespace
from helpers import as_if_on_a_device, plain_trainer, three_classes

import chainrule as cr

X, Y = three_classes(90)


def test_it_learns_and_reports(library):
    trainer = plain_trainer(library)
    history = trainer.fit(X, Y, epochs=60, batch_size=30, validation_data=(X, Y), verbose=0)
    assert len(history) == 60
    columns = ["epoch", "loss", "accuracy", "val_loss", "val_accuracy", "lr", "seconds"]
    assert list(history.epochs[-1]) == columns == trainer.columns
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
    trainer = plain_trainer(library, loss=cr.CrossEntropyLoss(weight=[1, 2, 5]), dropout=0.5)
    whole = trainer.evaluate(X, Y)
    assert trainer.evaluate(X, Y, batch_size=7) == pytest.approx(whole, rel=1e-12)


def test_the_mean_of_an_epoch_counts_samples(library):
    trainer = plain_trainer(library, lr=0.0)
    history = trainer.fit(X, Y, epochs=1, batch_size=40, verbose=0)
    assert history["loss"][0] == pytest.approx(trainer.evaluate(X, Y)["loss"], rel=1e-12)
    trainer = plain_trainer(library, lr=0.0, loss=cr.CrossEntropyLoss(reduction="sum"))
    history = trainer.fit(X, Y, epochs=1, batch_size=40, verbose=0)
    assert history["loss"][0] == pytest.approx(trainer.evaluate(X, Y)["loss"], rel=1e-12)


@pytest.mark.parametrize("weight", [None, [1.0, 5.0, 2.0]])
def test_the_mean_of_an_epoch_counts_weights(weight, library):
    trainer = plain_trainer(library, lr=0.0, loss=cr.CrossEntropyLoss(weight=weight))
    samples = (np.arange(90) % 7 == 0) + 0.25 * (np.arange(90) < 30)
    history = trainer.fit(X, Y, sample_weight=samples, epochs=1, batch_size=40, verbose=0)
    expected = trainer.evaluate(X, Y, sample_weight=samples)["loss"]
    assert history["loss"][0] == pytest.approx(expected, rel=1e-12)


def test_numbers_leave_the_device_once_an_epoch(monkeypatch):
    import array_api_strict

    kind = array_api_strict._array_object.Array
    backend = cr.get_backend(array_api_strict)
    trainer = plain_trainer(type("L", (), {"backend": backend}), dropout=0.2, loss=weighted_loss())
    trainer.fit(X, Y, epochs=1, batch_size=30, verbose=0)
    read = []
    conversions = ["float", "int", "bool", "index", "array", "dlpack"]
    if hasattr(kind, "__buffer__"):  # NumPy reads `__buffer__` from Python 3.12 on
        conversions.append("buffer")
    for name in (f"__{conversion}__" for conversion in conversions):
        method = getattr(kind, name)
        monkeypatch.setattr(
            kind, name, lambda *a, m=method, n=name, **k: read.append(n) or m(*a, **k)
        )
    as_if_on_a_device(monkeypatch)

    class Reset(cr.Callback):
        def on_fit_start(self, trainer):
            read.clear()  # ignore the single check of the data

        def on_fit_end(self, trainer):
            self.read = list(read)

    reset = Reset()
    options = {"validation_data": (X, Y), "callbacks": [reset], "verbose": 0}
    trainer.fit(X, Y, epochs=3, batch_size=30, **options)
    assert len(reset.read) == 4, reset.read  # three epochs, one final check


def weighted_loss():
    return cr.CrossEntropyLoss(weight=[1.0, 2.0, 3.0], label_smoothing=0.1)


def test_fit_continues_where_it_stopped(library):
    whole, parts = plain_trainer(library, dropout=0.3), plain_trainer(library, dropout=0.3)
    whole.fit(X, Y, epochs=4, batch_size=30, verbose=0)
    parts.fit(X, Y, epochs=1, batch_size=30, verbose=0)
    parts.fit(X, Y, epochs=3, batch_size=30, verbose=0)
    assert parts.history.step_losses == whole.history.step_losses
    assert parts.history["epoch"] == [1, 2, 3, 4]


def test_a_sample_of_weight_zero_does_not_count(library):
    weight = (np.arange(90) < 60).astype(float)
    with_weight, without = plain_trainer(library), plain_trainer(library)
    with_weight.fit(X, Y, epochs=5, batch_size=90, sample_weight=weight, verbose=0)
    without.fit(X[:60], Y[:60], epochs=5, batch_size=60, verbose=0)
    np.testing.assert_allclose(with_weight.model.predict(X), without.model.predict(X), rtol=1e-9)
    a = with_weight.evaluate(X, Y, sample_weight=weight)["loss"]
    assert a == pytest.approx(without.evaluate(X[:60], Y[:60])["loss"], rel=1e-9)


def test_images_stay_uint8(library, monkeypatch):
    images = np.random.default_rng(0).integers(0, 256, (40, 2, 2), dtype=np.uint8)
    layers = cr.Flatten(), cr.Rescaling(1 / 255), cr.Linear(4, 2)
    model = cr.Sequential(*layers, backend=library.backend)
    trainer = cr.Trainer(model, loss=cr.CrossEntropyLoss(), optimizer=cr.SGD(0.1))
    kept, enter = set(), cr.Sequential.enter

    def spy(self, x, **options):
        if x.ndim == 3:
            kept.add(x.dtype)
        return enter(self, x, **options)

    monkeypatch.setattr(cr.Sequential, "enter", spy)
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
    ids=["MSELoss", "BCEWithLogitsLoss"],
)
def test_other_losses(loss, target, library):
    trainer = plain_trainer(library, loss=loss, outputs=1)
    before = trainer.evaluate(X, target)
    trainer.fit(X, target, epochs=20, batch_size=30, verbose=0)
    after = trainer.evaluate(X, target)
    assert after["loss"] < before["loss"] / 2
    assert ("accuracy" in after) == isinstance(loss, cr.BCEWithLogitsLoss)
    assert after.get("accuracy", 1.0) > 0.95


def test_custom_metrics(library):
    def mean_output(outputs, targets):
        return array_namespace(outputs).mean(outputs)

    for metrics in ([mean_output], {"mean_output": mean_output}):
        trainer = plain_trainer(library, metrics=metrics)
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


def test_metrics_do_not_broadcast(library):
    y = library.asarray(np.eye(3))
    with pytest.raises(cr.ShapeError, match=r"accuracy: expected targets of shape \(3,\) or"):
        cr.metrics.accuracy(y, library.asarray([[0], [1], [2]]))
    with pytest.raises(cr.ShapeError, match="binary_accuracy: expected targets"):
        cr.metrics.binary_accuracy(0.0)(y[:, :1], library.asarray([1.0, 0.0, 1.0]))
    with pytest.raises(cr.ShapeError, match="at least two classes"):
        cr.metrics.accuracy(y[:, :1], library.asarray([0, 0, 0]))
