"""Compiled steps compute the same as steps in Python."""

import warnings

import numpy as np
import pytest
from table import LAYERS, LOSSES, OPTIMIZERS, input_of

import chainrule as cr
from chainrule.training.compiled import CompiledSteps

pytest.importorskip("llvmlite")

rng = np.random.default_rng(0)
X = rng.normal(size=(95, 6))
Y = rng.integers(0, 3, 95)
WEIGHT = rng.uniform(0.5, 2.0, 95)


@pytest.fixture(autouse=True)
def compiling(monkeypatch):
    """Compile even short training runs, and count the compiled steps."""
    completed, call = [], CompiledSteps.__call__

    def counted(self, i):
        rows = call(self, i)
        completed.extend([self._run is not None] * len(rows))
        return rows

    monkeypatch.setattr("chainrule.training.compiled.STEPS_THAT_PAY", 1)
    monkeypatch.setattr(CompiledSteps, "__call__", counted)
    return completed


def classifier(compile, loss=None, optimizer=None, dropout=0.3):
    layers = [cr.Linear(6, 8, bias=False), cr.BatchNorm(8), cr.ReLU(), cr.Dropout(dropout)]
    layers += [cr.Linear(8, 8, bias=False), cr.LayerNorm(8), cr.Dropout(0.5 * dropout), cr.Linear(8, 3)]
    model = cr.Sequential(*layers, dtype="float64", seed=3)
    optimizer = optimizer or cr.Adam(lr=cr.schedules.cosine(1e-2, steps=30))
    loss = loss or cr.CrossEntropyLoss()
    return cr.Trainer(model, loss=loss, optimizer=optimizer, compile=compile)


def both(make, *data, **options):
    """Train one trainer with steps in Python and another with compiled steps."""
    options = {"epochs": 3, "batch_size": 20, "verbose": 0, **options}
    trainers = [make(compile) for compile in ("off", "auto")]
    for trainer in trainers:
        trainer.fit(*(data or (X, Y)), **options)
    return trainers


def assert_same(trainers, rtol=1e-12):
    one, other = trainers
    for vector in ("values", "buffers", "grads"):
        a, b = (getattr(trainer.model.state, vector) for trainer in trainers)
        np.testing.assert_allclose(a, b, rtol, atol=rtol)
    for a, b in zip(one.optimizer._vectors.values(), other.optimizer._vectors.values()):
        np.testing.assert_allclose(a, b, rtol, atol=rtol)
    np.testing.assert_allclose(one.history.step_losses, other.history.step_losses, rtol, atol=rtol)
    for row, other_row in zip(one.history.epochs, other.history.epochs):
        assert row.keys() == other_row.keys()
        for name in row.keys() - {"seconds"}:
            np.testing.assert_allclose(row[name], other_row[name], rtol, atol=rtol)
    assert one.optimizer.counts == other.optimizer.counts
    assert one.model.state.draws == other.model.state.draws


@pytest.mark.parametrize("name", LAYERS)
def test_layers(name, compiling):
    make, shape = LAYERS[name]
    first = make()
    x = np.concatenate([input_of(first, shape, seed) for seed in range(6)])
    y = rng.normal(size=(len(x), *first.forward(first.bind().state.backend.asarray(
        x, dtype=None if first.takes_integers else "float32"))[0].shape[1:]))

    def trainer(compile):
        model = cr.Sequential(make(), dtype="float64")
        if not model.parameters():
            model = cr.Sequential(cr.PReLU(), make(), dtype="float64")
        return cr.Trainer(
            model, loss=cr.MSELoss(), optimizer=cr.SGD(0.05, momentum=0.5), compile=compile
        )

    assert_same(both(trainer, x, y, batch_size=shape[0], epochs=2))
    assert compiling
    assert all(compiling)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("name", LOSSES)
def test_losses(name, weighted, reduction, compiling):
    make, targets, last = LOSSES[name]
    x = rng.normal(size=(16, 5))
    y = np.concatenate([targets] * 4)

    def trainer(compile):
        model = cr.Sequential(cr.Linear(5, 3), last(), dtype="float64")
        loss = make(reduction=reduction)
        return cr.Trainer(model, loss=loss, optimizer=cr.SGD(0.05), compile=compile)

    weight = rng.uniform(0.0, 2.0, 16) if weighted else None
    assert_same(both(trainer, x, y, batch_size=8, sample_weight=weight))
    assert compiling
    assert all(compiling)


OPTIONS = {
    "nothing": {},
    "penalties": {"l1": 1e-3, "weight_decay": 1e-2},
    "biases": {"weight_decay": 1e-2, "decay_biases": True},
    "clipped": {"clip_norm": 0.1},
    "rates": {"lr": {"0": 0.01, "": cr.schedules.cosine(1e-2, steps=12)}},
}


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizers(name, options, compiling):
    def make(compile):
        optimizer = OPTIMIZERS[name]()
        for option, value in OPTIONS[options].items():
            setattr(optimizer, option, value)
        return classifier(compile, optimizer=optimizer)

    assert_same(both(make))
    assert compiling
    assert all(compiling)


@pytest.mark.parametrize(
    "options",
    [
        {"drop_last": True},
        {"shuffle": False},
        {"batch_size": 95},
        {"batch_size": 19},
        {"micro_batches": 3},
        {"sample_weight": WEIGHT},
        {"validation_data": (X, Y)},
        {"verbose": 1},
    ],
    ids=lambda options: str(next(iter(options.items())))[:20],
)
def test_options(options, compiling):
    assert_same(both(classifier, **options))
    assert compiling
    assert all(compiling)


@pytest.mark.parametrize("dtype", ["float16", "float32", "int32", "uint8", "bool"])
def test_inputs_of_other_dtypes(dtype):
    assert_same(both(classifier, (10 * X).astype(dtype), Y))
