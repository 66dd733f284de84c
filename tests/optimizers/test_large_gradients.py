"""Check gradients whose squares overflow, and gradients that are NaN or infinite."""

import math

import numpy as np
import pytest
from helpers import as_if_on_a_device

import chainrule as cr

RULES = {
    "SGD": lambda: cr.SGD(0.1),
    "momentum": lambda: cr.SGD(0.1, momentum=0.9),
    "RMSprop": lambda: cr.RMSprop(0.1),
    "Adagrad": lambda: cr.Adagrad(0.1),
    "Adam": lambda: cr.Adam(0.1),
    "AdamW": lambda: cr.AdamW(0.1, weight_decay=0.0),
}
ADAPTIVE = {name: RULES[name] for name in ("RMSprop", "Adagrad", "Adam", "AdamW")}
FIRST_STEP = {"RMSprop": 0.1 / math.sqrt(0.01), "Adagrad": 0.1, "Adam": 0.1, "AdamW": 0.1}

ON_A_DEVICE = pytest.mark.not_on("cupy")  # on a GPU, optimizers do not copy gradients to the host
pytestmark = pytest.mark.filterwarnings("ignore:overflow encountered", "ignore:invalid value")


def one_weight(library, dtype="float32", outputs=1):
    start = cr.initializers.constant(0.0)
    layer = cr.Linear(1, outputs, bias=False, init=start)
    return cr.Sequential(layer, backend=library.backend, dtype=dtype)


def step(model, optimizer, *grads):
    """Take a step with these gradients, and return by how much each weight decreases."""
    before = model.backend.to_numpy(model.state.values).copy()
    grads = np.asarray(grads)[:, None]
    model[0].weight.add_grad(model.backend.asarray(grads, dtype=model.state.dtype))
    optimizer.step()
    return before - model.backend.to_numpy(model.state.values)


@pytest.mark.parametrize("where", ["host", "device"])
@pytest.mark.parametrize(
    ("dtype", "size"), [("float32", 1e18), ("float32", 1e20), ("float32", 3e38), ("float64", 1e300)]
)
def test_a_huge_gradient_is_clipped_to_the_norm(dtype, size, where, library, monkeypatch):
    if where == "device":
        as_if_on_a_device(monkeypatch)
    model = one_weight(library, dtype, outputs=2)
    optimizer = cr.SGD(1.0, clip_norm=10.0).bind(model)
    np.testing.assert_allclose(step(model, optimizer, 0.6 * size, -0.8 * size), [6, -8], rtol=1e-6)
    np.testing.assert_allclose(step(model, optimizer, 3.0, 4.0), [3, 4], rtol=1e-6)
    np.testing.assert_array_equal(step(model, optimizer, 0.0, 0.0), [0, 0])


@ON_A_DEVICE
@pytest.mark.parametrize(("name", "make"), ADAPTIVE.items(), ids=ADAPTIVE)
@pytest.mark.parametrize(
    ("dtype", "size"), [("float32", 2e19), ("float32", 3e38), ("float64", 1e300)]
)
def test_the_first_step_does_not_depend_on_the_size(name, make, dtype, size, library):
    model = one_weight(library, dtype)
    moved = step(model, make().bind(model), size)
    np.testing.assert_allclose(moved, FIRST_STEP[name], rtol=1e-5)


@ON_A_DEVICE
def test_a_weight_keeps_moving_after_a_huge_gradient(library):
    """After a huge gradient, Adam moves a float32 weight as it moves a float64 weight."""
    model, wide = one_weight(library), one_weight(library, "float64")
    found, expected = cr.Adam(1e-3).bind(model), cr.Adam(1e-3).bind(wide)
    for grad in [2e19] + [1.0] * 200:
        step(model, found, grad), step(wide, expected, grad)
    moved, right = (library.to_numpy(m.state.values) for m in (model, wide))
    np.testing.assert_allclose(moved, right, rtol=1e-4)


