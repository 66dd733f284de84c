"""The same seed gives the same loss curve on every library, even with dropout."""

import numpy as np
import pytest

import chainrule as cr


def curve(backend, dtype, steps=100):
    rng = np.random.default_rng(0)
    x, y = rng.random((1280, 784)), rng.integers(0, 10, 1280)
    model = cr.Sequential(
        cr.Linear(784, 128), cr.ReLU(), cr.Dropout(0.2), cr.Linear(128, 10),
        backend=backend, dtype=dtype, seed=5,
    )  # fmt: skip
    trainer = cr.Trainer(model, loss=cr.CrossEntropyLoss(), optimizer=cr.Adam(1e-3))
    history = trainer.fit(x, y, epochs=steps // 10, batch_size=128, verbose=0)
    return np.asarray(history.step_losses)


@pytest.mark.not_on("numpy-readonly")  # trainers get NumPy's arrays
@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-10), ("float32", 1e-4)])
def test_loss_curves_agree(dtype, tolerance, library):
    expected = curve("numpy", dtype)
    found = curve(library.backend, dtype)
    assert len(found) == 100
    np.testing.assert_allclose(found, expected, rtol=tolerance)
    assert found[-10:].mean() < found[:10].mean()


@pytest.mark.not_on("numpy-readonly")
def test_the_visible_loop_and_the_trainer_do_the_same(library):
    def model():
        layers = cr.Linear(20, 16), cr.ReLU(), cr.Dropout(0.5), cr.Linear(16, 3)
        return cr.Sequential(*layers, backend=library.backend, seed=4)

    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(100, 20)), rng.integers(0, 3, 100)
    trainer = cr.Trainer(model(), loss=cr.CrossEntropyLoss(), optimizer=cr.Adam(1e-2))
    history = trainer.fit(x, y, epochs=3, batch_size=32, verbose=0)

    net = model()
    loss, optimizer = cr.CrossEntropyLoss(), cr.Adam(1e-2).bind(net)
    batches = cr.minibatches(x, y, batch_size=32, seed=4, backend=net.backend, dtype="float32")
    values = []
    for _ in range(3):
        for inputs, labels in batches:
            logits, back_through_model = net.forward(inputs, training=True)
            value, back_through_loss = loss(logits, labels)
            back_through_model(back_through_loss())
            optimizer.step()
            values.append(float(value))
    assert values == history.step_losses
