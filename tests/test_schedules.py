"""Check the formulas, the last steps and the errors of schedules, and their use in optimizers."""

import copy
import math
import pickle

import numpy as np
import pytest

import chainrule as cr
from chainrule.schedules import (
    cosine,
    cosine_restarts,
    exponential,
    one_cycle,
    polynomial,
    step_decay,
    warmup,
)


def cosine_between(a, b, done):
    return b + (a - b) * (1 + math.cos(math.pi * done)) / 2


def restarts(step):
    """Compute cosine restarts with cycles of 3 steps, 6 steps, 12 steps and so on."""
    starts = [3 * (2**i - 1) for i in range(9)]
    cycle = max(i for i, start in enumerate(starts) if start <= step)
    return cosine_between(0.8, 0.1, (step - starts[cycle]) / (3 * 2**cycle))


def one_cycle_of_cosines(step):
    if step <= 24:
        return cosine_between(0.02, 0.5, step / 24)
    return cosine_between(0.5, 0.02 / 1e4, min((step - 24) / 75, 1))


def one_cycle_of_lines(step):
    """Compute a linear cycle whose peak, at 19.8, lies between two steps."""
    if step <= 19.8:
        return 0.1 + (0.5 - 0.1) * step / 19.8
    return 0.5 + (0.01 - 0.5) * min((step - 19.8) / (51 - 19.8), 1)


