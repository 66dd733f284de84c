"""Uses of the public types, checked by mypy in ``nox -s types`` and never run."""

from pathlib import Path
from typing import Any, assert_type

import numpy as np

import chainrule as cr
from chainrule.callbacks import EarlyStopping, ExponentialMovingAverage
from chainrule.callbacks.base import Training
from chainrule.layers.sequential import Slice

x, y = np.zeros((8, 4)), np.zeros(8, dtype=np.int64)


class Scale(cr.Layer):
    """A custom layer."""

    def __init__(self, features: int) -> None:
        self.gain = cr.Parameter((features,), init=cr.initializers.constant(1.0))

    def forward(self, x: Any, *, training: bool = False) -> Any:
        gain = self.gain

        def backward(dy: Any) -> Any:
            gain.add_grad(self.xp.sum(dy * x, axis=0))
            return dy * gain.value

        return x * gain.value, backward


class StopAt(cr.Callback):
    """A custom callback."""

    def on_epoch_end(self, trainer: cr.Trainer) -> None:
        assert_type(trainer.model, cr.Sequential)
        assert_type(trainer.history, cr.History)
        assert_type(trainer.epoch, int)
        if trainer.history["loss"][-1] < 0.1:
            trainer.stop()


class QuietTrainer(cr.Trainer):
    """A subclass of `Trainer`. `QuietTrainer.resume` must return a `QuietTrainer`."""


def models(path: Path) -> None:
    model = cr.Sequential(Scale(4), cr.Linear(4, 3), cr.ReLU(), dtype="float64", seed=1)
    assert_type(model[0], cr.Layer)
    assert_type(model[-1], cr.Layer)
    assert_type(model[0:2], Slice)
    assert_type(model[0:2].copy(), cr.Sequential)
    assert_type(list(model), list[cr.Layer])
    assert_type(model.copy(), cr.Sequential)
    assert_type(model.bind("numpy", seed=1), cr.Sequential)
    assert_type(model.parameters(), list[cr.Parameter])
    assert_type(model.named_parameters(), dict[str, cr.Parameter])
    assert_type(model.named_buffers(), dict[str, cr.Buffer])
    assert_type(model.summary((4,)), str)
    assert_type(Scale(4).copy(), Scale)
    assert_type(cr.mlp([4, 8, 3], activation=["relu"]), cr.Sequential)
    model.save(path)
    assert_type(cr.load(path, layers={"Scale": Scale}), cr.Sequential)


def trainings(path: str) -> None:
    model, loss = cr.mlp([4, 3]), cr.CrossEntropyLoss(weight=[1.0, 2.0, 1.0])
    rate = cr.schedules.warmup(5, cr.schedules.cosine(0.1, steps=10))
    assert_type(rate(3), float)
    optimizer = cr.Adam(lr=rate)
    assert_type(optimizer.bind(model), cr.Adam)
    trainer = QuietTrainer(model, loss=loss, optimizer=optimizer, metrics=[cr.metrics.accuracy])
    average = ExponentialMovingAverage(0.9)
    training: Training = trainer  # a trainer satisfies this protocol
    average.on_fit_start(training)
    history = trainer.fit(
        x, y, validation_data=(x, y), callbacks=[StopAt(), EarlyStopping("val_loss"), average]
    )
    assert_type(history, cr.History)
    assert_type(history["loss"], list[float])
    assert_type(trainer.evaluate(x, y), dict[str, float])
    trainer.save(path)
    assert_type(QuietTrainer.resume(path, loss=loss, optimizer=cr.Adam()), QuietTrainer)
    assert_type(cr.Trainer.resume(path, loss=loss, optimizer=cr.Adam()), cr.Trainer)


def loops(model: cr.Sequential) -> None:
    batches = cr.minibatches(x, y, batch_size=4, backend=model.backend)
    assert_type(len(batches), int)
    assert_type(model.backend, cr.Backend)
    loss, optimizer = cr.MSELoss(), cr.SGD(0.1, momentum=0.9).bind(model)
    for inputs, targets in batches:
        outputs, back_through_model = model.forward(inputs, training=True)
        _, back_through_loss = loss(outputs, targets)
        back_through_model(back_through_loss())
        optimizer.step()


def parts_with_an_extra() -> None:
    """Mypy knows the types of modules that are imported only when first used."""
    assert_type(cr.estimators.MLPClassifier(), cr.estimators.MLPClassifier)
    assert_type(cr.plotting.plot_weights(x), list[Any])
