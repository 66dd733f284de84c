"""On the same batches, the estimators train exactly like scikit-learn's."""

import numpy as np
import pytest

pytest.importorskip("sklearn", "1.9")  # older scikit-learn versions need an older version of SciPy
from fitted import LABELS, NUMBER, NUMBERS, THREE, TWO, WEIGHTS, X, assert_same_weights, fitted
from sklearn import neural_network
from sklearn.datasets import load_digits

from chainrule import estimators
from chainrule.estimators import MLPRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
SOLVERS = [
    {"solver": "sgd"},
    {"solver": "adam"},
    {"solver": "adam", "epsilon": 0.1, "beta_1": 0.8, "beta_2": 0.9},
    {"solver": "lbfgs", "activation": "tanh"},
    *(
        {"solver": "sgd", "learning_rate": rate, "learning_rate_init": 0.1, "tol": 0.1,
         "n_iter_no_change": 2, "nesterovs_momentum": nesterov}
        for rate in ("invscaling", "adaptive") for nesterov in (True, False)
    ),
    {"solver": "sgd", "momentum": 0.0},
    *({"activation": name} for name in ("identity", "logistic", "tanh")),
]  # fmt: skip
TARGETS = {
    "two classes": ("MLPClassifier", TWO, {}),
    "three classes": ("MLPClassifier", THREE, {}),
    "labels": ("MLPClassifier", LABELS, {}),
    "number": ("MLPRegressor", NUMBER, {}),
    "count": ("MLPRegressor", np.abs(NUMBER), {"loss": "poisson"}),
    "counts": ("MLPRegressor", np.abs(NUMBERS), {"loss": "poisson"}),
}


@pytest.mark.parametrize("weight", [None, WEIGHTS], ids=["", "weighted"])
@pytest.mark.parametrize("solver", SOLVERS, ids=lambda s: "-".join(map(str, s.values())))
@pytest.mark.parametrize("target", TARGETS)
def test_training_equals_scikit_learns_on_the_same_batches(target, solver, weight):
    """The weights equal scikit-learn's, even with a smaller last batch and a strong penalty."""
    name, y, loss = TARGETS[target]
    options = {"shuffle": False, "alpha": 0.1, **loss, **solver}
    ours = fitted(getattr(estimators, name), y, weight=weight, **options)
    theirs = fitted(getattr(neural_network, name), y, weight=weight, **options)
    atol = 1e-7 if solver.get("solver") == "lbfgs" else 1e-12
    assert_same_weights(ours, theirs, atol=atol)
    for attribute in ("n_iter_", "t_", "n_layers_", "n_outputs_", "out_activation_"):
        assert getattr(ours, attribute) == getattr(theirs, attribute), attribute
    np.testing.assert_allclose(ours.predict(X), theirs.predict(X), atol=1e-6)
    if weight is None:  # with weights, the loss curves are defined differently
        assert ours.loss_ == pytest.approx(theirs.loss_, rel=1e-6)
        if options.get("solver") != "lbfgs":
            np.testing.assert_allclose(ours.loss_curve_, theirs.loss_curve_, rtol=1e-9)
            assert ours.best_loss_ == pytest.approx(theirs.best_loss_)


@pytest.mark.parametrize("weight", [None, WEIGHTS], ids=["", "weighted"])
@pytest.mark.parametrize("target", ["two classes", "labels", "number"])
def test_validation_data_and_scores_equal_scikit_learns(target, weight):
    name, y, _ = TARGETS[target]
    options = {"early_stopping": True, "shuffle": False, "learning_rate_init": 0.02}
    ours = fitted(getattr(estimators, name), y, weight=weight, **options)
    theirs = fitted(getattr(neural_network, name), y, weight=weight, **options)
    np.testing.assert_allclose(ours.validation_scores_, theirs.validation_scores_)
    assert ours.best_validation_score_ == max(ours.validation_scores_)
    assert_same_weights(ours, theirs)


def test_several_outputs_train_as_in_scikit_learn_with_a_summed_loss():
    for solver in ("sgd", "adam"):
        options = {"shuffle": False, "solver": solver, "tol": 0.0, "alpha": 0.0}
        ours = fitted(MLPRegressor, NUMBERS, **options)
        theirs = fitted(neural_network.MLPRegressor, NUMBERS, **options)
        assert_same_weights(ours, theirs)
        assert ours.loss_ == pytest.approx(2 * theirs.loss_)


def test_scores_on_the_digits_match_scikit_learns():
    x, y = load_digits(return_X_y=True)
    x, half = x / 16, len(y) // 2
    scores = {}
    for module in (estimators, neural_network):
        scores[module.__name__] = [
            module.MLPClassifier((32,), random_state=seed, max_iter=40)
            .fit(x[:half], y[:half])
            .score(x[half:], y[half:])
            for seed in range(4)
        ]
    ours, theirs = scores.values()
    assert np.mean(ours) == pytest.approx(np.mean(theirs), abs=max(np.std(theirs), 0.005))
