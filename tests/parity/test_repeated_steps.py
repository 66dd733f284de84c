"""Repeated steps, as on a GPU, are simulated with PyTorch by replaying the operations of a step.

A tape records each operation that PyTorch's dispatcher sees, with the tensors that the operation
reads and writes. The tape then replays the operations without running the Python code of the step.
A test therefore fails if a step needs a new number from Python or passes a number to Python.
"""

import contextlib

import numpy as np
import pytest
import torch
from helpers import as_if_on_a_device
from several import run_the_page
from torch.utils._python_dispatch import TorchDispatchMode

import chainrule as cr

rng = np.random.default_rng(0)
X = rng.normal(size=(95, 6))
Y = rng.integers(0, 3, 95)
WEIGHT = rng.uniform(0.5, 2.0, 95)


class Tape(TorchDispatchMode):
    """A context manager that records PyTorch's operations and can replay them."""

    def __init__(self):
        super().__init__()
        self.calls = []

    def __torch_dispatch__(self, function, types, arguments=(), options=None):
        result = function(*arguments, **(options or {}))
        name = function.overloadpacket.__name__
        if name == "_local_scalar_dense":
            raise AssertionError("a number is read on the host")
        if name == "lift_fresh" and result.ndim:  # 0-d tensors are constants of formulas
            raise AssertionError(f"{result.numel()} numbers come from the host")
        self.calls.append((function, arguments, options or {}, result))
        return result

    def play(self):
        for function, arguments, options, result in self.calls:
            if function.is_view:
                continue
            again = function(*arguments, **options)
            if function._schema.is_mutable:
                continue
            if isinstance(result, torch.Tensor):
                result.copy_(again)
            else:
                for old, new in zip(result, again, strict=True):
                    old.copy_(new)


@pytest.fixture
def played(monkeypatch):
    """Make PyTorch's backend repeat steps with a tape, and count the replayed steps."""
    count = []

    def compile(self, step):
        tape, done = Tape(), []

        def repeated():
            if tape.calls:
                count.append(len(tape.calls))
                tape.play()
                return
            with tape if done else contextlib.nullcontext():
                step()
            done.append(True)

        return repeated

    kind = type(cr.get_backend("torch"))
    monkeypatch.setattr(kind, "repeats", True)
    monkeypatch.setattr(kind, "compile", compile)
    as_if_on_a_device(monkeypatch)
    return count


def network(**options):
    yield cr.Linear(6, 8, **options)
    yield cr.ReLU()
    yield cr.Dropout(0.4)
    yield cr.Linear(8, 8, bias=False)
    yield cr.BatchNorm(8)
    yield cr.Tanh()
    yield cr.Dropout(0.2)
    yield cr.Linear(8, 3)


def activations():
    yield cr.Linear(6, 6)
    yield from (cr.LeakyReLU(), cr.PReLU(), cr.ReLU6(), cr.ELU(), cr.GELU(), cr.GELU("tanh"))
    yield from (cr.SiLU(), cr.Sigmoid(), cr.BatchNorm(6, affine=False))
    yield from (cr.Softplus(), cr.Softmax(), cr.LogSoftmax(), cr.LayerNorm(6), cr.Identity())
    yield cr.Linear(6, 3)


def images():
    """Yield each kind of layer for images. Each sample of six features becomes an image."""
    yield from (cr.Linear(6, 50), cr.Unflatten(1, (2, 5, 5)), cr.Conv2d(2, 4, 2, groups=2))
    yield from (cr.BatchNorm(4), cr.ReLU(), cr.Dropout2d(0.3), cr.MaxPool2d(2, stride=1))
    yield from (cr.ZeroPad2d((1, 0, 0, 1)), cr.Conv2d(4, 3, 3, padding="same"), cr.GroupNorm(3, 3))
    yield from (cr.AvgPool2d(2), cr.ConvTranspose2d(3, 2, 3, stride=2), cr.AdaptiveAvgPool2d(3))
    yield from (
        cr.Flatten(),
        cr.Unflatten(1, (2, 9)),
        cr.Conv1d(2, 4, 3, stride=2),
        cr.MaxPool1d(2),
    )
    yield from (cr.AvgPool1d(2), cr.Flatten(), cr.Linear(4, 3))


CASES = {
    "Adam": {},
    "AdamW": {
        "optimizer": lambda: cr.AdamW(
            lr=cr.schedules.cosine(1e-2, steps=12), l1=1e-3, clip_norm=0.5, decay_biases=True
        )
    },
    "SGD": {"optimizer": lambda: cr.SGD(lr=0.1, momentum=0.9, nesterov=True, weight_decay=1e-2)},
    "RMSprop": {"optimizer": lambda: cr.RMSprop(lr=cr.schedules.polynomial(1e-2, steps=12))},
    "Adagrad": {"optimizer": lambda: cr.Adagrad(lr=1e-2)},
    "max_norm": {"layers": lambda: network(max_norm=0.7)},
    "class weights": {"loss": lambda: cr.CrossEntropyLoss(weight=[1.0, 2.0, 0.5])},
    "label smoothing": {"loss": lambda: cr.CrossEntropyLoss(label_smoothing=0.1)},
    "sample weights": {"sample_weight": WEIGHT},
    "micro-batches": {"micro_batches": 3},
    "activations": {"layers": activations},
    "images": {"layers": images},
}