# Each row: a schedule, its formula, and the step at which it ends (or None).
SCHEDULES = {
    "step_decay": (step_decay(0.8, step_size=7, gamma=0.5), lambda t: 0.8 / 2 ** (t // 7), None),
    "exponential": (exponential(0.8, gamma=0.95), lambda t: 0.8 * 0.95**t, None),
    "exponential growth": (exponential(1e-5, gamma=1.05), lambda t: 1e-5 * 1.05**t, None),
    "line": (
        polynomial(0.8, steps=40, end=0.1),
        lambda t: 0.8 - 0.7 * min(t, 40) / 40,
        40,
    ),
    "polynomial": (
        polynomial(0.1, steps=40, end=0.8, power=2.5),
        lambda t: 0.8 - 0.7 * (1 - min(t, 40) / 40) ** 2.5,
        40,
    ),
    "cosine": (
        cosine(0.8, steps=40, end=0.1),
        lambda t: cosine_between(0.8, 0.1, min(t, 40) / 40),
        40,
    ),
    "cosine_restarts": (
        cosine_restarts(0.8, steps=9),
        lambda t: cosine_between(0.8, 0.0, (t % 9) / 9),
        None,
    ),
    "cosine_restarts, longer": (cosine_restarts(0.8, steps=3, end=0.1, factor=2), restarts, None),
    "one_cycle": (one_cycle(0.5, steps=100, pct_start=0.25), one_cycle_of_cosines, 99),
    "one_cycle of lines": (
        one_cycle(
            0.5, 52, pct_start=0.4, anneal_strategy="linear", div_factor=5, final_div_factor=10
        ),
        one_cycle_of_lines,
        51,
    ),
    "warmup": (
        warmup(10, cosine(0.8, steps=40), start=0.2),
        lambda t: 0.2 + 0.06 * t if t < 10 else cosine_between(0.8, 0.0, min(t - 10, 40) / 40),
        50,
    ),
    "warmup to a rate": (warmup(10, 0.8), lambda t: 0.8 * min(t / 10, 1), 10),
    "warmup of no steps": (warmup(0, exponential(0.8, 0.9)), lambda t: 0.8 * 0.9**t, None),
    "warmup twice": (
        warmup(5, warmup(10, 0.8, start=0.1)),
        lambda t: 0.1 * t / 5 if t < 5 else 0.1 + 0.7 * min((t - 5) / 10, 1),
        15,
    ),
    "warmup to a function": (
        warmup(10, lambda step: 1 / (1 + step)),
        lambda t: t / 10 if t < 10 else 1 / (t - 9),
        None,
    ),
}
schedules = pytest.mark.parametrize(
    ("schedule", "formula", "end"), SCHEDULES.values(), ids=SCHEDULES
)


@schedules
def test_formula(schedule, formula, end):
    found = [schedule(step) for step in range(300)]
    assert all(isinstance(rate, float) for rate in found)
    np.testing.assert_allclose(
        found, [formula(step) for step in range(300)], rtol=1e-12, atol=1e-16
    )


ENDING = {name: (schedule, end) for name, (schedule, _, end) in SCHEDULES.items() if end}


@pytest.mark.parametrize(("schedule", "end"), ENDING.values(), ids=ENDING)
def test_it_stays_constant_after_its_end(schedule, end):
    assert schedule(end - 1) != schedule(end) == schedule(end + 1) == schedule(10**9)


@schedules
def test_it_works_wherever_a_rate_does(schedule, formula, end, library):
    layer = cr.Linear(1, 1, bias=False, init=cr.initializers.zeros())
    model = cr.Sequential(layer, backend=library.backend, dtype="float64")
    optimizer = cr.SGD(schedule).bind(model)
    for _ in range(20):
        layer.weight.add_grad(model.xp.full((1, 1), -1.0, dtype=model.state.dtype))
        optimizer.step()
    travelled = sum(formula(step) for step in range(20))
    assert float(library.to_numpy(layer.weight.value)[0, 0]) == pytest.approx(travelled, rel=1e-12)
    assert f"lr={schedule!r}" in repr(optimizer)


COPIED = {name: row[0] for name, row in SCHEDULES.items() if "function" not in name}


@pytest.mark.parametrize("schedule", COPIED.values(), ids=COPIED)
def test_a_copy_is_the_same(schedule):
    assert copy.deepcopy(schedule) == pickle.loads(pickle.dumps(schedule)) == schedule
    assert eval(repr(schedule)) == schedule


def test_a_trainer_with_a_schedule_can_be_copied():
    model = cr.Sequential(cr.Linear(2, 1), seed=0)
    schedule = warmup(2, one_cycle(0.1, steps=8), start=0.01)
    trainer = cr.Trainer(model, loss=cr.MSELoss(), optimizer=cr.SGD(schedule))
    x, y = np.eye(2), np.ones((2, 1))
    trainer.fit(x, y, epochs=3, verbose=0)
    twins = [trainer, copy.deepcopy(trainer), pickle.loads(pickle.dumps(trainer))]
    losses = [twin.fit(x, y, epochs=3, verbose=0)["loss"] for twin in twins]
    assert losses[0] == losses[1] == losses[2]
    assert len(set(losses[0])) == 6


def test_restarts_are_exact_however_far_away():
    for factor in (2, 3, 7):
        schedule = cosine_restarts(1.0, steps=5, factor=factor)
        for cycle in range(20):
            start = 5 * (factor**cycle - 1) // (factor - 1)
            assert schedule(start) == 1.0
            assert start == 0 or schedule(start - 1) < 0.1


def test_a_cycle_too_short_to_rise():
    schedule = one_cycle(1.0, steps=2, pct_start=0.5)
    assert [schedule(0), schedule(1)] == [1.0, 1 / 25 / 1e4]
    assert one_cycle(1.0, steps=1)(0) == 1 / 25 / 1e4


BAD = {
    "negative": (
        lambda: exponential(-0.1, gamma=0.5),
        ValueError,
        "expected lr to be finite and at least 0",
    ),
    "NaN": (lambda: cosine(math.nan, 3), ValueError, "expected lr .* found nan"),
    "infinite": (lambda: polynomial(0.1, 3, end=math.inf), ValueError, "expected end .* found inf"),
    "text": (lambda: exponential("0.1", 0.9), TypeError, "expected lr to be a number, found '0.1'"),
    "no steps": (lambda: cosine(0.1, 0), ValueError, "expected steps to be at least 1, found 0"),
    "half a step": (lambda: polynomial(0.1, 2.5), TypeError, "expected steps .* found 2.5"),
    "step_size": (lambda: step_decay(0.1, 0), ValueError, "expected step_size .* found 0"),
    "gamma": (lambda: step_decay(0.1, 3, gamma=-1), ValueError, "expected gamma .* found -1"),
    "gamma 0": (lambda: exponential(0.1, 0.0), ValueError, "gamma to be finite and above 0"),
    "power": (lambda: polynomial(0.1, 3, power=0), ValueError, "power to be finite and above 0"),
    "factor": (lambda: cosine_restarts(1, 3, factor=0), ValueError, "expected factor .* found 0"),
    "factor 1.5": (lambda: cosine_restarts(1, 3, factor=1.5), TypeError, "expected factor .* 1.5"),
    "max_lr": (lambda: one_cycle(-1, 3), ValueError, "expected max_lr .* found -1"),
    "pct_start": (lambda: one_cycle(1, 3, pct_start=1.0), ValueError, "0 < pct_start < 1, found 1"),
    "strategy": (lambda: one_cycle(1, 3, anneal_strategy="cosine"), ValueError, "found 'cosine'"),
    "divisor": (lambda: one_cycle(1, 3, div_factor=0), ValueError, "expected div_factor"),
    "final": (lambda: one_cycle(1, 3, final_div_factor=0), ValueError, "expected final_div_factor"),
    "warmup": (lambda: warmup(-1, 0.1), ValueError, "expected steps to be at least 0, found -1"),
    "start": (lambda: warmup(3, 0.1, start=-1), ValueError, "expected start .* found -1"),
    "then": (lambda: warmup(3, "cosine"), TypeError, "expected then .* found 'cosine'"),
}


@pytest.mark.parametrize(("make", "error", "message"), BAD.values(), ids=BAD)
def test_bad_arguments(make, error, message):
    with pytest.raises(error, match=message):
        make()


@pytest.mark.parametrize(
    "rate",
    [cr.schedules.exponential(1e-3, gamma=1.01), cr.schedules.step_decay(1e-3, 1, gamma=2.0)],
    ids=["exponential", "step_decay"],
)
def test_a_rate_that_overflows_is_an_error_with_its_name(rate):
    optimizer = cr.SGD(rate).bind(cr.Sequential(cr.Linear(1, 1)))
    optimizer.steps = 100_000
    with pytest.raises(ValueError, match="expected lr to be finite and at least 0, found inf"):
        optimizer.step()
