"""Compare steps of optimizers with hand-computed steps, and refuse invalid arguments."""

import math

import numpy as np
import pytest

import chainrule as cr


def single(library, value=1.0, **options):
    """Return a model of one weight and one bias, both with this value."""
    start = cr.initializers.constant(value)
    layer = cr.Linear(1, 1, init=start, bias_init=start)
    return cr.Sequential(layer, backend=library.backend, dtype="float64", **options)


def step(model, optimizer, grads=(0.5, 0.5)):
    for parameter, grad in zip(model.parameters(), grads, strict=True):
        parameter.add_grad(model.xp.full(parameter.shape, grad, dtype=model.state.dtype))
    optimizer.step()
    return [float(model.xp.sum(p.value)) for p in model.parameters()]


AFTER_TWO_STEPS = {
    "SGD": (lambda: cr.SGD(0.1), 0.95, 0.90),
    "momentum": (lambda: cr.SGD(0.1, momentum=0.5), 0.95, 0.95 - 0.1 * 0.75),
    "Nesterov": (
        lambda: cr.SGD(0.1, momentum=0.5, nesterov=True),
        1 - 0.1 * (0.5 + 0.25),
        1 - 0.1 * 0.75 - 0.1 * (0.5 + 0.5 * 0.75),
    ),
    "RMSprop": (
        lambda: cr.RMSprop(0.1, alpha=0.5, eps=0.0),
        1 - 0.1 / math.sqrt(0.5),
        1 - 0.1 / math.sqrt(0.5) - 0.1 / math.sqrt(0.75),
    ),
    "Adagrad": (lambda: cr.Adagrad(0.1, eps=0.0), 0.9, 0.9 - 0.1 / math.sqrt(2)),
    "Adam": (lambda: cr.Adam(0.1, eps=0.0), 0.9, 0.8),
    "AdamW": (lambda: cr.AdamW(0.1, eps=0.0, weight_decay=0.5), 0.85, 0.85 * 0.95 - 0.1),
}


@pytest.mark.parametrize(("make", "first", "second"), AFTER_TWO_STEPS.values(), ids=AFTER_TWO_STEPS)
def test_two_steps_of_a_constant_gradient(make, first, second, library):
    model = single(library)
    optimizer = make().bind(model)
    assert step(model, optimizer)[0] == pytest.approx(first)
    assert step(model, optimizer)[0] == pytest.approx(second)


def test_weight_decay_exempts_biases_by_default(library):
    for decay_biases in (False, True):
        model = single(library, value=2.0)
        optimizer = cr.SGD(0.1, weight_decay=0.5, decay_biases=decay_biases).bind(model)
        weight, bias = step(model, optimizer, (0.0, 0.0))
        assert weight == pytest.approx(2 - 0.1 * 0.5 * 2)
        assert bias == pytest.approx(weight if decay_biases else 2.0)
        assert not library.to_numpy(model.state.grads).any()


def test_clipping_uses_the_norm_of_all_gradients(library):
    model = single(library)
    optimizer = cr.SGD(1.0, clip_norm=1.0).bind(model)
    weight, bias = step(model, optimizer, (3.0, 4.0))
    assert (weight, bias) == pytest.approx((1 - 0.6, 1 - 0.8), rel=1e-5)
    weight, bias = step(model, optimizer, (0.3, 0.4))
    assert (weight, bias) == pytest.approx((0.1, -0.2), abs=1e-5)


def test_a_rate_may_be_a_function_of_the_step(library):
    model, asked = single(library), []

    def rate(step):
        asked.append(step)
        return 0.1 / (step + 1)

    optimizer = cr.SGD(rate).bind(model)
    for _ in range(3):
        weight, _ = step(model, optimizer)
    assert asked == [0, 1, 2]
    assert weight == pytest.approx(1 - 0.05 * (1 + 1 / 2 + 1 / 3))


def test_cosine():
    rate = cr.schedules.cosine(1.0, steps=4, end=0.2)
    expected = [0.2 + 0.8 * (1 + math.cos(math.pi * t / 4)) / 2 for t in range(5)] + [0.2]
    assert [rate(t) for t in range(6)] == pytest.approx(expected)
    for bad in (
        {"lr": -1.0, "steps": 3},
        {"lr": 1.0, "steps": 0},
        {"lr": 1, "steps": 2, "end": -1},
    ):
        with pytest.raises(ValueError, match="expected"):
            cr.schedules.cosine(**bad)


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (cr.SGD, {"lr": -0.1}),
        (cr.SGD, {"lr": math.nan}),
        (cr.SGD, {"lr": math.inf}),
        (cr.SGD, {"lr": 0.1, "momentum": 1.0}),
        (cr.SGD, {"lr": 0.1, "nesterov": True}),
        (cr.SGD, {"lr": 0.1, "weight_decay": -1}),
        (cr.SGD, {"lr": 0.1, "clip_norm": -1}),
        (cr.RMSprop, {"alpha": 1.5}),
        (cr.Adagrad, {"initial_accumulator_value": -1.0}),
        (cr.Adam, {"betas": (1.0, 0.9)}),
        (cr.Adam, {"eps": -1.0}),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else str(value),
)
def test_invalid_options_are_refused(kind, options):
    with pytest.raises(ValueError, match=r"expected|needs"):
        kind(**options)


