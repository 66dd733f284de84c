"""Repeated steps give the same results as steps launched one by one."""

import gc
import weakref

import numpy as np
import pytest
from repeated import WEIGHT, StepRecorder, X, Y, assert_same, both, repeating_trainer

import chainrule as cr

OPTIMIZERS = {
    "Adam with a schedule": lambda: cr.Adam(lr=cr.schedules.cosine(1e-2, steps=12)),
    "AdamW": lambda: cr.AdamW(lr=cr.schedules.cosine(1e-2, steps=9), l1=1e-3, clip_norm=0.5),
    "SGD": lambda: cr.SGD(lr=0.1, momentum=0.9, nesterov=True, weight_decay=1e-2),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_same_training(name, repeating):
    def make(library, compile):
        return repeating_trainer(library, compile, optimizer=OPTIMIZERS[name]())

    assert_same(both(repeating, make), repeating)


@pytest.mark.parametrize(
    "options",
    [
        {"drop_last": True},
        {"shuffle": False},
        {"batch_size": 95},
        {"micro_batches": 3},
        {"sample_weight": WEIGHT},
        {"validation_data": (X, Y)},
    ],
    ids=lambda options: next(iter(options)),
)
def test_the_same_with_options(options, repeating):
    assert_same(both(repeating, **options), repeating)


def test_the_same_without_random_masks_and_with_weights_of_classes(repeating):
    def make(library, compile):
        loss = cr.CrossEntropyLoss(weight=[1.0, 2.0, 0.5])
        return repeating_trainer(library, compile, loss=loss, dropout=0.0)

    assert_same(both(repeating, make), repeating)


def test_the_same_on_sequences(repeating):
    def make(library, compile):
        layers = [cr.LSTM(3, 4, num_layers=2, dropout=0.3)]
        layers += [cr.GRU(4, 3, bidirectional=True, output="last"), cr.Linear(6, 3)]
        model = cr.Sequential(*layers, backend=library.backend, dtype="float64", seed=3)
        loss, optimizer = cr.CrossEntropyLoss(), cr.Adam()
        return cr.Trainer(model, loss=loss, optimizer=optimizer, compile=compile)

    rng = np.random.default_rng(1)
    x = rng.normal(size=(60, 12, 3)), rng.integers(1, 13, 60)
    assert_same(both(repeating, make, (x, Y[:60])), repeating)


def test_changes_by_a_callback_apply_from_the_next_step(repeating, monkeypatch):
    class Halves(cr.Callback):
        def on_step_end(self, trainer):
            if trainer.optimizer.steps in (3, 8):
                trainer.optimizer.lr /= 2

    made, compile = [], type(repeating.backend).compile
    monkeypatch.setattr(
        type(repeating.backend), "compile", lambda *a: made.append(a) or compile(*a)
    )
    trainers = []
    for how in ("off", "auto"):
        trainer = repeating_trainer(repeating, how, optimizer=cr.Adam(lr=1e-2))
        trainer.seen = StepRecorder()
        callbacks = [Halves(), trainer.seen]
        trainer.fit(X, Y, epochs=3, batch_size=20, verbose=0, callbacks=callbacks)
        trainers.append(trainer)
    assert_same(trainers, repeating)
    assert len(made) == 1  # a new rate needs no new recording


def test_changes_between_epochs_are_noticed(repeating):
    """Repeated steps take account of changes to the model and optimizer between epochs."""

    class Changes(cr.Callback):
        def on_epoch_end(self, trainer):
            if trainer.epoch == 2:
                trainer.model[0].freeze()
                trainer.model[3].p = 0.0
                trainer.optimizer.clip_norm = 0.1

    kept = []
    compile = type(repeating.backend).compile

    def once(self, step):
        kept.append(step)
        return compile(self, step)

    trainers = []
    for how in ("off", "auto"):
        trainer = repeating_trainer(repeating, how, optimizer=cr.Adam(lr=1e-2))
        trainer.seen = StepRecorder()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(type(repeating.backend), "compile", once)
            options = {"epochs": 4, "batch_size": 20, "verbose": 0}
            trainer.fit(X, Y, **options, callbacks=[Changes(), trainer.seen])
        trainers.append(trainer)
    assert_same(trainers, repeating)
    assert len(kept) == 2


def test_a_repeated_step_is_freed_at_the_end_of_fit(repeating, monkeypatch):
    kept = []

    def compile(self, step):
        def repeated():
            step()

        kept.append(weakref.ref(repeated))
        return repeated

    monkeypatch.setattr(type(repeating.backend), "compile", compile)
    trainer = repeating_trainer(repeating)
    gc.collect()
    gc.disable()
    try:
        trainer.fit(X, Y, batch_size=20, verbose=0)
        assert [reference() for reference in kept] == [None]
    finally:
        gc.enable()


def test_a_rate_that_changes_at_every_step(repeating):
    class Falls(cr.Callback):
        def on_step_end(self, trainer):
            trainer.optimizer.lr *= 0.9

    trainers = []
    for compile in ("off", "auto"):
        trainer = repeating_trainer(repeating, compile, optimizer=cr.Adam(lr=1e-2))
        trainer.seen = StepRecorder()
        options = {"epochs": 3, "batch_size": 20, "verbose": 0}
        trainer.fit(X, Y, **options, callbacks=[Falls(), trainer.seen])
        trainers.append(trainer)
    assert_same(trainers, repeating)


def test_compile_is_checked():
    model = cr.Sequential(cr.Linear(2, 1))
    with pytest.raises(ValueError, match="'auto'., found True"):
        cr.Trainer(model, loss=cr.MSELoss(), optimizer=cr.SGD(lr=0.1), compile=True)
