"""Check warm starts, `partial_fit`, and estimators after a fit that failed."""

import copy
import pickle

import numpy as np
import pytest

import chainrule as cr
from chainrule.callbacks import LambdaCallback

pytest.importorskip("sklearn", "1.9")  # older scikit-learn versions need an older version of SciPy
from fitted import LABELS, NAMES, NUMBER, SMALL, THREE, TWO, X, assert_same_weights, fitted

from chainrule.estimators import MLPClassifier, MLPRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def test_warm_starts_and_single_epochs():
    whole = fitted(MLPClassifier, THREE, max_iter=6, tol=0.0)
    parts = MLPClassifier(**SMALL)
    for _ in range(6):
        parts.partial_fit(X, THREE, classes=[0, 1, 2])
    assert_same_weights(whole, parts, atol=0)
    assert parts.loss_curve_ == whole.loss_curve_
    assert (parts.n_iter_, parts.t_) == (1, 6 * 130)
    warm = MLPClassifier(**{**SMALL, "max_iter": 3}, warm_start=True)
    curve = warm.fit(X, THREE).fit(X, THREE).loss_curve_
    assert len(curve) == 6
    assert curve[3] < curve[0]
    with pytest.raises(ValueError, match="same classes"):
        warm.fit(X, TWO)
    with pytest.raises(ValueError, match="as before"):
        parts.partial_fit(X, THREE, classes=[0, 1])
    with pytest.raises(ValueError, match="expected classes among"):
        parts.partial_fit(X, THREE + 1)
    with pytest.raises(ValueError, match="first call"):
        MLPClassifier().partial_fit(X, THREE)


@pytest.mark.parametrize("how", [{}, {"warm_start": True}, {"early_stopping": True}], ids=str)
@pytest.mark.parametrize(
    ("options", "data"),
    [
        ({}, (X[:, :4], THREE + 10, np.ones(3))),
        ({}, (X[:, :4], LABELS, np.ones(3))),
        ({"activation": "nope"}, (X[:, :4], THREE + 10)),
        ({"hidden_layer_sizes": 0}, (X[:, :4], THREE + 10)),
        ({"device": "nope"}, (X[:, :4], THREE + 10)),
        ({"loss": cr.CrossEntropyLoss(weight=[1.0])}, (X[:, :4], THREE + 10)),
        ({"batch_norm": True, "batch_size": 1}, (X[:, :4], THREE + 10)),
        ({"early_stopping": True, "validation_fraction": 0.001}, (X[:, :4], THREE + 10)),
        (
            {"callbacks": [LambdaCallback(on_epoch_end=lambda trainer: int("two"))]},
            (X[:, :4], THREE + 10),
        ),
    ],
)
@pytest.mark.filterwarnings("ignore:X does not have valid feature names")
def test_an_error_does_not_change_an_estimator(options, data, how):
    frame = pytest.importorskip("pandas").DataFrame(X, columns=list("abcde"))
    model = fitted(MLPClassifier, NAMES, frame, **how)
    before, given = model.predict_proba(frame), model.get_params()
    state = {k: copy.copy(v) for k, v in vars(model).items() if k not in given}
    with pytest.raises((ValueError, TypeError, cr.BackendError)):
        model.set_params(**options).fit(*data)
    np.testing.assert_array_equal(model.predict_proba(frame), before)
    after = {k: v for k, v in vars(model).items() if k not in given}
    assert state.keys() == after.keys()
    for name, value in state.items():
        if name[-1] == "_" and name not in ("model_", "trainer_"):
            np.testing.assert_equal(after[name], value)
    model.set_params(**given).fit(frame, NAMES)


def test_a_failed_first_epoch_learns_no_classes():
    model = MLPClassifier(**SMALL)
    with pytest.raises(ValueError, match="130 sample weights"):
        model.partial_fit(X, TWO, [1.0], classes=[0, 1])
    assert not hasattr(model, "classes_")


