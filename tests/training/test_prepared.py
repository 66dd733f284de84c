"""Steps with their numbers on the device: the same training as by steps one by one."""

import gc
import weakref

import numpy as np
import pytest
from helpers import as_if_on_a_device

import chainrule as cr
from chainrule.parameter import HostInputs

rng = np.random.default_rng(0)
X = rng.normal(size=(95, 6))
Y = rng.integers(0, 3, 95)
WEIGHT = rng.uniform(0.5, 2.0, 95)


@pytest.fixture
def repeating(library, monkeypatch):
    """A library whose backend says that it can repeat steps, as one for a GPU does."""
    monkeypatch.setattr(type(library.backend), "repeats", True)
    return library


def trainer_on(library, compile="auto", loss=None, optimizer=None, dropout=0.3):
    layers = [cr.Linear(6, 8), cr.BatchNorm(8), cr.ReLU(), cr.Dropout(dropout)]
    layers += [cr.Linear(8, 8), cr.LayerNorm(8), cr.Dropout(0.5 * dropout), cr.Linear(8, 3)]
    model = cr.Sequential(*layers, backend=library.backend, dtype="float64", seed=3)
    return cr.Trainer(
        model,
        loss=loss or cr.CrossEntropyLoss(),
        optimizer=optimizer or cr.Adam(lr=cr.schedules.cosine(1e-2, steps=30)),
        compile=compile,
    )


class Recorder(cr.Callback):
    """The step, the last loss and the draws, after each step."""

    def __init__(self):
        self.seen = []

    def on_step_end(self, trainer):
        loss = float(trainer.progress.losses[-1])
        self.seen.append((trainer.optimizer.steps, trainer.model.state.draws, loss))


def both(library, make=trainer_on, data=(X, Y), **options):
    """Trained step by step and repeated."""
    options = {"epochs": 3, "batch_size": 20, "verbose": 0, **options}
    trainers = [make(library, compile) for compile in ("off", "auto")]
    for trainer in trainers:
        trainer.seen = Recorder()
        trainer.fit(*data, **options, callbacks=[trainer.seen])
    return trainers


def assert_same(trainers, library):
    one, other = trainers
    # On CuPy a captured step multiplies by other calls of cuBLAS.
    rtol, atol = (1e-9, 1e-12) if library.name == "cupy" else (0.0, 0.0)
    np.testing.assert_allclose(one.seen.seen, other.seen.seen, rtol, atol)
    for vector in ("values", "buffers"):
        ours, theirs = (library.to_numpy(getattr(t.model.state, vector)) for t in trainers)
        np.testing.assert_allclose(ours, theirs, rtol, atol)
    np.testing.assert_allclose(one.history.step_losses, other.history.step_losses, rtol, atol)
    assert one.optimizer.steps == other.optimizer.steps
    assert one.model.state.draws == other.model.state.draws
    assert isinstance(other.model.state.inputs, HostInputs)


