"""Train networks for images: uint8 inputs, augmentation, files, summaries, exact resume."""

import numpy as np
import pytest

import chainrule as cr

rng = np.random.default_rng(0)
X = rng.integers(0, 100, (60, 1, 28, 28)).astype("uint8")
Y = rng.integers(0, 2, 60)
X[Y == 1, :, 8:20, 8:20] += 100  # a bright square in half of the images


def network(library, **options):
    """Return a small network with a row for each kind of layer for images."""
    return cr.Sequential(
        cr.Rescaling(1 / 100, -0.5), cr.Conv2d(1, 4, (5, 4), stride=(2, 2)), cr.BatchNorm(4),
        cr.ReLU(), cr.MaxPool2d((2, 2), ceil_mode=True), cr.Dropout2d(0.1),
        cr.ZeroPad2d((1, 1, 0, 0)), cr.Conv2d(4, 6, 3, padding="same", groups=2), cr.Tanh(),
        cr.AvgPool2d(2), cr.ConvTranspose2d(6, 4, 2, stride=2), cr.AdaptiveAvgPool2d((2, 1)),
        cr.Flatten(), cr.Unflatten(1, (4, 2)), cr.Conv1d(4, 4, 2), cr.Flatten(), cr.Linear(4, 2),
        backend=library.backend, seed=1, **options,
    )  # fmt: skip


def trainer_of(model):
    return cr.Trainer(model, loss=cr.CrossEntropyLoss(), optimizer=cr.Adam(0.01))


FIT = {"batch_size": 16, "verbose": 0, "augment": cr.augmentation.RandomShift(2)}


def test_training_on_uint8_images(library):
    trainer = trainer_of(network(library))
    history = trainer.fit(X, Y, epochs=6, **FIT)
    assert history["loss"][-1] < 0.7 * history["loss"][0]
    assert trainer.evaluate(X, Y)["accuracy"] > 0.9
    assert trainer.model.predict(X).shape == (60, 2)


@pytest.mark.parametrize("step", [2, 6])
def test_exact_resume(step, library, tmp_path):
    path = tmp_path / "training.safetensors"
    whole, stopped = trainer_of(network(library)), trainer_of(network(library))
    whole.fit(X, Y, epochs=3, **FIT)

    def stop(trainer):
        if trainer.optimizer.steps == step:
            raise KeyboardInterrupt

    stops = cr.callbacks.LambdaCallback(on_step_end=stop)
    with pytest.raises(KeyboardInterrupt):
        stopped.fit(X, Y, epochs=3, callbacks=[stops], **FIT)
    stopped.listeners.clear()
    stopped.save(path)
    again = cr.Trainer.resume(
        path, loss=cr.CrossEntropyLoss(), optimizer=cr.Adam(0.01), backend=library.backend
    )
    again.fit(X, Y, epochs=3, resume=True, **FIT)
    for vector in ("values", "buffers"):
        ours, theirs = (library.to_numpy(getattr(t.model.state, vector)) for t in (again, whole))
        np.testing.assert_array_equal(ours, theirs)
    assert again.history.step_losses == whole.history.step_losses


def test_a_file_keeps_tuples(library, tmp_path):
    model = network(library)
    model.save(tmp_path / "model.safetensors")
    loaded = cr.load(tmp_path / "model.safetensors", backend=library.backend)
    assert repr(loaded) == repr(model)
    assert "Conv2d(1, 4, (5, 4), (2, 2))" in repr(loaded)
    np.testing.assert_array_equal(loaded.predict(X), model.predict(X))
    loaded.save(tmp_path / "again.safetensors")
    assert repr(cr.load(tmp_path / "again.safetensors")) == repr(model)


def test_a_list_in_a_file_stays_a_list(tmp_path):
    model = cr.Sequential(cr.Conv2d(1, 2, [3, 2], padding=[1, 0]), cr.Unflatten(2, [2, -1]))
    model.save(tmp_path / "model.safetensors")
    assert repr(cr.load(tmp_path / "model.safetensors")) == repr(model)


def test_summary():
    model = cr.Sequential(
        cr.Unflatten(1, (1, 28)), cr.Conv2d(1, 6, 5, padding="same"), cr.ReLU(), cr.AvgPool2d(2),
        cr.Conv2d(6, 16, 5), cr.ReLU(), cr.AvgPool2d(2), cr.Flatten(), cr.Linear(400, 10),
    )  # fmt: skip
    _, *rows, total = model.summary((28, 28)).splitlines()
    assert [row.split("  (batch, ")[1].split() for row in rows] == [
        ["1,", "28,", "28)", "0"], ["6,", "28,", "28)", "156"], ["6,", "28,", "28)", "0"],
        ["6,", "14,", "14)", "0"], ["16,", "10,", "10)", "2,416"], ["16,", "10,", "10)", "0"],
        ["16,", "5,", "5)", "0"], ["400)", "0"], ["10)", "4,010"],
    ]  # fmt: skip
    assert total == "total 6,582 parameters, 6,582 trainable"
    with pytest.raises(ValueError, match="summary needs input_shape=, the shape of one sample"):
        model.summary()
