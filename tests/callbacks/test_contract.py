"""Every callback can resume, save its state, be used again and be copied."""

import copy
import json
import pickle

import numpy as np
import pytest
from helpers import FIT, X, Y, names, points, resumed, rows, trainer_on, vectors

import chainrule as cr
from chainrule import callbacks
from chainrule.callbacks import (
    Checkpoint,
    CSVLogger,
    EarlyStopping,
    ExponentialMovingAverage,
    GradientNorms,
    LambdaCallback,
    ReduceOnPlateau,
    TensorBoard,
)


def without_seconds(table):
    return [{k: v for k, v in row.items() if k != "seconds"} for row in table]


def curves(folder):
    return {name: curve for name, curve in points(folder).items() if name != "seconds"}


# Each row: a function that creates a callback, and a function that reads its results. Each callback
# has its own `folder`.
CONTRACT = {
    cr.Callback: (lambda folder: cr.Callback(), lambda callback, folder, library: None),
    Checkpoint: (
        lambda folder: Checkpoint(folder, every_steps=3, keep_last=2, monitor="val_loss"),
        lambda callback, folder, library: {
            name: vectors(resumed(folder / name, library), library) for name in names(folder)
        },
    ),
    CSVLogger: (
        lambda folder: CSVLogger(folder / "log.csv"),
        lambda callback, folder, library: without_seconds(rows(folder / "log.csv")),
    ),
    EarlyStopping: (
        lambda folder: EarlyStopping("val_loss", patience=5, min_delta=9.0),
        lambda callback, folder, library: (callback.best, callback.best_epoch, callback.wait),
    ),
    ExponentialMovingAverage: (
        lambda folder: ExponentialMovingAverage(0.9),
        lambda callback, folder, library: library.to_numpy(callback.average),
    ),
    GradientNorms: (
        lambda folder: GradientNorms(),
        lambda callback, folder, library: callback.norms,
    ),
    LambdaCallback: (
        lambda folder: LambdaCallback(on_epoch_end=lambda trainer: None),
        lambda callback, folder, library: None,
    ),
    callbacks.PrintEpochs: (
        lambda folder: callbacks.PrintEpochs(),
        lambda callback, folder, library: None,
    ),
    callbacks.ProgressBar: (
        lambda folder: callbacks.ProgressBar(),
        lambda callback, folder, library: None,
    ),
    ReduceOnPlateau: (
        lambda folder: ReduceOnPlateau("val_loss", patience=1, min_delta=9.0, cooldown=2),
        lambda callback, folder, library: (callback.best, callback.state()),
    ),
    TensorBoard: (
        lambda folder: TensorBoard(folder, step_losses=True),
        lambda callback, folder, library: curves(folder),
    ),
}

EXPORTED = [
    thing
    for name in callbacks.__all__
    if isinstance(thing := getattr(callbacks, name), type) and issubclass(thing, cr.Callback)
]


def test_the_contract_covers_every_callback():
    assert set(CONTRACT) == set(EXPORTED)


class Saves(cr.Callback):
    """Save after step `at`, and raise an error after step `until` to simulate a kill."""

    last = True

    def __init__(self, path, *, at, until):
        self.path, self.at, self.until = path, at, until

    def on_step_end(self, trainer):
        if trainer.optimizer.steps == self.at:
            trainer.save(self.path)
        if trainer.optimizer.steps == self.until:
            raise ValueError("killed")

    def on_epoch_end(self, trainer):
        if trainer.optimizer.steps == self.at:  # save again after the epoch
            trainer.save(self.path)


@pytest.mark.parametrize(
    "at",
    [
        10,  # a step within an epoch
        pytest.param(16, marks=pytest.mark.not_on("strict")),  # the last step of an epoch
    ],
)
@pytest.mark.parametrize("kind", CONTRACT, ids=lambda kind: kind.__name__)
def test_a_pause_changes_nothing(kind, at, library, tmp_path):
    """Resuming from a file with new objects gives the results of an uninterrupted run."""
    if kind is TensorBoard:
        pytest.importorskip("tensorboardX")
    make, outcome = CONTRACT[kind]
    whole, paused = tmp_path / "whole", tmp_path / "paused"
    for folder in (whole, paused):
        folder.mkdir()
    path = tmp_path / "at.safetensors"
    # Checkpoint needs a folder without files of later epochs. Other callbacks must accept results
    # of later epochs in their files.
    later = 0 if kind is Checkpoint else 5

    trainer, callback = trainer_on(library), make(whole)
    listeners = [callback, Saves(path, at=None, until=None)]
    trainer.fit(X, Y, epochs=7, callbacks=listeners, **FIT)

    killed = trainer_on(library)
    listeners = [make(paused), Saves(path, at=at, until=at + later)]
    with pytest.raises(ValueError, match="killed"):
        killed.fit(X, Y, epochs=7, callbacks=listeners, **FIT)
    again, other = resumed(path, library), make(paused)
    listeners = [other, Saves(path, at=None, until=None)]
    again.fit(X, Y, epochs=7, callbacks=listeners, resume=True, **FIT)

    assert again.history.step_losses == trainer.history.step_losses
    assert without_seconds(again.history.epochs) == without_seconds(trainer.history.epochs)
    for found, expected in zip(vectors(again, library), vectors(trainer, library), strict=True):
        np.testing.assert_array_equal(found, expected)
    assert again.optimizer.lr == trainer.optimizer.lr
    np.testing.assert_equal(outcome(other, paused, library), outcome(callback, whole, library))