OPTIMIZERS = {
    "Adam with a schedule": lambda: cr.Adam(lr=cr.schedules.cosine(1e-2, steps=12)),
    "AdamW": lambda: cr.AdamW(lr=cr.schedules.cosine(1e-2, steps=9), l1=1e-3, clip_norm=0.5),
    "SGD": lambda: cr.SGD(lr=0.1, momentum=0.9, nesterov=True, weight_decay=1e-2),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_same_training(name, repeating):
    def make(library, compile):
        return trainer_on(library, compile, optimizer=OPTIMIZERS[name]())

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
def test_the_same_with(options, repeating):
    assert_same(both(repeating, **options), repeating)


def test_the_same_without_random_masks_and_with_weights_of_classes(repeating):
    def make(library, compile):
        loss = cr.CrossEntropyLoss(weight=[1.0, 2.0, 0.5])
        return trainer_on(library, compile, loss=loss, dropout=0.0)

    assert_same(both(repeating, make), repeating)


def test_what_a_callback_changes_counts_from_the_next_step_on(repeating, monkeypatch):
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
        trainer = trainer_on(repeating, how, optimizer=cr.Adam(lr=1e-2))
        trainer.seen = Recorder()
        callbacks = [Halves(), trainer.seen]
        trainer.fit(X, Y, epochs=3, batch_size=20, verbose=0, callbacks=callbacks)
        trainers.append(trainer)
    assert_same(trainers, repeating)
    assert len(made) == 1  # a rate is a number, not an operation


def test_what_changes_between_epochs_is_seen(repeating):
    """A repeated step is that of the model, the loss and the optimizer as they are."""

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
        trainer = trainer_on(repeating, how, optimizer=cr.Adam(lr=1e-2))
        trainer.seen = Recorder()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(type(repeating.backend), "compile", once)
            options = {"epochs": 4, "batch_size": 20, "verbose": 0}
            trainer.fit(X, Y, **options, callbacks=[Changes(), trainer.seen])
        trainers.append(trainer)
    assert_same(trainers, repeating)
    assert len(kept) == 2


@pytest.mark.parametrize("micro_batches", [1, 3])
def test_it_goes_on_at_the_last_smaller_batch(micro_batches, repeating):
    """Which draws other numbers of masks than a full one, where it has fewer parts."""
    data = X[:61], Y[:61]  # three batches of 20, and one sample

    def make(library, compile):
        model = cr.Sequential(
            cr.Linear(6, 8), cr.Dropout(0.3), cr.Linear(8, 3), backend=library.backend, seed=3,
            dtype="float64",
        )  # fmt: skip
        return cr.Trainer(
            model, loss=cr.CrossEntropyLoss(), optimizer=cr.Adam(lr=1e-2), compile=compile
        )

    class Stops(cr.Callback):
        def on_step_end(self, trainer):
            if trainer.optimizer.steps == 3:
                raise KeyboardInterrupt

    options = {"epochs": 3, "batch_size": 20, "micro_batches": micro_batches, "verbose": 0}
    whole, _ = both(repeating, make, data, micro_batches=micro_batches)
    broken = make(repeating, "auto")
    broken.seen = Recorder()
    with pytest.raises(KeyboardInterrupt):
        broken.fit(*data, **options, callbacks=[broken.seen, Stops()])
    broken.fit(*data, **options, callbacks=[broken.seen], resume=True)
    assert_same([whole, broken], repeating)


@pytest.mark.parametrize("at", [1, 2, 3, 5, 7])
@pytest.mark.parametrize("kind", [KeyboardInterrupt, cr.BackendError])
def test_a_step_that_is_broken_off_leaves_all_as_it_was(kind, at, repeating):
    """In the middle of it, when running statistics and the count of masks have moved already."""

    class Breaks(cr.Layer):
        def __init__(self):
            self.left = None

        def forward(self, x, *, training=False):
            if training and self.left is not None:
                self.left -= 1
                if not self.left:
                    self.left = None
                    raise kind("broken off")
            return x, lambda dy: dy

    whole, _ = both(repeating)
    trainer = trainer_on(repeating)
    layers = [layer.copy() for layer in trainer.model]
    breaks = Breaks()
    layers.insert(5, breaks)
    model = cr.Sequential(*layers, backend=repeating.backend, dtype="float64", seed=3)
    trainer = cr.Trainer(
        model,
        loss=cr.CrossEntropyLoss(),
        optimizer=cr.Adam(lr=cr.schedules.cosine(1e-2, steps=30)),
        compile="auto",
    )
    trainer.seen = Recorder()
    breaks.left = at
    options = {"epochs": 3, "batch_size": 20, "callbacks": [trainer.seen], "verbose": 0}
    if kind is cr.BackendError and at % 5:  # (a batch of less than full size is not repeated)
        with pytest.warns(RuntimeWarning, match="launched by itself, for broken off"):
            trainer.fit(X, Y, **options)
    else:
        with pytest.raises(kind):
            trainer.fit(X, Y, **options)
        trainer.fit(X, Y, **options, resume=True)
    assert_same([whole, trainer], repeating)


def test_what_a_step_holds_goes_at_the_end_of_fit(repeating, monkeypatch):
    kept = []

    def compile(self, step):
        def repeated():
            step()

        kept.append(weakref.ref(repeated))
        return repeated

    monkeypatch.setattr(type(repeating.backend), "compile", compile)
    trainer = trainer_on(repeating)
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
        trainer = trainer_on(repeating, compile, optimizer=cr.Adam(lr=1e-2))
        trainer.seen = Recorder()
        options = {"epochs": 3, "batch_size": 20, "verbose": 0}
        trainer.fit(X, Y, **options, callbacks=[Falls(), trainer.seen])
        trainers.append(trainer)
    assert_same(trainers, repeating)


def test_it_goes_on_in_the_middle_of_an_epoch(repeating):
    class Stops(cr.Callback):
        def on_step_end(self, trainer):
            if trainer.optimizer.steps == 8:
                raise KeyboardInterrupt

    whole, _ = both(repeating)
    broken = trainer_on(repeating)
    broken.seen = Recorder()
    options = {"epochs": 3, "batch_size": 20, "verbose": 0}
    with pytest.raises(KeyboardInterrupt):
        broken.fit(X, Y, **options, callbacks=[broken.seen, Stops()])
    broken.fit(X, Y, **options, callbacks=[broken.seen], resume=True)
    assert_same([whole, broken], repeating)


@pytest.mark.filterwarnings("ignore:overflow encountered", "ignore:invalid value encountered")
def test_divergence_is_told_at_the_step_where_it_was(repeating, monkeypatch):
    as_if_on_a_device(monkeypatch)
    messages = []
    for compile in ("off", "auto"):
        trainer = trainer_on(repeating, compile)
        trainer.fit(X, Y, batch_size=20, verbose=0)
        x = X.copy()
        x[50] = 1e308
        with pytest.raises(cr.DivergenceError, match="of epoch 2") as error:
            trainer.fit(x, Y, batch_size=20, verbose=0)
        messages.append(str(error.value))
    assert messages[0] == messages[1]


def test_what_cannot_be_repeated_is_told_once_and_done_all_the_same(repeating, monkeypatch):
    refused = []

    def compile(self, step):
        def refusing():
            refused.append(True)
            raise cr.BackendError("no graph of this")

        return refusing

    monkeypatch.setattr(type(repeating.backend), "compile", compile)
    with pytest.warns(RuntimeWarning, match="no graph of this") as caught:
        trainers = both(repeating)
    assert len(caught) == len(refused) == 1
    assert_same(trainers, repeating)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ({"x": [(X[:20], Y[:20])]}, "ready-made batches"),
        ({"x": X, "y": Y, "augment": lambda x, rng: x}, "augmentation is drawn on the host"),
    ],
    ids=["stream", "augment"],
)
def test_what_comes_from_the_host_is_told(data, reason, repeating):
    trainer = trainer_on(repeating)
    with pytest.warns(RuntimeWarning, match=f"each step is launched by itself, for {reason}"):
        trainer.fit(**data, verbose=0)
    assert trainer.optimizer.steps == 1


def test_without_a_gpu_there_is_nothing_to_repeat(library, recwarn):
    if library.backend.repeats:
        pytest.skip("this library repeats steps")
    trainers = both(library)
    assert_same(trainers, library)
    assert not recwarn.list


def test_compile_is_checked():
    model = cr.Sequential(cr.Linear(2, 1))
    with pytest.raises(ValueError, match="'off' or 'auto', found True"):
        cr.Trainer(model, loss=cr.MSELoss(), optimizer=cr.SGD(lr=0.1), compile=True)
