"""Compiled steps compute the same as steps in Python."""

import contextlib
import io
import itertools
from textwrap import dedent

import numpy as np
import pytest
from pages import code
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


def assert_compiled(completed):
    """Every step was compiled, unless its batch was smaller."""
    assert completed
    assert all(completed)


def classifier(compile, loss=None, optimizer=None, dropout=0.3):
    layers = [cr.Linear(6, 8, bias=False), cr.BatchNorm(8), cr.ReLU(), cr.Dropout(dropout)]
    layers += [
        cr.Linear(8, 8, bias=False),
        cr.LayerNorm(8),
        cr.Dropout(0.5 * dropout),
        cr.Linear(8, 3),
    ]
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
    for a, b in zip(*(t.optimizer._vectors.values() for t in trainers), strict=True):
        np.testing.assert_allclose(a, b, rtol, atol=rtol)
    np.testing.assert_allclose(one.history.step_losses, other.history.step_losses, rtol, atol=rtol)
    for row, other_row in zip(one.history.epochs, other.history.epochs, strict=True):
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
    y = rng.normal(
        size=(
            len(x),
            *first.forward(
                first.bind().state.backend.asarray(
                    x, dtype=None if first.takes_integers else "float32"
                )
            )[0].shape[1:],
        )
    )

    def trainer(compile):
        model = cr.Sequential(make(), dtype="float64")
        if not model.parameters():
            model = cr.Sequential(cr.PReLU(), make(), dtype="float64")
        return cr.Trainer(
            model, loss=cr.MSELoss(), optimizer=cr.SGD(0.05, momentum=0.5), compile=compile
        )

    assert_same(both(trainer, x, y, batch_size=shape[0], epochs=2))
    assert_compiled(compiling)


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
    assert_compiled(compiling)


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
    assert_compiled(compiling)


class Halves(cr.SGD):
    """Stochastic gradient descent with a rate that is halved in each step."""

    def rates(self, step):
        return {"": 0.1 * 0.5**step}


class Alternates(cr.SGD):
    """Stochastic gradient descent with a rate of zero in every second step."""

    def scalars(self, lr, step):
        return (lr * (step % 2),)


@pytest.mark.parametrize("kind", [Halves, Alternates])
def test_numbers_that_a_custom_optimizer_changes_in_each_step(kind, compiling):
    assert_same(both(lambda compile: classifier(compile, optimizer=kind(lr=0.1))))
    assert_compiled(compiling)


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
    assert_compiled(compiling)


@pytest.mark.parametrize("dtype", ["float16", "float32", "int32", "uint8", "bool"])
def test_inputs_of_other_dtypes(dtype):
    assert_same(both(classifier, (10 * X).astype(dtype), Y))


def bits(trainer):
    """Return everything that a training run changes, as bytes and numbers."""
    state = trainer.model.state
    vectors = [state.values, state.buffers, *trainer.optimizer._vectors.values()]
    losses = trainer.history.step_losses
    return [v.tobytes() for v in vectors], losses, state.draws, trainer.optimizer.counts


@pytest.mark.parametrize("step", [3, 7, 10])
def test_a_resumed_run_equals_an_uninterrupted_run_in_every_bit(step, tmp_path, compiling):
    options = {"epochs": 3, "batch_size": 20, "verbose": 0}
    whole = classifier("auto")
    whole.fit(X, Y, **options)
    broken = classifier("auto")
    with pytest.raises(KeyboardInterrupt):
        broken.fit(X, Y, **options, callbacks=[Breaks(step)])
    broken.save(tmp_path / "run")
    for trainer in (
        broken,
        cr.Trainer.resume(
            tmp_path / "run",
            loss=cr.CrossEntropyLoss(),
            optimizer=cr.Adam(lr=cr.schedules.cosine(1e-2, steps=30)),
            compile="auto",
        ),
    ):
        trainer.fit(X, Y, **options, resume=True)
        assert bits(trainer) == bits(whole)
    assert_compiled(compiling)