def train(compile, case, x=X, y=Y):
    case = {**CASES.get(case, {})} if isinstance(case, str) else dict(case)
    layers = case.pop("layers", network)()
    model = cr.Sequential(*layers, backend="torch", dtype="float64", seed=3)
    trainer = cr.Trainer(
        model,
        loss=case.pop("loss", cr.CrossEntropyLoss)(),
        optimizer=case.pop("optimizer", cr.Adam)(),
        compile=compile,
    )
    trainer.fit(x, y, epochs=3, batch_size=20, verbose=0, **case)
    return trainer


def assert_same(ours, expected):
    for vector in ("values", "buffers"):
        found, wanted = (getattr(t.model.state, vector) for t in (ours, expected))
        np.testing.assert_array_equal(found.numpy(), wanted.numpy())
    assert ours.history.step_losses == expected.history.step_losses


@pytest.mark.parametrize("case", CASES)
def test_a_step_can_be_repeated_without_its_python(case, played):
    expected = train("off", case)
    assert not played
    ours = train("auto", case)
    # There are 12 full batches. Batch 1 runs as usual, batch 2 is recorded, and the other ten
    # batches are replayed.
    assert len(played) == 10
    assert len(set(played)) == 1
    assert_same(ours, expected)


LOSSES = (cr.MSELoss, cr.L1Loss, cr.HuberLoss, cr.BCEWithLogitsLoss, cr.KLDivLoss)


@pytest.mark.parametrize("loss", LOSSES)
def test_losses_can_be_repeated(loss, played):
    y = rng.uniform(0.1, 0.9, (95, 3))
    case = {"loss": lambda: loss(weight=[1.0, 0.5, 2.0])}
    if loss is cr.KLDivLoss:
        case["layers"] = lambda: (*network(), cr.LogSoftmax())
    ours, expected = (train(compile, case, y=y) for compile in ("auto", "off"))
    assert len(played) == 10
    assert_same(ours, expected)


def test_several_inputs_and_outputs_can_be_repeated(played, tmp_path):
    page = run_the_page(tmp_path)

    def layers():
        joined = page["Join"](cr.Sequential(cr.Linear(4, 3), cr.Tanh()), cr.Linear(2, 3))
        return joined, cr.Dropout(0.2), page["Heads"](cr.Linear(6, 2), cr.Linear(6, 3))

    case = {"layers": layers, "loss": page["RestoreAndClassify"], "sample_weight": WEIGHT}
    x, y = (X[:, :4], X[:, 4:]), (X[:, :2], Y)
    ours, expected = (train(compile, case, x=x, y=y) for compile in ("auto", "off"))
    assert len(played) == 10
    assert_same(ours, expected)


def test_sequences_can_be_repeated(played):
    def layers():
        yield cr.LSTM(3, 5, num_layers=2, dropout=0.3)
        yield cr.GRU(5, 4, bidirectional=True, output="last")
        yield cr.Linear(8, 3)

    x = rng.normal(size=(95, 4, 3)), rng.integers(1, 5, 95)
    ours, expected = (train(how, {"layers": layers}, x=x) for how in ("auto", "off"))
    assert len(played) == 10
    assert_same(ours, expected)


class Changes(cr.Callback):
    def on_epoch_end(self, trainer):
        if trainer.epoch == 1:
            trainer.model[0].freeze()
            trainer.model[2].p = 0.0
            trainer.optimizer.clip_norm = 0.1


def test_changes_between_epochs_are_recorded_again(played):
    ours, expected = (train(how, {"callbacks": [Changes()]}) for how in ("auto", "off"))
    # Two steps are replayed before the change, and six after it.
    assert len(played) == 2 + 6
    assert len(set(played)) == 2
    assert_same(ours, expected)


def test_the_tape_shows_a_number_from_python(played):
    """A layer that counts its steps in Python gives wrong losses, because the count is replayed."""

    class Counts(cr.Layer):
        steps = 0

        def forward(self, x, *, training=False):
            type(self).steps += training
            factor = 1.0 + 0.01 * type(self).steps
            return x * factor, lambda dy: dy * factor

    def layers():
        Counts.steps = 0
        return cr.Linear(6, 8), Counts(), cr.Linear(8, 3)

    ours, expected = (train(compile, {"layers": layers}) for compile in ("auto", "off"))
    assert ours.history.step_losses != expected.history.step_losses


def test_the_tape_shows_a_number_that_is_read(played):
    class Reads(cr.Layer):
        def forward(self, x, *, training=False):
            return x * float(self.xp.max(x)), lambda dy: dy

    with pytest.raises(AssertionError, match="read on the host"):
        train("auto", {"layers": lambda: (cr.Linear(6, 8), Reads(), cr.Linear(8, 3))})


@pytest.mark.parametrize("mode", ["mean", "max", "last"])
def test_padded_sequences(mode, played):
    x = rng.integers(0, 9, (95, 5)), rng.integers(1, 6, 95)
    layers = lambda: (cr.Embedding(9, 4, padding_idx=0), cr.PoolOverTime(mode), cr.Linear(4, 3))  # noqa: E731
    expected = train("off", {"layers": layers}, x, Y)
    assert not played
    ours = train("auto", {"layers": layers}, x, Y)
    assert played
    assert_same(ours, expected)


def test_a_weight_for_each_step(played):
    x, y = rng.integers(0, 9, (95, 5)), rng.integers(0, 3, (95, 5))
    case = {
        "layers": lambda: (cr.Embedding(9, 4), cr.Linear(4, 3)),
        "loss": lambda: cr.CrossEntropyLoss(ignore_index=2, weight=[1.0, 2.0, 0.5]),
        "sample_weight": rng.uniform(0.5, 2.0, (95, 5)),
    }
    expected = train("off", case, x, y)
    assert not played
    ours = train("auto", case, x, y)
    assert played
    assert_same(ours, expected)