@pytest.mark.parametrize(
    "options",
    [
        {"hidden_layer_sizes": (4, 7)},
        {"activation": "tanh"},
        {"activation": ["relu", "tanh"]},
        {"loss": cr.HuberLoss()},
        {"dropout": 0.1},
        {"batch_norm": True},
        {"precision": "float32"},
        {"backend": "numpy"},
        {"device": "cpu"},
    ],
    ids=str,
)
def test_a_warm_start_keeps_the_network(options):
    model = MLPRegressor(**SMALL, warm_start=True).fit(X, NUMBER)
    (name,) = options
    model.set_params(**options)
    for train in (model.fit, model.partial_fit):
        with pytest.raises(
            ValueError, match=f"expected {name} to stay .*, found .*the existing network"
        ):
            train(X, NUMBER)
    model.set_params(warm_start=False).fit(X, NUMBER)


def test_a_warm_start_accepts_an_equivalent_network():
    model = MLPRegressor(**SMALL, warm_start=True, loss=cr.HuberLoss()).fit(X, NUMBER)
    model = pickle.loads(pickle.dumps(model)).fit(X, NUMBER)
    model.set_params(hidden_layer_sizes=[7, 4], activation=["relu"] * 2, dropout=[0, 0])
    model.set_params(batch_norm=np.False_, loss=cr.HuberLoss()).fit(X, NUMBER)


@pytest.mark.parametrize("early", [True, False])
@pytest.mark.parametrize("kind", [MLPClassifier, MLPRegressor])
def test_a_warm_start_trains_on_other_data(kind, early):
    """After a warm start on new data, the best value on the old data no longer counts."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(400, 2))
    first, second = (x > 0).astype(int).T
    options = {"learning_rate_init": 0.02, "max_iter": 300, "early_stopping": early}
    model = kind(hidden_layer_sizes=(16,), random_state=0, warm_start=True, **options)
    model.fit(x, first)
    before, epochs = [w.copy() for w in model.coefs_], model.n_iter_
    model.fit(x, second)
    fresh = kind(hidden_layer_sizes=(16,), random_state=0, **options).fit(x, second)
    least = 0.95 if kind is MLPClassifier else 0.8
    assert fresh.score(x, second) > least
    assert model.score(x, second) > least
    assert not any(map(np.array_equal, before, model.coefs_))
    assert len(model.loss_curve_) == epochs + model.n_iter_
    if early:
        assert model.best_validation_score_ == max(model.validation_scores_[epochs:])
        assert len(model.validation_scores_) == epochs + model.n_iter_
    else:
        assert model.best_loss_ == min(model.loss_curve_[epochs:])


def test_a_warm_start_on_the_same_data_has_its_own_patience():
    options = {"tol": 1.0, "n_iter_no_change": 3}
    model = fitted(MLPClassifier, THREE, warm_start=True, **options)
    for _ in range(2):  # in each call, the first epoch counts as an improvement
        assert model.n_iter_ == 5
        model.fit(X, THREE)


def test_single_epochs_count_together_until_the_rate_is_reduced():
    rate = {"solver": "sgd", "learning_rate": "adaptive", "tol": 1.0, "n_iter_no_change": 2}
    model = MLPRegressor(**{**SMALL, **rate})
    rates = [model.partial_fit(X, NUMBER).trainer_.optimizer.lr for _ in range(8)]
    np.testing.assert_allclose(rates, [1e-3] * 3 + [2e-4] * 3 + [4e-5] * 2)


def test_a_warm_start_may_change_how_it_stops():
    model = MLPRegressor(**SMALL, warm_start=True).fit(X, NUMBER)
    model.set_params(early_stopping=True).fit(X, NUMBER)
    assert len(model.validation_scores_) == model.n_iter_
    model.set_params(early_stopping=False, solver="lbfgs").fit(X, NUMBER)
    assert model.set_params(solver="sgd").fit(X, NUMBER).best_loss_ < 1.0