def saved_and_resumed(trainer, path, compile="auto"):
    trainer.save(path)
    loss, optimizer = cr.CrossEntropyLoss(), cr.Adam(lr=cr.schedules.cosine(1e-2, steps=30))
    return cr.Trainer.resume(path, loss=loss, optimizer=optimizer, compile=compile)


def interrupted(compile, epochs, step):
    trainer = classifier(compile)
    with pytest.raises(KeyboardInterrupt):
        trainer.fit(
            X, Y, epochs=epochs, batch_size=20, verbose=0, callbacks=[Breaks(step)], resume=True
        )
    return trainer


@pytest.mark.parametrize("from_file", [False, True])
@pytest.mark.parametrize("step", [3, 5, 9])
@pytest.mark.parametrize("compiled", [False, True])
def test_a_resumed_run_keeps_the_decision(
    compiled, step, from_file, tmp_path, compiling, monkeypatch
):
    """Even if the run is resumed with another number of epochs."""
    monkeypatch.setattr("chainrule.training.compiled.STEPS_THAT_PAY", 12)
    options = {"batch_size": 20, "verbose": 0, "resume": True}  # five steps per epoch
    whole = classifier("auto" if compiled else "off")
    whole.fit(X, Y, epochs=4, **options)
    trainer = interrupted("auto", 4 if compiled else 2, step)
    for epochs in (2, 4):
        if from_file:
            trainer = saved_and_resumed(trainer, tmp_path / "run")
        trainer.fit(X, Y, epochs=epochs, **options)
    assert bits(trainer) == bits(whole)
    assert any(compiling) == compiled
    trainer.fit(X, Y, epochs=4 if compiled else 2, **{**options, "resume": False})
    assert trainer.compiled == compiled


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("auto", "off", "were compiled before the interruption, and are now run in Python"),
        ("off", "auto", "were run in Python before the interruption, and are now compiled"),
        ("auto", "without numba", "were compiled before the interruption, and are now run in"),
        ("off", "off", None),
    ],
)
def test_a_decision_that_cannot_be_kept_is_reported(
    before, after, message, tmp_path, compiling, monkeypatch
):
    trainer = interrupted(before, 3, 7)
    if after == "without numba":
        monkeypatch.setattr(type(trainer.model.backend), "recording", lambda self: None)
        after = "auto"
    trainer = saved_and_resumed(trainer, tmp_path / "run", compile=after)
    warned = contextlib.nullcontext() if message is None else pytest.warns(RuntimeWarning)
    with warned as caught:
        trainer.fit(X, Y, epochs=3, batch_size=20, verbose=0, resume=True)
    if message:
        (warning,) = caught
        assert message in str(warning.message)
        assert warning.filename == __file__
    whole = classifier("off")
    whole.fit(X, Y, epochs=3, batch_size=20, verbose=0)
    assert_same([whole, trainer])


def test_a_file_with_an_invalid_decision_is_refused(tmp_path):
    trainer = interrupted("auto", 3, 7)
    trainer.compiled = "yes"
    with pytest.raises(cr.FileFormatError, match="compiled to be True or False"):
        saved_and_resumed(trainer, tmp_path / "run")


class Breaks(cr.Callback):
    """Interrupt training after a step."""

    def __init__(self, step):
        self.step = step

    def on_step_end(self, trainer):
        if trainer.optimizer.steps == self.step:
            raise KeyboardInterrupt


def test_masks_are_equal_in_every_bit():
    """The change of each weight shows whether its input was kept."""

    def make(compile):
        model = cr.Sequential(cr.Dropout(0.4), cr.Linear(50, 1), dtype="float64", seed=5)
        return cr.Trainer(model, loss=cr.MSELoss(), optimizer=cr.SGD(1e-3), compile=compile)

    x, y = np.ones((8, 50)), np.zeros((8, 1))
    one, other = both(make, x, y, batch_size=1, epochs=1)
    assert_same([one, other])
    assert one.model.state.draws == other.model.state.draws == 8


