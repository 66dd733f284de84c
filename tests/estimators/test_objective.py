"""Check the gradient and the sample weights of the L-BFGS objective."""

import numpy as np
import pytest

import chainrule as cr

pytest.importorskip("sklearn", "1.9")  # older scikit-learn versions need an older version of SciPy
from fitted import LABELS, NUMBER, WEIGHTS, X, assert_same_weights, fitted

from chainrule.estimators import MLPRegressor
from chainrule.estimators.lbfgs import _value_and_gradient
from chainrule.estimators.objective import (
    BinaryLogLoss,
    HalfPoissonLoss,
    HalfSquaredLoss,
    Penalty,
)

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

rng = np.random.default_rng(0)


@pytest.mark.parametrize("loss", [HalfSquaredLoss(), HalfPoissonLoss(), BinaryLogLoss()])
@pytest.mark.parametrize("alpha", [0.0, 2.0])
@pytest.mark.parametrize("weight", [None, WEIGHTS], ids=["", "weighted"])
def test_the_gradient_is_that_of_the_penalized_loss(loss, alpha, weight):
    """The gradient equals a finite difference and is the sum of the gradients of two batches."""
    model = cr.mlp([5, 4, 3], activation="tanh", dtype="float64")
    penalty, state = Penalty(model, alpha), model.state
    rows = [slice(0, 90), slice(90, 130)]
    split = [(X[r], LABELS[r], *([] if weight is None else [weight[r]])) for r in rows]
    whole = [(X, LABELS, *([] if weight is None else [weight]))]

    value, gradient = _value_and_gradient(model, loss, penalty, whole, len(X))
    again = _value_and_gradient(model, loss, penalty, split, len(X))
    assert value == pytest.approx(again[0])
    np.testing.assert_allclose(gradient, again[1], atol=1e-14)

    start, direction = state.values.copy(), rng.normal(size=state.values.shape)
    ends = []
    for step in (1e-6, -1e-6):
        state.values[...] = start + step * direction
        ends.append(_value_and_gradient(model, loss, penalty, whole, len(X))[0])
    assert gradient @ direction == pytest.approx((ends[0] - ends[1]) / 2e-6, rel=1e-6)


def test_a_batch_of_zero_weight_does_not_change_the_model():
    weight = np.r_[np.ones(120), np.zeros(10)]
    options = {"solver": "sgd", "shuffle": False, "batch_size": 120, "momentum": 0.0}
    some = fitted(MLPRegressor, NUMBER[:120], X[:120], weight[:120], alpha=3.0, **options)
    padded = fitted(MLPRegressor, NUMBER, X, weight, alpha=3.0, **options)
    assert_same_weights(some, padded)


def test_a_mean_of_0_where_the_target_is_0():
    value, backward = HalfPoissonLoss()(np.asarray([[-np.inf, 0.0]]), np.asarray([[0.0, 1.0]]))
    assert float(value) == 0.0  # the loss is exp(y) - target + target (log target - y)
    assert backward().tolist() == [[0.0, 0.0]]
