"""Train the same model twice: step by step, and with repeated steps."""

import numpy as np

import chainrule as cr
from chainrule.model_state import HostInputs

rng = np.random.default_rng(0)
X = rng.normal(size=(95, 6))
Y = rng.integers(0, 3, 95)
WEIGHT = rng.uniform(0.5, 2.0, 95)


def repeating_trainer(library, compile="auto", loss=None, optimizer=None, dropout=0.3):
    layers = [cr.Linear(6, 8), cr.BatchNorm(8), cr.ReLU(), cr.Dropout(dropout)]
    layers += [cr.Linear(8, 8), cr.LayerNorm(8), cr.Dropout(0.5 * dropout), cr.Linear(8, 3)]
    model = cr.Sequential(*layers, backend=library.backend, dtype="float64", seed=3)
    return cr.Trainer(
        model,
        loss=loss or cr.CrossEntropyLoss(),
        optimizer=optimizer or cr.Adam(lr=cr.schedules.cosine(1e-2, steps=30)),
        compile=compile,
    )


class StepRecorder(cr.Callback):
    """Record the step, the number of draws and the last loss after each step."""

    def __init__(self):
        self.seen = []

    def on_step_end(self, trainer):
        loss = float(trainer.progress.rows[-1][0])
        self.seen.append((trainer.optimizer.steps, trainer.model.state.draws, loss))


def both(library, make=repeating_trainer, data=(X, Y), **options):
    """Train one trainer step by step and another with repeated steps, and return both trainers."""
    options = {"epochs": 3, "batch_size": 20, "verbose": 0, **options}
    trainers = [make(library, compile) for compile in ("off", "auto")]
    for trainer in trainers:
        trainer.seen = StepRecorder()
        trainer.fit(*data, **options, callbacks=[trainer.seen])
    return trainers


def assert_same(trainers, library):
    one, other = trainers
    # On CuPy, captured steps use different cuBLAS functions, so matrix products are rounded
    # differently.
    rtol, atol = (1e-9, 1e-12) if library.name == "cupy" else (0.0, 0.0)
    np.testing.assert_allclose(one.seen.seen, other.seen.seen, rtol, atol)
    for vector in ("values", "buffers"):
        ours, theirs = (library.to_numpy(getattr(t.model.state, vector)) for t in trainers)
        np.testing.assert_allclose(ours, theirs, rtol, atol)
    np.testing.assert_allclose(one.history.step_losses, other.history.step_losses, rtol, atol)
    assert one.optimizer.steps == other.optimizer.steps
    assert one.model.state.draws == other.model.state.draws
    assert isinstance(other.model.state.inputs, HostInputs)