class Records(cr.Callback):
    """Record the loss after each step, and lower the learning rate."""

    def __init__(self):
        self.seen = []

    def on_step_end(self, trainer):
        self.seen.append((trainer.optimizer.steps, float(trainer.progress.rows[-1][0])))
        trainer.optimizer.lr *= 0.9


def test_callbacks_are_called_after_each_step(compiling):
    records = {}
    trainers = []
    for compile in ("off", "auto"):
        records[compile] = Records()
        trainer = classifier(compile, optimizer=cr.Adam(1e-2))
        trainer.fit(X, Y, epochs=2, batch_size=20, verbose=0, callbacks=[records[compile]])
        trainers.append(trainer)
    assert_same(trainers)
    np.testing.assert_allclose(records["off"].seen, records["auto"].seen, 1e-12)
    assert len(records["auto"].seen) == 10
    assert_compiled(compiling)


def test_changes_between_epochs_are_noticed(compiling):
    class Changes(cr.Callback):
        def on_epoch_end(self, trainer):
            if trainer.epoch == 2:
                trainer.model[0].freeze()
                trainer.model[3].p = 0.0
                trainer.optimizer.clip_norm = 0.1

    trainers = []
    for compile in ("off", "auto"):
        trainer = classifier(compile, optimizer=cr.Adam(1e-2))
        trainer.fit(X, Y, epochs=4, batch_size=20, verbose=0, callbacks=[Changes()])
        trainers.append(trainer)
    assert_same(trainers)
    assert_compiled(compiling)


@pytest.mark.filterwarnings("ignore:overflow encountered", "ignore:invalid value encountered")
@pytest.mark.parametrize("value", [1e200, 1e308])
def test_divergence_is_reported_at_its_step(value):
    """A step with a loss or a gradient that is not finite runs in Python, with the same error."""
    found = []
    for compile in ("off", "auto"):
        trainer = classifier(compile)
        trainer.fit(X, Y, batch_size=20, verbose=0)
        x = X.copy()
        x[50] = value
        with pytest.raises(cr.DivergenceError) as error:
            trainer.fit(x, Y, batch_size=20, verbose=0)
        found.append((str(error.value), trainer))
    assert found[0][0] == found[1][0]
    one, other = (trainer for _, trainer in found)
    for vector in ("values", "buffers"):
        a, b = (getattr(t.model.state, vector) for t in (one, other))
        np.testing.assert_allclose(a, b, 1e-12, 1e-12)
    assert one.optimizer.counts == other.optimizer.counts
    assert one.model.state.draws == other.model.state.draws


def test_a_step_with_large_gradients_runs_in_python(compiling):
    """An optimizer that squares gradients clips very large gradients."""

    def make(compile):
        model = cr.Sequential(cr.Linear(6, 1), dtype="float64")
        return cr.Trainer(model, loss=cr.MSELoss(), optimizer=cr.Adam(1e-2), compile=compile)

    x = X.copy()
    x[7] = 1e100
    with pytest.warns(UserWarning, match="root mean square") as caught:
        assert_same(both(make, x, Y[:, None], epochs=1))
    assert len(caught) == 2


class OfNumpy(cr.Layer):
    def forward(self, x, *, training=False):
        return np.tanh(x), lambda dy: dy * (1.0 - np.tanh(x) ** 2)


class Reads(cr.Layer):
    def forward(self, x, *, training=False):
        return (x if float(self.xp.max(x)) > 0 else -x), lambda dy: dy


@pytest.mark.parametrize(("layer", "reason"), [(OfNumpy, "Symbol"), (Reads, "reads a number")])
def test_what_cannot_be_recorded_is_reported_once_and_runs_in_python(layer, reason):
    def make(compile):
        model = cr.Sequential(cr.Linear(6, 3), layer(), dtype="float64")
        loss, optimizer = cr.CrossEntropyLoss(), cr.SGD(0.1)
        return cr.Trainer(model, loss=loss, optimizer=optimizer, compile=compile)

    with pytest.warns(RuntimeWarning, match=f"steps run in Python: .*{reason}") as caught:
        trainers = both(make)
    assert len(caught) == 1
    assert bits(trainers[0]) == bits(trainers[1])


