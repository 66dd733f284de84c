"""A custom loss may have targets and outputs of different shapes."""

import math
from contextlib import nullcontext

import numpy as np
import pytest

import chainrule as cr


class GaussianNLL(cr.Loss):
    """The example in the docstring of `Loss`."""

    def as_target(self, xp, y, target):
        return super().as_target(xp, y[:, :1], target)

    def formula(self, xp, y, target):
        mean, log_var = y[:, :1], y[:, 1:2]
        d, precision = mean - target, xp.exp(-log_var)

        def derivative():
            return xp.concat([d * precision, 0.5 - 0.5 * d * d * precision], axis=1)

        return 0.5 * (d * d * precision + log_var), derivative


Y = np.asarray([[1.0, 0.0], [0.5, math.log(4)], [-2.0, math.log(0.25)]])
T = np.asarray([[3.0], [0.5], [-1.0]])
VALUES = np.asarray([[2.0], [math.log(2)], [2.0 - math.log(2)]])


@pytest.mark.parametrize("weight", [None, [2.0, 1.0, 0.0]])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_values_and_gradients(reduction, weight, library):
    w = np.ones(3) if weight is None else np.asarray(weight)
    reduced = {
        "none": w[:, None] * VALUES,
        "sum": (w @ VALUES).item(),
        "mean": (w @ VALUES).item() / w.sum(),
    }
    loss = GaussianNLL(reduction=reduction)
    value, _ = loss(library.asarray(Y), library.asarray(T), sample_weight=weight)
    np.testing.assert_allclose(library.to_numpy(value), reduced[reduction], rtol=1e-12)
    assert cr.gradcheck(loss, shape=(3, 2), target=T, backend=library.backend) < 1e-6


def test_wrong_shapes_are_reported(library):
    y = library.asarray(Y)
    for target in (T[:, 0], Y):
        with pytest.raises(cr.ShapeError, match=r"^GaussianNLL: expected .*\(batch, 1\)"):
            GaussianNLL()(y, library.asarray(target))
    three = library.asarray(np.ones((3, 3)))
    with pytest.raises(cr.ShapeError, match=r"expected gradient of shape \(3, 3\), found \(3, 2\)"):
        GaussianNLL()(three, library.asarray(T))[1]()


def test_training_lowers_the_loss_and_micro_batches_change_nothing(library):
    x = np.linspace(-1.0, 1.0, 6)[:, None]
    histories = []
    for parts in (1, 3):
        model = cr.Sequential(cr.Linear(1, 2), backend=library.backend, dtype="float64")
        trainer = cr.Trainer(model, loss=GaussianNLL(), optimizer=cr.SGD(0.05))
        trainer.fit(x, 2.0 * x, epochs=5, batch_size=6, micro_batches=parts, verbose=0)
        histories.append(trainer.history["loss"])
    np.testing.assert_allclose(*histories, rtol=1e-12)
    assert histories[0][-1] < histories[0][0]
    mean, log_var = model.predict(x).T[:, :, None]
    by_hand = np.mean((mean - 2.0 * x) ** 2 / np.exp(log_var) + log_var) / 2.0
    assert trainer.evaluate(x, 2.0 * x) == {"loss": pytest.approx(by_hand)}


class WritesToOutputs(cr.Loss):
    def formula(self, xp, y, target):
        y -= target
        return y * y, lambda: 2.0 * y


class WritesToTargets(cr.Loss):
    def formula(self, xp, y, target):
        target -= y
        return target * target, lambda: -2.0 * target


@pytest.mark.parametrize("kind", [WritesToOutputs, WritesToTargets])
def test_a_loss_cannot_change_the_outputs_or_the_targets(kind, library):
    """If a loss changed the outputs of `Tanh`, the gradient of this layer would be wrong."""
    x, target = np.asarray([[1.0], [-2.0]]), np.asarray([[0.5], [0.25]])
    before, trained = target.copy(), []
    for loss in (kind(), cr.MSELoss()):
        model = cr.Sequential(cr.Linear(1, 1), cr.Tanh(), backend=library.backend)
        trainer = cr.Trainer(model, loss=loss, optimizer=cr.SGD(0.1))
        with reported(kind.__name__, loss, library):
            trainer.fit(x, target, verbose=0)
        with reported(kind.__name__, loss, library):
            loss(library.asarray(x), library.asarray(target))
        trained.append(library.to_numpy(model.state.values))
    if not library.name.startswith("numpy"):
        np.testing.assert_array_equal(*trained)
    np.testing.assert_array_equal(target, before)


def reported(name, loss, library):
    if loss.__class__.__name__ != name or not library.name.startswith("numpy"):
        return nullcontext()
    return pytest.raises(ValueError, match=rf"^{name}\(.*\): writes to its arguments")