def test_a_schedule_that_becomes_negative(library):
    model = single(library)
    optimizer = cr.SGD(lambda step: 0.5 - step).bind(model)
    before = step(model, optimizer)
    with pytest.raises(ValueError, match="expected lr to be finite and at least 0, found -0.5"):
        step(model, optimizer)
    assert [float(model.xp.sum(p.value)) for p in model.parameters()] == before


def test_a_rule_that_forgets_a_slot(library):
    class Forgetful(cr.Optimizer):
        slots = ("mean",)

        def rule(self, xp):
            return lambda value, mean, grad, lr: (value - lr * (grad + mean),)

    model = single(library)
    optimizer = Forgetful(0.1).bind(model)
    with pytest.raises(ValueError, match=r"a tuple \(value, \*slots\) of length 2, found 1"):
        step(model, optimizer)


def update(value, grad, lr):
    return value - lr * grad


CUSTOM = {
    "no tuple": (
        {"rule": lambda self, xp: update},
        r"tuple \(value, \*slots\) of length 1, found (<Tensor|tensor|.*rray)",
    ),
    "one number": (
        {"scalars": lambda self, lr, step: lr},
        "expected a tuple of scalars, found 0.1",
    ),
    "one slot": ({"slots": ("velocity")}, "expected a tuple of slots, found 'velocity'"),
}


@pytest.mark.parametrize(("members", "message"), CUSTOM.values(), ids=CUSTOM)
def test_a_custom_optimizer_must_return_tuples(members, message, library):
    own = {"rule": lambda self, xp: cr.SGD._plain, **members}
    optimizer = type("Own", (cr.Optimizer,), own)(0.1)
    for outputs in (1, 3):  # `zip` would also accept an array of one element
        model = cr.Sequential(cr.Linear(1, outputs, bias=False), backend=library.backend)
        before = library.to_numpy(model.state.values).copy()
        with pytest.raises(TypeError, match=message):
            step(model, optimizer.copy().bind(model), [0.5])
        np.testing.assert_array_equal(library.to_numpy(model.state.values), before)


def test_the_constructor_takes_no_parameters():
    model = cr.Sequential(cr.Linear(1, 1))
    expected = r"(?s)^Adam: expected a learning rate, found .*: write Adam\(lr=1e-3\); a Trainer"
    for wrong in (model, model.parameters(), iter(model.parameters())):
        for options in ({}, {"lr": 0.1}):
            with pytest.raises(TypeError, match=expected):
                cr.Adam(wrong, **options)


RATES = {
    "a string": ("0.1", "found '0.1'$"),
    "None": (None, "found None$"),
    "a list": ([0.1], r"found \[0.1\]$"),
    "a class": (cr.schedules.cosine, r"found <class .*cosine'>: did you mean cosine\(\)\?"),
}


@pytest.mark.parametrize(("rate", "found"), RATES.values(), ids=RATES)
def test_rates_are_numbers_or_schedules(rate, found):
    expected = rf"^expected lr to be a number such as 1e-3, or a schedule, {found}"
    with pytest.raises(TypeError, match=expected):
        cr.SGD(rate)


def test_gradient_descent_has_no_default_rate():
    with pytest.raises(TypeError, match=r"SGD.*missing 1 required positional argument: 'lr'"):
        cr.SGD()


def test_warmup_refuses_the_class_of_a_schedule():
    with pytest.raises(TypeError, match=r"expected then .* <class .*: did you mean cosine\(\)\?"):
        cr.schedules.warmup(3, cr.schedules.cosine)


def test_an_optimizer_trains_one_model(library):
    optimizer = cr.Adam()
    with pytest.raises(RuntimeError, match=r"call optimizer.bind\(model\) first"):
        optimizer.step()
    model = single(library)
    assert optimizer.bind(model).bind(model) is optimizer
    with pytest.raises(ValueError, match="already trains another model"):
        optimizer.bind(single(library))


def test_repr():
    assert repr(cr.Adagrad(0.5)).startswith("Adagrad(lr=0.5, weight_decay=0.0")
    assert repr(cr.SGD(0.5, momentum=0.5)).endswith("momentum=0.5, nesterov=False)")


def test_a_copy_keeps_private_attributes_of_a_custom_optimizer():
    class Custom(cr.SGD):
        def __init__(self, lr):
            super().__init__(lr)
            self._factor = 2.0

        def scalars(self, lr, step):
            return (self._factor * lr,)

    optimizer = Custom(0.1).bind(cr.Sequential(cr.Linear(2, 1)))
    optimizer.step()
    twin = optimizer.copy()
    assert (twin.steps, twin.scalars(0.1, 1)) == (0, (0.2,))
    twin.bind(cr.Sequential(cr.Linear(3, 1)))


def test_loading_a_state_that_does_not_fit_changes_nothing():
    optimizer = cr.SGD(0.1, momentum=0.9).bind(cr.Sequential(cr.Linear(2, 1)))
    state = optimizer.state()
    bad = {**state, "numbers": {**state["numbers"], "lr": 0.5}}
    for vectors in ({"velocity": np.zeros(2)}, {"velocity": np.asarray(["a", "b", "c"])}, {}):
        with pytest.raises(ValueError, match="expected"):
            optimizer.load_state({**bad, "vectors": vectors})
        assert (optimizer.lr, optimizer.steps) == (0.1, 0)