def test_a_long_recurrent_network_is_reported():
    def make(compile):
        model = cr.Sequential(cr.GRU(1, 2, output="last"), cr.Linear(2, 3), dtype="float64")
        loss, optimizer = cr.CrossEntropyLoss(), cr.SGD(0.1)
        return cr.Trainer(model, loss=loss, optimizer=optimizer, compile=compile)

    x = rng.normal(size=(8, 200, 1))
    with pytest.warns(RuntimeWarning, match="more than 5000 operations"):
        both(make, x, Y[:8], batch_size=4, epochs=1)


def test_short_runs_are_not_compiled(compiling, monkeypatch):
    monkeypatch.setattr("chainrule.training.compiled.STEPS_THAT_PAY", 16)
    classifier("auto").fit(X, Y, epochs=3, batch_size=20, verbose=0)
    assert not compiling
    classifier("auto").fit(X, Y, epochs=4, batch_size=20, verbose=0)
    assert compiling


def test_float32():
    def make(compile):
        model = cr.mlp([6, 16, 3])
        loss, optimizer = cr.CrossEntropyLoss(), cr.Adam(1e-3)
        return cr.Trainer(model, loss=loss, optimizer=optimizer, compile=compile)

    assert_same(both(make), rtol=2e-6)


@pytest.fixture
def new_compiler():
    """A function that clears the compiler's cache in memory, as in a new process."""
    from chainrule.backends.compiled import compile as compiler

    def clear():
        compiler._functions.clear()
        compiler._tools.cache_clear()
        return compiler

    return clear


def test_a_damaged_cache_is_written_anew(tmp_path, monkeypatch, new_compiler):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    code = "define i64 @run(ptr %table, i64 %count) {\n  ret i64 %count\n}"
    for _ in range(3):
        assert new_compiler()._linked(code, "step")(0, 5) == 5
        (path,) = (tmp_path / "chainrule").iterdir()
        good = path.read_bytes()
        path.write_bytes(good[:-1])


def test_equal_steps_are_translated_once(compiling, new_compiler, monkeypatch):
    translated, translate = [], new_compiler().emit
    emit = "chainrule.backends.compiled.compile.emit"
    monkeypatch.setattr(emit, lambda program: translated.append(1) or translate(program))
    one, other, longer = (classifier("auto") for _ in range(3))
    for trainer in (one, other):
        trainer.fit(X, Y, batch_size=20, epochs=2, verbose=0)
    assert bits(one) == bits(other)
    assert len(translated) == 1
    longer.fit(X, Y, batch_size=10, epochs=2, verbose=0)
    assert len(translated) == 2
    assert_compiled(compiling)


@pytest.mark.parametrize("batch_size", [1, 2, 20])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_products_of_blas(batch_size, dtype, compiling):
    """Large products are computed by BLAS, also those with a single row or column."""

    def make(compile):
        layers = cr.Linear(6, 900), cr.Tanh(), cr.Linear(900, 70), cr.ReLU(), cr.Linear(70, 1)
        model = cr.Sequential(*layers, dtype=dtype)
        return cr.Trainer(model, loss=cr.MSELoss(), optimizer=cr.SGD(1e-3), compile=compile)

    trainers = both(make, X[:40], Y[:40, None], batch_size=batch_size, epochs=1)
    assert_same(trainers, rtol=1e-5 if dtype == "float32" else 1e-12)
    assert_compiled(compiling)


@pytest.mark.parametrize("dtypes", [("float32", "float64"), ("int64", "float64"), ("int64",) * 2])
@pytest.mark.parametrize("rows", [2, 40])
def test_products_of_other_dtypes(rows, dtypes):
    """BLAS multiplies only matrices of one floating-point dtype."""
    from chainrule.backends.compiled import namespace as xp
    from chainrule.backends.compiled.arrays import lift
    from chainrule.backends.compiled.compile import CompiledStep
    from chainrule.backends.compiled.program import Program

    program = Program(xp)
    a, b = (rng.integers(-9, 9, (rows, rows)).astype(dtype) for dtype in dtypes)
    product = np.zeros_like(a @ b)
    one, other, out = (lift(program, array) for array in (a, b, product))
    out[...] = one @ other
    assert CompiledStep(program)() == 1
    np.testing.assert_array_equal(product, a @ b)