@pytest.mark.parametrize("kind", CONTRACT, ids=lambda kind: kind.__name__)
def test_a_state_holds_json_values_and_arrays(kind, library, tmp_path):
    if kind is TensorBoard:
        pytest.importorskip("tensorboardX")
    make = CONTRACT[kind][0]
    callback, found = make(tmp_path), []

    def take(trainer):
        state = callback.state()
        found.append((state, copy.deepcopy(on_host(state, library))))

    listeners = [callback, LambdaCallback(on_step_end=take, on_fit_end=take)]
    take(None)
    trainer_on(library).fit(X, Y, epochs=2, callbacks=listeners, **FIT)
    take(None)
    array_types = np.ndarray, library.backend.array_type
    for state, then in found:
        np.testing.assert_equal(on_host(state, library), then)  # the state has not changed since
        values = {k: v for k, v in state.items() if not isinstance(v, array_types)}
        arrays = {k: v for k, v in on_host(state, library).items() if k not in values}
        twin = make(tmp_path)
        twin.load_state({**json.loads(json.dumps(values, allow_nan=False)), **arrays})
        np.testing.assert_equal(on_host(twin.state(), library), then)


def on_host(state, library):
    array = library.backend.array_type
    return {k: library.to_numpy(v) if isinstance(v, array) else v for k, v in state.items()}


# GradientNorms adds to its earlier results.
AFRESH = [kind for kind in CONTRACT if kind is not GradientNorms]


@pytest.mark.parametrize("kind", AFRESH, ids=lambda kind: kind.__name__)
def test_a_callback_used_again_starts_afresh(kind, library, tmp_path):
    """In a second call of fit, a callback gives the same results as a new callback."""
    if kind is TensorBoard:
        pytest.importorskip("tensorboardX")
    make, outcome = CONTRACT[kind]
    found = []
    for fresh in (False, True):
        folder = tmp_path / str(fresh)
        folder.mkdir()
        trainer, callback = trainer_on(library), make(folder)
        trainer.fit(X, Y, epochs=3, callbacks=[callback], **FIT)
        callback = make(folder) if fresh and kind is not Checkpoint else callback
        trainer.fit(X, Y, epochs=3, callbacks=[callback], **FIT)
        found.append(outcome(callback, folder, library))
    np.testing.assert_equal(*found)


@pytest.mark.parametrize("kind", CONTRACT, ids=lambda kind: kind.__name__)
def test_copies(kind, library, tmp_path):
    """Callbacks can be copied after training, both alone and together with the trainer."""
    if kind is TensorBoard:
        pytest.importorskip("tensorboardX")
    callback, trainer = CONTRACT[kind][0](tmp_path), trainer_on(library)
    trainer.fit(X, Y, epochs=2, callbacks=[callback], **FIT)
    twins = [copy.deepcopy(trainer).listeners[0]]
    if kind is not LambdaCallback:  # a lambda cannot be pickled
        twins.append(pickle.loads(pickle.dumps(callback)))
    for twin in twins:
        assert type(twin) is kind
        np.testing.assert_equal(on_host(twin.state(), library), on_host(callback.state(), library))


def test_nothing_is_read_from_the_device_at_a_step(monkeypatch, tmp_path):
    pytest.importorskip("tensorboardX")
    import array_api_strict

    array, read = array_api_strict._array_object.Array, []
    library = type("Library", (), {"backend": cr.get_backend(array_api_strict)})
    listeners = [
        make(tmp_path / kind.__name__) for kind, (make, _) in CONTRACT.items()
        if kind is not Checkpoint
    ]  # fmt: skip
    listeners.append(Checkpoint(tmp_path / "checkpoints"))
    listening = []
    for listener in listeners:
        original = listener.on_step_end

        def watched(trainer, original=original):
            listening.append(True)
            original(trainer)
            listening.pop()

        listener.on_step_end = watched
    for name in ("__float__", "__int__", "__bool__", "__index__", "__array__", "__dlpack__"):
        method = getattr(array, name)

        def reads(*args, method=method, name=name, **options):
            if listening:
                read.append(name)
            return method(*args, **options)

        monkeypatch.setattr(array, name, reads)
    trainer_on(library).fit(X, Y, epochs=2, callbacks=listeners, **FIT)
    assert read == []