def test_gradient_descent_does_not_limit_gradients(library):
    model = one_weight(library)
    np.testing.assert_allclose(step(model, cr.SGD(1e-20).bind(model), 1e20), 1.0, rtol=1e-6)


@ON_A_DEVICE
@pytest.mark.parametrize("make", RULES.values(), ids=RULES)
@pytest.mark.parametrize("bad", [np.inf, -np.inf, np.nan])
@pytest.mark.parametrize("clip_norm", [None, 1.0])
def test_a_gradient_that_is_nan_or_infinite_changes_nothing(make, bad, clip_norm, library):
    model = one_weight(library, outputs=2)
    optimizer = make()
    optimizer.clip_norm = clip_norm
    optimizer.bind(model)
    step(model, optimizer, 1.0, 2.0)
    before, state = model.backend.to_numpy(model.state.values).copy(), optimizer.state()
    with pytest.raises(
        cr.DivergenceError, match="expected finite gradients, found NaN or infinity in .*0.weight"
    ):
        step(model, optimizer, 1.0, bad)
    np.testing.assert_array_equal(model.backend.to_numpy(model.state.values), before)
    after = optimizer.state()
    for name, vector in state.pop("vectors").items():
        np.testing.assert_array_equal(*map(library.to_numpy, (after["vectors"][name], vector)))
    after.pop("vectors")
    assert after == state
    assert np.isfinite(step(model, optimizer, 1.0, 2.0)).all()  # the next step is normal


class Steep(cr.Layer):
    """The identity function, but with an infinite gradient for inputs above 1."""

    def forward(self, x, *, training=False):
        return x, lambda dy: self.xp.where(x > 1.0, self.xp.asarray(np.inf, dtype=x.dtype), dy)


@ON_A_DEVICE
@pytest.mark.parametrize("terminate", [True, False])
def test_a_trainer_reports_or_skips_such_a_step(terminate, library):
    layers = cr.Linear(1, 1, init=cr.initializers.constant(1.0)), cr.BatchNorm(1), Steep()
    model = cr.Sequential(*layers, backend=library.backend)
    trainer = cr.Trainer(model, loss=cr.L1Loss(), optimizer=cr.SGD(0.1))
    x = np.asarray([[0.0], [0.0], [0.0], [9.0]])
    before = model.state.snapshot()
    if terminate:
        with pytest.raises(cr.DivergenceError, match="finite gradient"):
            trainer.fit(x, x, verbose=0)
    else:
        history = trainer.fit(x, x, terminate_on_nan=False, verbose=0)
        assert np.isfinite(history["loss"]).all()
    for name, vector in before.items():
        found = getattr(model.state, name)
        np.testing.assert_array_equal(*map(library.to_numpy, (found, vector)))


def test_huge_rows_are_scaled_down_to_their_limit(library):
    layer = cr.Linear(2, 2, bias=False, max_norm=2.0)
    model = cr.Sequential(layer, backend=library.backend)
    rows = np.asarray([[6e25, 8e25], [0.6, 0.8]], "float32")
    layer.weight.value[...] = library.asarray(rows)
    cr.SGD(0.0).bind(model).step()
    found = library.to_numpy(layer.weight.value)
    np.testing.assert_allclose(found, [[1.2, 1.6], [0.6, 0.8]], rtol=1e-6)


@pytest.mark.filterwarnings("ignore:the inputs of layer")
def test_gradient_norms_do_not_overflow(library):
    model = one_weight(library, outputs=2)
    norms = cr.callbacks.GradientNorms()
    trainer = cr.Trainer(model, loss=cr.L1Loss(reduction="sum"), optimizer=cr.SGD(0.0))
    x = np.asarray([[3e25]])
    trainer.fit(x, np.asarray([[-9e30, -9e30]]), callbacks=[norms], verbose=0)
    np.testing.assert_allclose(norms.norms["0.weight"], [3e25 * math.sqrt(2)], rtol=1e-6)