class By(cr.Layer):
    """y = x f(x), where the gradient of the factor is ignored."""

    def __init__(self, factor):
        self.factor = factor

    def forward(self, x, *, training=False):
        factor = self.factor(self.xp, x) if callable(self.factor) else self.factor
        return x * factor, lambda dy: dy * factor


COUNTER = itertools.count()


def times(factor):
    def make(compile):
        model = cr.Sequential(cr.Linear(6, 3), By(factor), dtype="float64")
        return cr.Trainer(model, loss=cr.CrossEntropyLoss(), optimizer=cr.SGD(0.1), compile=compile)

    return make


def changed(xp, x):
    y = xp.reshape(xp.asarray(x, copy=True), (-1,))
    y[y < 0.0] = 0.5
    return xp.reshape(y, x.shape)


@pytest.mark.parametrize(
    ("factor", "reason"),
    [
        (lambda xp, x: x[:, [2, 0, 1]], "a list or an array"),
        (lambda xp, x: x[:, np.array([2, 0, 1])], "or an array cannot"),
        (lambda xp, x: xp.sum(xp.reshape(x, (-1,))[xp.reshape(x > 0, (-1,))]), "index of bool"),
        (changed, "an array selects"),
        (lambda xp, x: xp.astype((x > 0) + (x > -1), x.dtype), "'add' of bool"),
        (lambda xp, x: xp.astype(xp.max(xp.astype(x > 0, xp.uint8)), x.dtype), "of uint8"),
        (lambda xp, x: xp.astype(xp.astype(x > 0, xp.uint8) >> 1, x.dtype), "shift.* of uint8"),
        (lambda xp, x: rng.uniform(size=x.shape), "random"),
        (lambda xp, x: 1.0 + 1e-9 * next(COUNTER), "random or counted"),
    ],
)
def test_a_step_that_would_compute_something_else_is_refused(factor, reason, compiling):
    with pytest.warns(RuntimeWarning, match=reason) as caught:
        trainers = both(times(factor))
    assert [warning.filename for warning in caught] == [__file__]
    assert not any(compiling)
    if "random" not in reason:
        assert bits(trainers[0]) == bits(trainers[1])


@pytest.mark.parametrize(
    "factor",
    [
        lambda xp, x: xp.astype((x > 0) + 1, x.dtype),
        lambda xp, x: xp.astype((x > 0) < (x > 1), x.dtype),
        lambda xp, x: xp.astype(~(x > 0), x.dtype),
        lambda xp, x: xp.astype(xp.sum(x > 0), x.dtype) / 60.0,
        lambda xp, x: xp.astype(xp.any(x > 2, axis=1, keepdims=True), x.dtype),
        lambda xp, x: xp.astype(xp.all(x > -1, axis=1, keepdims=True), x.dtype),
        lambda xp, x: xp.astype(xp.astype(xp.abs(x) * 90.0, xp.uint8) > 120, x.dtype),
        lambda xp, x: xp.clip(x, max=0.5),
    ],
    ids=["count", "less", "not", "sum", "any", "all", "uint8", "clip"],
)
def test_booleans_and_small_integers(factor, compiling):
    assert_same(both(times(factor)))
    assert_compiled(compiling)


def test_a_layer_that_is_frozen_twice_has_no_gradient(compiling):
    """The last batch, which is smaller, runs in Python after the compiled steps."""

    class Freezes(cr.Callback):
        def on_step_end(self, trainer):
            layer, steps = trainer.model[0], trainer.optimizer.steps
            if steps in (3, 9):
                layer.freeze()
            if steps == 6:
                layer.unfreeze()

    def make(compile):
        return classifier(compile, optimizer=cr.SGD(0.1, clip_norm=0.01))

    assert_same(both(make, callbacks=[Freezes()]))
    assert_compiled(compiling)


