"""The optimizer's hyperparameters, such as ``optimizer__lr``, are parameters of estimators."""

import copy

import numpy as np
import pytest

import chainrule as cr

pytest.importorskip("sklearn", "1.9")  # older scikit-learn versions need an older version of SciPy
from fitted import SMALL, TWO, X, assert_same_weights, fitted
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from chainrule.estimators import MLPClassifier, MLPRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def test_optimizer_options_are_parameters():
    optimizer = cr.SGD(0.1, momentum=0.9, clip_norm=2.0)
    model = MLPClassifier(optimizer=optimizer)
    deep = model.get_params()
    assert deep["optimizer"] is optimizer
    assert {name: deep[name] for name in deep if name.startswith("optimizer__")} == {
        "optimizer__lr": 0.1, "optimizer__momentum": 0.9, "optimizer__nesterov": False,
        "optimizer__weight_decay": 0.0, "optimizer__l1": 0.0, "optimizer__decay_biases": False,
        "optimizer__clip_norm": 2.0,
    }  # fmt: skip
    assert not [name for name in model.get_params(deep=False) if "__" in name]
    assert not [name for name in MLPClassifier().get_params() if "__" in name]


def test_setting_one_leaves_the_given_optimizer_alone():
    optimizer = cr.Adam(1e-3)
    model = MLPRegressor(optimizer=optimizer)
    other = clone(model).set_params(optimizer__lr=0.5, optimizer__betas=(0.5, 0.9), alpha=0.0)
    assert (other.optimizer.lr, other.optimizer.betas, other.alpha) == (0.5, (0.5, 0.9), 0.0)
    assert model.set_params(optimizer__lr=0.25) is model
    assert model.optimizer.lr == 0.25
    assert (optimizer.lr, other.optimizer.lr) == (1e-3, 0.5)
    third = clone(other)
    third.set_params(optimizer__lr=0.75)
    assert other.optimizer.lr == 0.5
    assert third.optimizer.betas == (0.5, 0.9)


def test_an_optimizer_and_its_rate_at_once():
    model = MLPRegressor().set_params(optimizer__lr=0.5, optimizer=cr.SGD(0.1))
    assert isinstance(model.optimizer, cr.SGD)
    assert model.optimizer.lr == 0.5


def test_training_uses_the_rate_that_was_set():
    model = MLPClassifier(optimizer=cr.SGD(0.9, momentum=0.5), **SMALL)
    model.set_params(optimizer__lr=cr.schedules.exponential(0.1, gamma=0.9)).fit(X, TWO)
    rate = cr.schedules.exponential(0.1, gamma=0.9)
    assert_same_weights(model, fitted(MLPClassifier, TWO, optimizer=cr.SGD(rate, momentum=0.5)))


def test_a_grid_of_rates():
    optimizer = cr.AdamW(1.0)
    mlp = MLPClassifier(optimizer=optimizer, **SMALL)
    grid = {"optimizer__lr": [1e-9, 0.03], "optimizer__weight_decay": [0.0, 0.1]}
    search = GridSearchCV(mlp, grid, cv=2).fit(X, TWO)
    whole = {"optimizer": [cr.AdamW(r, weight_decay=d) for r in (1e-9, 0.03) for d in (0.0, 0.1)]}
    expected = GridSearchCV(MLPClassifier(**SMALL), whole, cv=2).fit(X, TWO)
    for name in ("split0_test_score", "split1_test_score"):
        np.testing.assert_array_equal(search.cv_results_[name], expected.cv_results_[name])
    assert search.best_params_["optimizer__lr"] == search.best_estimator_.optimizer.lr == 0.03
    assert (optimizer.lr, mlp.optimizer) == (1.0, optimizer)


def test_a_rate_through_a_pipeline():
    pipeline = Pipeline([("scale", StandardScaler()), ("mlp", MLPClassifier(optimizer=cr.Adam()))])
    pipeline.set_params(mlp__optimizer__lr=0.5)
    assert pipeline["mlp"].optimizer.lr == 0.5


def test_the_warning_names_the_rate_that_can_be_raised():
    for optimizer, name in ((None, "learning_rate_init"), (cr.SGD(1e-3), "optimizer__lr")):
        with pytest.warns(ConvergenceWarning, match=f"max_iter=15 .*increase max_iter or {name},"):
            MLPClassifier(optimizer=optimizer, **SMALL).fit(X, TWO)


def test_a_fitted_estimator_trains_on_with_its_copy():
    """Setting ``optimizer__lr`` on a copy leaves the trainers of both estimators unchanged."""
    model = fitted(MLPClassifier, TWO, optimizer=cr.SGD(0.1))
    other = copy.deepcopy(model).set_params(optimizer__lr=0.5)
    assert other.trainer_.optimizer.lr == model.trainer_.optimizer.lr == 0.1


@pytest.mark.parametrize(
    ("optimizer", "options", "words"),
    [
        (
            None,
            {"optimizer__lr": 0.1},
            r" optimizer__lr, found optimizer=None\. .*learning_rate_init",
        ),
        (cr.Adam(), {"optimizer__rate": 0.1}, "'optimizer__rate' of MLPReg.* optimizer__lr, "),
        (cr.Adam(), {"optimizer__lr": -1.0}, "expected lr to be finite and at least 0, found -1.0"),
        (cr.Adam(), {"optimiser__lr": 1.0}, "Invalid parameter 'optimiser'"),
    ],
)
def test_parameters_that_are_refused(optimizer, options, words):
    with pytest.raises(ValueError, match=words):
        MLPRegressor(optimizer=optimizer).set_params(**options)
