"""Every loss and its gradient equal weighted sums over samples, computed here with plain NumPy."""

from functools import partial

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import chainrule as cr

TINY = np.finfo(np.float64).smallest_normal


def binary_cross_entropy(y, t, pos_weight=1.0):
    """Compute binary cross-entropy from logits. ``logaddexp(0, -y)`` is ``log(1 + exp(-y))``."""
    return (1 - t) * np.logaddexp(0, y) + pos_weight * t * np.logaddexp(0, -y)


def binary_cross_entropy_of_probabilities(y, t):
    return -t * np.log(np.maximum(y, TINY)) - (1 - t) * np.log(np.maximum(1 - y, TINY))


def huber(y, t, delta):
    d = np.abs(y - t)
    return np.where(d <= delta, d * d / 2, delta * (d - delta / 2))


def divergence(y, t):
    return t * (np.log(np.where(t > 0, t, 1)) - y)


def numbers(least, most):
    """Draw floats. Subnormal numbers are left out, because their products lose accuracy."""
    return st.floats(least, most, allow_subnormal=False)


WIDE, SHARE, WEIGHT = numbers(-30, 30), numbers(0, 1), st.just(0.0) | numbers(0.01, 4)


def weights(size):
    """Draw weights of outputs or classes, which are at least 0 and not all 0."""
    return st.none() | arrays(float, size, elements=WEIGHT).filter(np.any).map(np.ndarray.tolist)


# Each row: a loss, its formula, the range of its outputs and the range of its targets.
LOSSES = {
    cr.MSELoss: (lambda y, t: (y - t) ** 2, WIDE, WIDE),
    cr.L1Loss: (lambda y, t: np.abs(y - t), WIDE, WIDE),
    cr.HuberLoss: (huber, WIDE, WIDE),
    cr.BCELoss: (binary_cross_entropy_of_probabilities, SHARE, SHARE),
    cr.BCEWithLogitsLoss: (binary_cross_entropy, WIDE, SHARE),
    cr.KLDivLoss: (divergence, numbers(-30, 0), SHARE),
}


@st.composite
def elementwise(draw, kind):
    """Draw an elementwise loss, outputs, targets, expected values, and each sample's weight."""
    formula, outputs, targets = LOSSES[kind]
    shape = draw(st.lists(st.integers(1, 4), min_size=1, max_size=3).map(tuple))
    y = draw(arrays(float, shape, elements=outputs))
    t = draw(arrays(float, shape, elements=targets))
    options = {}
    if kind is cr.HuberLoss:
        options["delta"] = draw(numbers(0.1, 20))
    if kind is cr.BCEWithLogitsLoss and len(shape) > 1 and (weight := draw(weights(shape[-1]))):
        options["pos_weight"] = weight
    values = formula(y, t, **{name: np.asarray(option) for name, option in options.items()})
    if len(shape) > 1 and (weight := draw(weights(shape[-1]))):
        options["weight"], values = weight, values * np.asarray(weight)
    return partial(kind, **options), y, t, values, np.ones(len(y))


@st.composite
def classes(draw):
    """Draw cross-entropy, outputs, targets, expected values, and each sample's weight."""
    batch, count = draw(st.integers(1, 6)), draw(st.integers(2, 4))
    y = draw(arrays(float, (batch, count), elements=WIDE))
    if draw(st.booleans()):
        t = draw(arrays(np.int64, batch, elements=st.integers(0, count - 1)))
        shares = np.eye(count)[t]
    else:
        t = draw(arrays(float, (batch, count), elements=numbers(0.01, 1)))
        shares = t = t / t.sum(axis=1, keepdims=True)
    options, of_class = {}, np.ones(count)
    if weight := draw(weights(count)):
        options["weight"], of_class = weight, np.asarray(weight)
    smoothing = options["label_smoothing"] = draw(st.just(0.0) | SHARE)
    counts = np.ones(batch)
    if t.ndim == 1 and draw(st.booleans()):
        ignored = options["ignore_index"] = draw(st.sampled_from([-100, 0]))
        t = np.where(draw(arrays(bool, batch)), ignored, t)
        counts = (t != ignored).astype(float)
    log_p = y - np.logaddexp.reduce(y, axis=1, keepdims=True)
    smooth = (1 - smoothing) * shares + smoothing / count
    values = -counts * (of_class * smooth * log_p).sum(axis=1)
    totals = counts * (of_class * shares).sum(axis=1)
    return partial(cr.CrossEntropyLoss, **options), y, t, values, totals


def sample_weights(batch):
    return st.none() | arrays(float, batch, elements=WEIGHT)


def close(found, expected, size):
    """Check that numbers agree up to rounding, relative to the size of the summands."""
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12 * (1 + np.max(size)))


def reductions_of(kind):
    names = ("mean", "sum", "none")
    return (*names, "batchmean") if kind is cr.KLDivLoss else names


every_loss = pytest.mark.parametrize(
    "losses",
    [*map(elementwise, LOSSES), classes()],
    ids=[*(kind.__name__ for kind in LOSSES), "CrossEntropyLoss"],
)


@every_loss
@given(data=st.data())
def test_reductions(losses, data):
    """Every reduction equals its formula, with and without sample weights."""
    make, y, t, values, totals = data.draw(losses)
    weight = data.draw(sample_weights(len(y)), label="sample_weight")
    batch, per_sample = len(y), values.size // len(y)
    w = np.ones(batch) if weight is None else weight
    values = w.reshape(batch, *(1,) * (values.ndim - 1)) * values
    total = (w * totals).sum() or np.inf  # if all samples are ignored, the loss is 0
    expected = {
        "none": (values, 1.0),
        "sum": (values.sum(), 1.0),
        "mean": (values.sum() / (total * per_sample), 1 / (total * per_sample)),
        "batchmean": (values.sum() / total, 1 / total),
    }
    _, derivatives = make(reduction="sum")(y, t, sample_weight=weight)
    for reduction in reductions_of(make.func):
        value, backward = make(reduction=reduction)(y, t, sample_weight=weight)
        by_hand, scale = expected[reduction]
        close(value, by_hand, scale * np.abs(values).sum())
        gradient = scale * derivatives()
        close(backward(), gradient, np.abs(gradient))
        close(backward(-2.5), -2.5 * gradient, np.abs(gradient))


@every_loss
@given(data=st.data())
def test_an_integer_weight_repeats_a_sample(losses, data):
    make, y, t, *_ = data.draw(losses)
    times = data.draw(arrays(np.int64, len(y), elements=st.integers(0, 3)), label="times")
    assume(times.any())
    for reduction in set(reductions_of(make.func)) - {"none"}:
        loss = make(reduction=reduction)
        value, backward = loss(y, t, sample_weight=times.astype(float))
        repeated, back_repeated = loss(np.repeat(y, times, axis=0), np.repeat(t, times, axis=0))
        close(value, repeated, np.abs(repeated))
        first = np.cumsum(times)[times > 0] - times[times > 0]  # the first copy of each sample
        of_each = np.add.reduceat(back_repeated(), first, axis=0)
        close(backward()[times > 0], of_each, np.abs(of_each))
        assert not backward()[times == 0].any()