class Looks(cr.Layer):
    """The rows of a table."""

    takes_integers = True

    def __init__(self):
        self.table = cr.Parameter((50, 3))

    def forward(self, x, *, training=False):
        def backward(dy):
            gradient = self.xp.zeros_like(self.table.value)
            self.backend.scatter_add(gradient, x[:, 0], dy)
            self.table.add_grad(gradient)

        return self.xp.take(self.table.value, x[:, 0], axis=0), backward


def test_an_index_beyond_the_array_raises_the_usual_error():
    x = rng.integers(0, 50, (40, 1))
    x[33] = 10**9
    found = []
    for compile in ("off", "auto"):
        model = cr.Sequential(Looks(), dtype="float64")
        loss, optimizer = cr.CrossEntropyLoss(), cr.SGD(0.1)
        trainer = cr.Trainer(model, loss=loss, optimizer=optimizer, compile=compile)
        with pytest.raises(IndexError, match="1000000000 is out of bounds") as error:
            trainer.fit(x, Y[:40], batch_size=5, shuffle=False, verbose=0)
        found.append((str(error.value), optimizer.steps))
    assert found[0] == found[1]


def test_changed_attributes_are_noticed(compiling):
    class Lowers(cr.Callback):
        def on_epoch_end(self, trainer):
            trainer.model[1].factor = 0.5 * trainer.model[1].factor

    for factor in (1.0, np.ones(3)):
        assert_same(both(times(factor), callbacks=[Lowers()]))
    assert_compiled(compiling)


def test_options_of_layers_that_change_after_a_step_are_noticed(compiling):
    class Changes(cr.Callback):
        def on_step_end(self, trainer):
            if trainer.optimizer.steps == 3:
                trainer.model[3].p = 0.0
                trainer.model[0].weight.max_norm = 0.3

    assert_same(both(classifier, callbacks=[Changes()]))
    assert_compiled(compiling)


class Remembers(cr.Layer):
    seen = None

    def forward(self, x, *, training=False):
        if training:
            self.seen = x
        return x, lambda dy: dy


def test_a_layer_that_changes_its_attributes_is_refused():
    def make(compile):
        model = cr.Sequential(cr.Linear(6, 3), Remembers(), dtype="float64")
        loss, optimizer = cr.CrossEntropyLoss(), cr.SGD(0.1)
        return cr.Trainer(model, loss=loss, optimizer=optimizer, compile=compile)

    with pytest.warns(RuntimeWarning, match="changes an attribute") as caught:
        one, other = both(make)
    assert len(caught) == 1
    np.testing.assert_array_equal(one.model[1].seen, other.model[1].seen)


def test_without_a_folder_nothing_is_cached(tmp_path, monkeypatch, compiling, new_compiler):
    (tmp_path / "file").write_bytes(b"")
    for folder in (tmp_path / "file", ""):
        monkeypatch.setenv("XDG_CACHE_HOME", str(folder))
        monkeypatch.setattr("os.path.expanduser", lambda path: str(tmp_path / "file"))
        new_compiler()
        assert_same(both(classifier))
    assert_compiled(compiling)


def test_two_threads_compile_the_same_step(compiling, new_compiler):
    from concurrent.futures import ThreadPoolExecutor

    new_compiler()
    trainers = [classifier("auto") for _ in range(3)]
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda t: t.fit(X, Y, batch_size=20, epochs=3, verbose=0), trainers))
    assert bits(trainers[0]) == bits(trainers[1]) == bits(trainers[2])
    assert_compiled(compiling)


def test_the_compiler_prints_what_its_page_shows():
    """The recorded program, the groups of loops and the LLVM code are those on the page."""
    page, names = "docs/compiling.md", {}
    shown = code(page, "text")
    blocks = code(page)[1:]
    assert len(shown) == len(blocks) == 3
    for block, text in zip(blocks, shown, strict=True):
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(block, names)
        assert dedent(printed.getvalue()) == text
