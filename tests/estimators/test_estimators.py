"""The estimators against scikit-learn's checks and its own two, and what they have beyond them."""

import builtins
import copy
import importlib
import pickle
import signal
import sys
import warnings
from pathlib import Path

import joblib
import numpy as np
import pretended
import pytest

import chainrule as cr
from chainrule.callbacks import Callback, LambdaCallback
from chainrule.losses import Loss

pytest.importorskip("sklearn", "1.9")  # older ones lack weights, and need older SciPys
from scipy import sparse
from sklearn import neural_network
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from chainrule import estimators
from chainrule.estimators import MLPClassifier, MLPRegressor
from chainrule.estimators.lbfgs import _value_and_gradient
from chainrule.estimators.objective import (
    BinaryLogLoss,
    HalfPoissonLoss,
    HalfSquaredLoss,
    Penalty,
)

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

rng = np.random.default_rng(0)
X = rng.normal(size=(130, 5))
WEIGHTS = 2.0 * rng.random(130)
TWO = (X[:, 0] + X[:, 1] ** 2 > 0.7).astype(int)
THREE = np.digitize(X[:, 0] + X[:, 1], [-0.5, 0.5])
LABELS = np.stack([TWO, THREE > 0, X[:, 4] > 0], axis=1).astype(int)
NUMBER = X[:, 0] * X[:, 1] + X[:, 2]
NUMBERS = np.stack([NUMBER, X[:, 3] ** 2], axis=1)
NAMES = np.asarray(["low", "middle", "high"], dtype=object)[THREE]
SMALL = {"hidden_layer_sizes": (7, 4), "max_iter": 15, "batch_size": 40, "random_state": 3}


def fitted(kind, y, x=X, weight=None, **options):
    return kind(**{**SMALL, **options}).fit(x, y, sample_weight=weight)


def parameters(model):
    return [np.asarray(a) for a in (*model.coefs_, *model.intercepts_)]


def assert_same_weights(a, b, **tolerance):
    for p, q in zip(parameters(a), parameters(b), strict=True):
        np.testing.assert_allclose(p, q, **{"rtol": 0, "atol": 1e-12, **tolerance})


@parametrize_with_checks([MLPClassifier(), MLPRegressor()])
@pytest.mark.filterwarnings("ignore")
def test_scikit_learns_checks(estimator, check):
    check(estimator)


# Beside scikit-learn's own estimators.

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
def test_on_the_same_batches_it_is_scikit_learns_training(target, solver, weight):
    """From the same weights, with a last batch of another size and a penalty that matters."""
    name, y, loss = TARGETS[target]
    options = {"shuffle": False, "alpha": 0.1, **loss, **solver}
    ours = fitted(getattr(estimators, name), y, weight=weight, **options)
    theirs = fitted(getattr(neural_network, name), y, weight=weight, **options)
    atol = 1e-7 if solver.get("solver") == "lbfgs" else 1e-12
    assert_same_weights(ours, theirs, atol=atol)
    for attribute in ("n_iter_", "t_", "n_layers_", "n_outputs_", "out_activation_"):
        assert getattr(ours, attribute) == getattr(theirs, attribute), attribute
    np.testing.assert_allclose(ours.predict(X), theirs.predict(X), atol=1e-6)
    if weight is None:  # with weights ours is the mean that they say, not that of the batches
        assert ours.loss_ == pytest.approx(theirs.loss_, rel=1e-6)
        if options.get("solver") != "lbfgs":
            np.testing.assert_allclose(ours.loss_curve_, theirs.loss_curve_, rtol=1e-9)
            assert ours.best_loss_ == pytest.approx(theirs.best_loss_)


@pytest.mark.parametrize("weight", [None, WEIGHTS], ids=["", "weighted"])
@pytest.mark.parametrize("target", ["two classes", "labels", "number"])
def test_the_validation_data_and_its_scores_are_scikit_learns(target, weight):
    name, y, _ = TARGETS[target]
    options = {"early_stopping": True, "shuffle": False, "learning_rate_init": 0.02}
    ours = fitted(getattr(estimators, name), y, weight=weight, **options)
    theirs = fitted(getattr(neural_network, name), y, weight=weight, **options)
    np.testing.assert_allclose(ours.validation_scores_, theirs.validation_scores_)
    assert ours.best_validation_score_ == max(ours.validation_scores_)
    assert_same_weights(ours, theirs)


def test_several_numbers_are_trained_as_scikit_learns_and_their_loss_is_the_sum():
    for solver in ("sgd", "adam"):
        options = {"shuffle": False, "solver": solver, "tol": 0.0, "alpha": 0.0}
        ours = fitted(MLPRegressor, NUMBERS, **options)
        theirs = fitted(neural_network.MLPRegressor, NUMBERS, **options)
        assert_same_weights(ours, theirs)
        assert ours.loss_ == pytest.approx(2 * theirs.loss_)


def test_scores_on_the_digits_are_scikit_learns():
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


# The objective.


@pytest.mark.parametrize("loss", [HalfSquaredLoss(), HalfPoissonLoss(), BinaryLogLoss()])
@pytest.mark.parametrize("alpha", [0.0, 2.0])
@pytest.mark.parametrize("weight", [None, WEIGHTS], ids=["", "weighted"])
def test_the_gradient_is_that_of_the_penalized_loss(loss, alpha, weight):
    """By differences along a direction; in two parts it is that of the whole."""
    model = cr.mlp([5, 4, 3], activation="tanh", dtype="float64")
    penalty, state = Penalty(model, alpha), model.state
    rows = [slice(0, 90), slice(90, 130)]
    split = [(X[r], LABELS[r], *([] if weight is None else [weight[r]])) for r in rows]
    whole = [(X, LABELS, *([] if weight is None else [weight]))]

    value, gradient = _value_and_gradient(model, loss, penalty, lambda: whole)
    again = _value_and_gradient(model, loss, penalty, lambda: split)
    assert value == pytest.approx(again[0])
    np.testing.assert_allclose(gradient, again[1], atol=1e-14)

    start, direction = state.values.copy(), rng.normal(size=state.values.shape)
    ends = []
    for step in (1e-6, -1e-6):
        state.values[...] = start + step * direction
        ends.append(_value_and_gradient(model, loss, penalty, lambda: whole)[0])
    assert gradient @ direction == pytest.approx((ends[0] - ends[1]) / 2e-6, rel=1e-6)


def test_a_batch_without_weight_changes_the_weights_by_nothing():
    weight = np.r_[np.ones(120), np.zeros(10)]
    options = {"solver": "sgd", "shuffle": False, "batch_size": 120, "momentum": 0.0}
    some = fitted(MLPRegressor, NUMBER[:120], X[:120], weight[:120], alpha=3.0, **options)
    padded = fitted(MLPRegressor, NUMBER, X, weight, alpha=3.0, **options)
    assert_same_weights(some, padded)


# What an estimator has to be able to do.


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
@pytest.mark.parametrize(
    ("kind", "y"), [(MLPClassifier, NAMES), (MLPRegressor, NUMBERS)], ids=["names", "numbers"]
)
def test_copies_are_the_same_and_stand_alone(kind, y, solver, tmp_path):
    model = fitted(kind, y, solver=solver)
    joblib.dump(model, tmp_path / "model.joblib")
    copies = [
        pickle.loads(pickle.dumps(model)),
        copy.deepcopy(model),
        joblib.load(tmp_path / "model.joblib"),
        joblib.load(tmp_path / "model.joblib", mmap_mode="r"),
    ]
    before, mine = model.predict(X), parameters(model)
    for twin in copies:
        np.testing.assert_array_equal(twin.predict(X), before)
        if solver != "lbfgs":
            twin.partial_fit(X, y)
            again = copy.deepcopy(model).partial_fit(X, y)
            assert_same_weights(twin, again, atol=0)  # the optimizer's state came along
            assert twin.trainer_.penalty is twin._penalty  # which a new alpha is told
        twin.coefs_[0][...] = 0.0
    np.testing.assert_array_equal(model.predict(X), before)
    for old, new in zip(mine, parameters(model), strict=True):
        np.testing.assert_array_equal(old, new)


def test_a_clone_has_the_parameters_and_nothing_else():
    optimizer = cr.AdamW(lr=cr.schedules.cosine(0.01, steps=50))
    model = MLPClassifier(
        [8, 8], ["tanh", "gelu"], dropout=[0.1, 0.2], optimizer=optimizer,
        callbacks=[cr.callbacks.GradientNorms()], class_weight={"low": 2.0}, precision="float32",
        backend=cr.get_backend("numpy"), loss=cr.CrossEntropyLoss(label_smoothing=0.1),
    )  # fmt: skip
    model.set_params(max_iter=3).fit(X, NAMES)
    twin = clone(model)
    assert not hasattr(twin, "coefs_")
    assert repr(twin.get_params()["optimizer"]) == repr(optimizer)
    assert twin.get_params().keys() == model.get_params().keys()
    assert optimizer.steps == 0
    assert optimizer._model is None
    twin.fit(X, NAMES)


def test_in_a_pipeline_and_a_search():
    pipeline = make_pipeline(StandardScaler(), MLPClassifier(**SMALL))
    search = GridSearchCV(pipeline, {"mlpclassifier__activation": ["relu", ["tanh", "gelu"]]}, cv=2)
    assert search.fit(X, NAMES).best_score_ > 0.3


def test_parameters_are_scikit_learns_in_their_order():
    for name in ("MLPClassifier", "MLPRegressor"):
        theirs = getattr(neural_network, name)().get_params()
        ours = getattr(estimators, name)().get_params()
        assert {k: ours[k] for k in theirs} == theirs


def test_weights_can_be_changed_and_put_in_place():
    model, other = fitted(MLPRegressor, NUMBER), fitted(MLPRegressor, NUMBER, random_state=8)
    assert [c.shape for c in model.coefs_] == [(5, 7), (7, 4), (4, 1)]
    assert [b.shape for b in model.intercepts_] == [(7,), (4,), (1,)]
    for i in range(3):
        model.coefs_[i] = other.coefs_[i].copy()
    model.intercepts_ = [b.tolist() for b in other.intercepts_]
    np.testing.assert_array_equal(model.predict(X), other.predict(X))
    model.coefs_[2] *= 2.0  # in place: it is a view again
    model.intercepts_[2][...] *= 2.0
    np.testing.assert_allclose(model.predict(X), 2.0 * other.predict(X))
    model.coefs_[0] = np.zeros((7, 5))
    with pytest.raises(ValueError, match=r"expected weights of shape \(5, 7\), found \(7, 5\)"):
        model.predict(X)
    model.coefs_ = []
    with pytest.raises(ValueError, match="expected 3 arrays in coefs_, found 0"):
        model.predict(X)


def test_a_training_may_go_on_from_weights_given_by_hand():
    model = MLPRegressor(
        hidden_layer_sizes=(7, 4), solver="sgd", momentum=0.0, learning_rate_init=1e-12
    )
    other = fitted(MLPRegressor, NUMBER)
    model.coefs_ = [c.copy() for c in other.coefs_]
    model.intercepts_ = [b.copy() for b in other.intercepts_]
    model.n_features_in_ = 5
    np.testing.assert_allclose(model.partial_fit(X, NUMBER).predict(X), other.predict(X), rtol=1e-6)


def test_the_model_is_one_of_chainrules(tmp_path):
    model = fitted(MLPClassifier, THREE)
    model.model_.save(tmp_path / "model.safetensors")
    logits = cr.load(tmp_path / "model.safetensors", dtype="float64").predict(X)
    assert model.model_.state.dtype_name == "float64"
    np.testing.assert_array_equal(logits.argmax(axis=1), model.predict(X))
    assert len(model.trainer_.history) == model.n_iter_


@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
@pytest.mark.parametrize("weight", [None, WEIGHTS], ids=["", "weighted"])
@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("form", [sparse.csr_array, sparse.csc_array, sparse.csr_matrix])
def test_sparse_inputs_are_trained_as_dense_ones(solver, weight, early_stopping, form):
    x = np.where(np.abs(X) > 0.5, X, 0.0)
    options = {"solver": solver, "early_stopping": early_stopping, "max_iter": 8}
    dense = fitted(MLPClassifier, THREE, x, weight, **options)
    thin = fitted(MLPClassifier, THREE, form(x), weight, **options)
    assert_same_weights(dense, thin)
    np.testing.assert_allclose(dense.predict_proba(x), thin.predict_proba(form(x)))


@pytest.mark.parametrize("y", [TWO, THREE, NAMES, LABELS], ids=["two", "three", "names", "labels"])
def test_probabilities(y):
    model = fitted(MLPClassifier, y)
    p = model.predict_proba(X)
    assert p.shape == (130, LABELS.shape[1] if y is LABELS else len(set(y.tolist())))
    if y is LABELS:
        np.testing.assert_array_equal(model.predict(X), p > 0.5)
    else:
        np.testing.assert_allclose(p.sum(axis=1), 1.0)
        np.testing.assert_array_equal(model.predict(X), model.classes_[p.argmax(axis=1)])
    np.testing.assert_array_equal(model.predict_log_proba(X), np.log(p))
    assert 0.0 <= model.score(X, y, sample_weight=WEIGHTS) <= 1.0


# Beyond scikit-learn.


def test_one_activation_a_layer():
    model = fitted(MLPRegressor, NUMBER, activation=["logistic", "leaky_relu"])
    assert [type(layer).__name__ for layer in model.model_] == [
        "Linear", "Sigmoid", "Linear", "LeakyReLU", "Linear"
    ]  # fmt: skip
    same = fitted(MLPRegressor, NUMBER, activation=["tanh", "tanh"])
    assert_same_weights(same, fitted(MLPRegressor, NUMBER, activation="tanh"), atol=0)


def test_dropout_and_batch_norm():
    model = fitted(MLPClassifier, THREE, dropout=[0.2, 0.0], batch_norm=True)
    assert [type(layer).__name__ for layer in model.model_] == [
        "Linear", "BatchNorm", "ReLU", "Dropout", "Linear", "BatchNorm", "ReLU", "Linear"
    ]  # fmt: skip
    assert len(model.coefs_) == 3
    np.testing.assert_array_equal(model.predict_proba(X), model.predict_proba(X))
    assert_same_weights(model, fitted(MLPClassifier, THREE, dropout=[0.2, 0.0], batch_norm=True))
    for x in (X, sparse.csr_array(X)):  # one is left over, which has no variance
        model = fitted(MLPClassifier, THREE, x, batch_norm=True, batch_size=43)
        assert model.trainer_.optimizer.steps == 3 * model.n_iter_
    early = fitted(MLPClassifier, THREE, batch_norm=True, early_stopping=True, max_iter=40)
    assert early.best_validation_score_ == max(early.validation_scores_)


def test_an_optimizer_with_a_schedule_and_callbacks():
    seen = []
    options = {
        "optimizer": cr.SGD(lr=cr.schedules.exponential(0.1, gamma=0.99), momentum=0.5),
        "callbacks": [LambdaCallback(on_epoch_end=lambda t: seen.append(t.history.epochs[-1]))],
        "early_stopping": True,
    }
    model = fitted(MLPRegressor, NUMBER, **options)
    assert isinstance(model.trainer_.optimizer, cr.SGD)
    assert model.trainer_.optimizer.steps == 3 * model.n_iter_
    assert [row["val_score"] for row in seen] == model.validation_scores_
    assert {"loss", "val_loss"} <= seen[0].keys()
    same = fitted(MLPRegressor, NUMBER, optimizer=cr.SGD(0.05), solver="sgd", shuffle=False)
    plain = {"solver": "sgd", "momentum": 0.0, "learning_rate_init": 0.05, "shuffle": False}
    assert_same_weights(same, fitted(MLPRegressor, NUMBER, **plain))


def test_an_optimizer_that_trains_a_model_already_is_copied_without_it():
    data = X.astype("float32"), NUMBER[:, None]
    for make in (
        lambda: cr.AdamW(cr.schedules.cosine(0.01, steps=90)),
        lambda: cr.SGD(0.01, momentum=0.5, clip_norm=1.0),
    ):
        optimizer, same = make(), make()
        trainer = cr.Trainer(cr.mlp([5, 3, 1]), loss=cr.MSELoss(), optimizer=optimizer)
        trainer.fit(*data, epochs=2, verbose=0)
        steps, slots = optimizer.steps, copy.deepcopy(optimizer._slots)
        model = fitted(MLPRegressor, NUMBER, optimizer=optimizer)
        assert_same_weights(model, fitted(MLPRegressor, NUMBER, optimizer=same), atol=0)
        assert optimizer.steps == steps
        np.testing.assert_equal(optimizer._slots, slots)
        assert_same_weights(model, clone(model).fit(X, NUMBER), atol=0)


def test_a_search_among_optimizers():
    grid = {"optimizer": [cr.AdamW(lr) for lr in (1e-9, 0.03)]}
    search = GridSearchCV(MLPClassifier(**SMALL), grid, cv=2).fit(X, TWO)
    assert search.best_params_["optimizer"].lr == 0.03


class Brier(Loss):
    def formula(self, xp, y, target):
        d = y - target
        return d * d, lambda: 2.0 * d


@pytest.mark.parametrize(
    ("y", "loss", "activation", "layer"),
    [
        (THREE, cr.CrossEntropyLoss(label_smoothing=0.1), "softmax", "Linear"),
        (TWO, cr.CrossEntropyLoss(), "softmax", "Linear"),
        (TWO, cr.BCEWithLogitsLoss(), "logistic", "Linear"),
        (THREE, cr.BCEWithLogitsLoss(), "logistic", "Linear"),
        (LABELS, cr.BCEWithLogitsLoss(pos_weight=[1.0, 2.0, 3.0]), "logistic", "Linear"),
        (THREE, cr.KLDivLoss(reduction="batchmean"), "softmax", "LogSoftmax"),
        (TWO, cr.BCELoss(), "logistic", "Sigmoid"),
        (LABELS, Brier(), "logistic", "Sigmoid"),
        (TWO, Brier(), "logistic", "Sigmoid"),
        (THREE, Brier(), "softmax", "Softmax"),
    ],
)
def test_classes_by_any_loss(y, loss, activation, layer):
    model = fitted(MLPClassifier, y, loss=loss, max_iter=150, learning_rate_init=0.02)
    assert model.out_activation_ == activation
    assert type(model.model_[-1]).__name__ == layer
    p = model.predict_proba(X)
    assert p.min() >= 0.0
    assert p.max() <= 1.0
    if y is not LABELS:
        np.testing.assert_allclose(p.sum(axis=1), 1.0)
    assert model.score(X, y) > 0.65


@pytest.mark.parametrize("loss", [cr.HuberLoss(), cr.L1Loss(), cr.MSELoss(weight=[1.0, 2.0])])
def test_numbers_by_any_loss(loss):
    model = fitted(MLPRegressor, NUMBERS, loss=loss, max_iter=200, learning_rate_init=0.02)
    assert model.score(X, NUMBERS) > 0.6
    shares = 1.0 / (1.0 + np.exp(-NUMBERS))
    model = fitted(MLPRegressor, shares, loss=cr.BCEWithLogitsLoss(), max_iter=200)
    assert model.out_activation_ == "logistic"
    assert 0.0 <= model.predict(X).min() < model.predict(X).max() <= 1.0


def test_class_weights_multiply_sample_weights():
    each = np.asarray([3.0, 1.0, 0.5])[THREE]
    options = {"class_weight": {0: 3.0, 1: 1.0, 2: 0.5}}
    a = fitted(MLPClassifier, THREE, **options)
    assert_same_weights(a, fitted(MLPClassifier, THREE, weight=each))
    a = fitted(MLPClassifier, THREE, weight=WEIGHTS, **options)
    assert_same_weights(a, fitted(MLPClassifier, THREE, weight=WEIGHTS * each))
    rare = np.arange(130) < 8
    plain, fair = (
        fitted(MLPClassifier, rare, class_weight=weight, max_iter=60).predict_proba(X)[:, 1].mean()
        for weight in (None, "balanced")
    )
    assert plain < 0.2 < fair
    with pytest.raises(ValueError, match="balanced"):
        MLPClassifier(class_weight="balanced").partial_fit(X, TWO, classes=[0, 1])


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
@pytest.mark.parametrize("form", [np.asarray, sparse.csr_array])
def test_class_weights_that_cannot_be_meant(form, solver):
    for number in (-1.0, 0.0, np.nan, np.inf):
        with pytest.raises(ValueError, match="^expected class_weight to be zero or more"):
            fitted(MLPClassifier, TWO, form(X), class_weight={0: number, 1: 0.0}, solver=solver)
    options = {"class_weight": {0: 0.0}, "solver": solver}
    with pytest.raises(ValueError, match="^expected sample_weight times class_weight"):
        fitted(MLPClassifier, TWO, form(X), 1.0 - TWO, **options)


def test_precision():
    for precision, given, expected in (
        ("auto", "float32", "float32"), ("auto", "float64", "float64"),
        ("auto", "int64", "float64"), ("auto", "float16", "float64"),
        ("float32", "float64", "float32"),
        ("float64", "float32", "float64"),
    ):  # fmt: skip
        for solver in ("adam", "lbfgs"):
            x = X.astype(given)
            model = fitted(MLPRegressor, NUMBER, x, precision=precision, solver=solver)
            assert {str(p.dtype) for p in parameters(model)} == {expected}
            assert str(model.predict(x).dtype) == expected
    torch = pytest.importorskip("torch")
    for given in (torch.float16, torch.bfloat16):
        model = fitted(MLPRegressor, torch.asarray(NUMBER), torch.asarray(X).to(given))
        assert model.model_.state.dtype_name == "float64"


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
@pytest.mark.parametrize("weight", [None, WEIGHTS], ids=["", "weighted"])
def test_arrays_of_another_library_come_out_as_they_went_in(library, solver, weight):
    """And the result is NumPy's: the same weights at first, the same batches."""
    x, y, labels, numbers = map(library.asarray, (X, THREE, LABELS, NUMBERS))
    theirs = library.backend.array_type
    weights = None if weight is None else library.asarray(weight)
    options = {"solver": solver, "activation": "tanh", "max_iter": 6, "tol": 0.0}
    for kind, target, host in (
        (MLPClassifier, y, THREE), (MLPClassifier, labels, LABELS),
        (MLPRegressor, numbers, NUMBERS),
    ):  # fmt: skip
        model = fitted(kind, target, x, weights, **options)
        assert model.model_.backend is library.backend
        numpy = fitted(kind, host, X, weight, **options)
        predicted = model.predict(x)
        assert isinstance(predicted, theirs)
        np.testing.assert_allclose(library.to_numpy(predicted), numpy.predict(X), atol=1e-6)
        assert model.score(x, target, weights) == pytest.approx(numpy.score(X, host, weight))
        if kind is MLPClassifier:
            p, log_p = model.predict_proba(x), model.predict_log_proba(x)
            assert isinstance(p, theirs)
            assert isinstance(log_p, theirs)
            np.testing.assert_allclose(library.to_numpy(p), numpy.predict_proba(X), atol=1e-6)
        twin = pickle.loads(pickle.dumps(model))
        np.testing.assert_array_equal(
            library.to_numpy(twin.predict(x)), library.to_numpy(predicted)
        )


@pytest.mark.parametrize("options", [{}, {"solver": "lbfgs"}, {"early_stopping": True}], ids=str)
@pytest.mark.parametrize("elsewhere", [False, True], ids=["auto", "another"])
@pytest.mark.parametrize(
    ("kind", "y"),
    [(MLPClassifier, THREE), (MLPClassifier, THREE > 0), (MLPClassifier, LABELS),
     (MLPRegressor, NUMBER[:, None]), (MLPRegressor, NUMBERS)],
    ids=["classes", "booleans", "labels", "number", "numbers"],
)  # fmt: skip
def test_arrays_on_a_device_stay_there(kind, y, elsewhere, options):
    one, other = pretended.library("one"), pretended.library("other")
    options = {"max_iter": 3, "backend": other if elsewhere else "auto", **options}
    if kind is MLPClassifier:
        options["class_weight"] = "balanced"
    x = one.asarray(X)
    model = fitted(kind, one.asarray(y), x, one.asarray(WEIGHTS), **options)
    expected = []
    if kind is MLPClassifier:
        expected.append(y.size)  # to learn the classes
        if "early_stopping" in options and y is not LABELS:
            expected.append(130)  # to choose validation data
    assert [n for n in one.left if n >= 130] == expected
    one.left.clear()
    other.left.clear()
    predicted = model.predict(x)
    assert type(predicted) is type(x)
    if kind is MLPClassifier:
        assert type(model.predict_log_proba(x)) is type(x)
    assert one.left == other.left == []
    y = y[:, 0] if y.shape[1:] == (1,) else y
    here = fitted(kind, y, X, WEIGHTS, **{**options, "backend": "numpy"})
    np.testing.assert_allclose(predicted.hidden, here.predict(X), atol=1e-6)
    assert predicted.dtype == here.predict(X).dtype


def pandas_frame(dtype):
    def make(columns):
        if "pyarrow" in dtype:
            pytest.importorskip("pyarrow")
        pandas = pytest.importorskip("pandas")
        return pandas.DataFrame(columns, columns=list("abcde"), dtype=dtype)

    return make


FRAMES = {
    "pandas": pandas_frame("float64"),
    "pandas, nullable": pandas_frame("Float64"),
    "pandas, pyarrow": pandas_frame("double[pyarrow]"),
    "polars": lambda x: pytest.importorskip("polars").DataFrame(x, schema=list("abcde")),
}


@pytest.mark.parametrize("frame", FRAMES.values(), ids=FRAMES)
@pytest.mark.parametrize(
    ("kind", "y"),
    [(MLPClassifier, THREE), (MLPClassifier, NAMES), (MLPClassifier, LABELS),
     (MLPRegressor, NUMBER), (MLPRegressor, NUMBERS)],
    ids=["classes", "names", "labels", "number", "numbers"],
)  # fmt: skip
def test_frames_are_trained_as_arrays(kind, y, frame):
    x = frame(X)
    series = type(x["a"]) if y.ndim == 1 else type(x)
    model = fitted(kind, series(y), x, type(x["a"])(WEIGHTS))
    expected = fitted(kind, y, X, WEIGHTS)
    assert_same_weights(model, expected, atol=0)
    assert model.feature_names_in_.tolist() == list("abcde")
    predicted = model.predict(x)
    assert type(predicted) is np.ndarray
    np.testing.assert_array_equal(predicted, expected.predict(X))
    assert model.score(x, series(y)) == pytest.approx(expected.score(X, y))
    with pytest.raises(ValueError, match="feature names should match"):
        model.predict(x[["b", "a", "c", "d", "e"]])
    with pytest.raises(ValueError, match="contains NaN"):
        model.predict(frame(np.where(X > 2.0, np.nan, X)))


def test_a_backend_for_numpys_arrays(backend_name):
    """What goes in is NumPy's, and so is what comes out; the training is elsewhere."""
    early = {"early_stopping": True, "max_iter": 6}
    for data in (X, sparse.csr_array(X)):
        model = fitted(MLPClassifier, NAMES, data, backend=backend_name, **early)
        assert model.model_.backend.name == cr.get_backend(backend_name).name
        assert type(model.predict(data)) is type(model.predict_proba(data)) is np.ndarray
        here = fitted(MLPClassifier, NAMES, X, **early)
        np.testing.assert_allclose(model.predict_proba(data), here.predict_proba(X), atol=1e-6)


def test_bad_arrays_of_another_library():
    strict = pytest.importorskip("array_api_strict")
    x, y = strict.asarray(X), strict.asarray(NUMBER)
    model = fitted(MLPRegressor, y, x)
    with pytest.raises(ValueError, match="X has 4 features, but MLPRegressor is expecting 5"):
        model.predict(x[:, :4])
    with pytest.raises(ValueError, match="samples, features"):
        model.predict(x[:, 0])
    with pytest.raises(ValueError, match="targets as samples, 130, found 100"):
        model.fit(x, y[:100])
    with pytest.raises(ValueError, match="NaN"):
        model.fit(x * strict.nan, y)
    assert isinstance(fitted(MLPClassifier, NAMES, x).predict(x), np.ndarray)  # strings


@pytest.mark.parametrize("kind", [MLPClassifier, MLPRegressor])
@pytest.mark.filterwarnings("ignore:Sparse CSR tensor support")
def test_bad_tensors(kind):
    torch = pytest.importorskip("torch")
    x, y, weight = torch.asarray(X), torch.asarray(TWO), torch.asarray(WEIGHTS)
    for name, data in (
        ("X", (x + 0j, y)), ("y", (x, y + 0j)), ("sample_weight", (x, y, weight + 0j)),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=f"Complex data not supported.* {name}, found"):
            kind(**SMALL).fit(*data)
    with pytest.raises(ValueError, match="requires y to be passed, but the target y is None"):
        kind(**SMALL).fit(x, None)
    for change, words in (
        (torch.Tensor.to_sparse, "[Ss]parse"),
        (lambda t: t.to("meta"), "meta"),
    ):
        for i, name in enumerate(("X", "y", "sample_weight")):
            data = [x, y, weight]
            data[i] = change(data[i])
            with pytest.raises(ValueError, match=f"expected {name} .*{words}"):
                kind(**SMALL).fit(*data)
    with pytest.raises(ValueError, match="expected X .*SparseCsr"):
        kind(**SMALL).fit(x.to_sparse_csr(), y)
    for number in (torch.nan, torch.inf):
        with pytest.raises(ValueError, match="sample_weight contains NaN or infinity"):
            kind(**SMALL).fit(x, y, weight * number)


# The course of a training.


def test_warm_starts_and_epochs_one_by_one():
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
    with pytest.raises(ValueError, match="expected classes of"):
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
def test_an_error_leaves_an_estimator_as_it_was(options, data, how):
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


def test_a_first_epoch_that_fails_teaches_no_classes():
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
def test_a_warm_start_goes_on_with_the_network_that_there_is(options):
    model = MLPRegressor(**SMALL, warm_start=True).fit(X, NUMBER)
    (name,) = options
    model.set_params(**options)
    for train in (model.fit, model.partial_fit):
        with pytest.raises(ValueError, match=f"expected {name} to stay .*, found .*the network"):
            train(X, NUMBER)
    model.set_params(warm_start=False).fit(X, NUMBER)


def test_a_warm_start_takes_other_words_for_the_same_network():
    model = MLPRegressor(**SMALL, warm_start=True, loss=cr.HuberLoss()).fit(X, NUMBER)
    model = pickle.loads(pickle.dumps(model)).fit(X, NUMBER)
    model.set_params(hidden_layer_sizes=[7, 4], activation=["relu"] * 2, dropout=[0, 0])
    model.set_params(batch_norm=np.False_, loss=cr.HuberLoss()).fit(X, NUMBER)


def test_a_warm_start_may_change_how_it_stops():
    model = MLPRegressor(**SMALL, warm_start=True).fit(X, NUMBER)
    model.set_params(early_stopping=True).fit(X, NUMBER)
    assert len(model.validation_scores_) == model.n_iter_
    model.set_params(early_stopping=False, solver="lbfgs").fit(X, NUMBER)
    assert model.set_params(solver="sgd").fit(X, NUMBER).best_loss_ < 1.0


def test_validation_data_is_stratified():
    y = np.repeat([0, 1, 2], [100, 20, 10])
    split = importlib.import_module("chainrule.estimators.steps").train_test_split
    seen = {}

    def recorded(*arguments, **options):
        rows, held_out = split(*arguments, **options)
        seen["held out"] = np.bincount(y[held_out])
        return rows, held_out

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("chainrule.estimators.steps.train_test_split", recorded)
        fitted(MLPClassifier, y, early_stopping=True, validation_fraction=0.3)
    assert seen["held out"].tolist() == [30, 6, 3]


@pytest.mark.parametrize("loss", ["log_loss", Brier()])
@pytest.mark.parametrize("y", [np.r_[THREE[1:], 7], np.arange(130) // 5])
def test_validation_data_that_cannot_be_stratified_is_drawn_from_all(y, loss):
    model = fitted(MLPClassifier, y, early_stopping=True, loss=loss)
    assert len(model.validation_scores_) == model.n_iter_
    if loss == "log_loss":
        options = {"early_stopping": True, "shuffle": False}
        ours = fitted(MLPClassifier, y, **options)
        theirs = fitted(neural_network.MLPClassifier, y, **options)
        assert_same_weights(ours, theirs)
    with pytest.raises(ValueError, match="validation set is too small"):
        fitted(MLPClassifier, y, early_stopping=True, loss=loss, validation_fraction=0.005)


def test_lines_are_printed_where_they_are_asked_for(capsys):
    fitted(MLPRegressor, NUMBER, early_stopping=True, verbose=True, tol=0.5, n_iter_no_change=2)
    out = capsys.readouterr().out
    assert "Iteration 1, loss = " in out
    assert "Validation score: " in out
    assert "Validation score did not improve by tol=0.5 in 2 epochs. Stopping." in out
    rates = {"solver": "sgd", "learning_rate": "adaptive", "tol": 0.5, "n_iter_no_change": 2}
    fitted(MLPRegressor, NUMBER, verbose=1, **rates)
    assert "The learning rate is 0.0002 now." in capsys.readouterr().out
    fitted(MLPRegressor, NUMBER, solver="lbfgs", verbose=True, max_iter=2)
    assert capsys.readouterr().out.count("Iteration") == 2
    fitted(MLPRegressor, NUMBER)
    assert capsys.readouterr().out == ""


def test_what_is_warned_of():
    with pytest.warns(ConvergenceWarning, match="max_iter=15") as caught:
        fitted(MLPRegressor, NUMBER)
    assert caught[0].filename == __file__
    with pytest.warns(ConvergenceWarning, match="lbfgs did not converge in 3 iterations") as caught:
        fitted(MLPRegressor, NUMBER, solver="lbfgs", max_iter=3)
    assert caught[0].filename == __file__
    with pytest.warns(UserWarning, match="batch_size=500") as caught:
        fitted(MLPRegressor, NUMBER, batch_size=500)
    assert caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fitted(MLPRegressor, NUMBER, tol=10.0, n_iter_no_change=1)
        MLPRegressor(max_iter=1).partial_fit(X, NUMBER)


@pytest.mark.skipif(sys.platform == "win32", reason="no signals there")
def test_ctrl_c_ends_the_training_and_what_was_learnt_stays(ctrl_c):
    def interrupt(trainer):
        if trainer.epoch == 3:
            signal.raise_signal(signal.SIGINT)

    stop = [LambdaCallback(on_step_end=interrupt)]
    with pytest.warns(UserWarning, match="interrupted"):
        model = fitted(MLPClassifier, THREE, callbacks=stop, early_stopping=True)
    assert model.n_iter_ == 2
    assert model.predict(X).shape == (130,)


def test_weights_that_are_no_numbers_are_told():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        with pytest.raises(ValueError, match="non-finite"):
            fitted(MLPRegressor, NUMBER, X * 1e300)
        options = {"solver": "sgd", "activation": "identity", "learning_rate_init": 10.0}
        model = fitted(MLPRegressor, NUMBER, early_stopping=True, max_iter=30, **options)
        assert np.isnan(model.validation_scores_[-1])  # the best weights were kept
        assert np.isfinite(model.predict(X)).all()


# Mistakes.


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"activation": ["relu"]}, "expected 2 of activation, one for each hidden layer, found 1"),
        ({"activation": "linear"}, "expected an activation of identity, logistic"),
        ({"activation": 3}, "expected activation as one or as a list"),
        ({"dropout": [0.1]}, "expected 2 of dropout"),
        ({"dropout": 1.0}, "expected dropout in \\[0, 1\\)"),
        ({"hidden_layer_sizes": (3, 0)}, "hidden_layer_sizes"),
        ({"hidden_layer_sizes": 2.5}, "hidden_layer_sizes"),
        ({"hidden_layer_sizes": True}, "hidden_layer_sizes"),
        ({"solver": "newton"}, "expected solver to be one of"),
        ({"solver": "sgd", "optimizer": cr.Adam()}, "solver to be left out beside optimizer=Adam"),
        ({"solver": "lbfgs", "optimizer": cr.Adam()}, "optimizer to be left out: solver='lbfgs'"),
        ({"solver": "lbfgs", "dropout": [0.0, 0.1]}, "dropout to be left out"),
        ({"solver": "lbfgs", "batch_norm": True}, "batch_norm to be left out"),
        ({"solver": "lbfgs", "callbacks": [Callback()]}, "callbacks to be left out"),
        ({"optimizer": "adam"}, "expected optimizer to be None or an optimizer"),
        ({"callbacks": Callback()}, "a list of callbacks"),
        ({"callbacks": [print]}, "a list of callbacks"),
        ({"loss": "hinge"}, "expected loss to be one of"),
        ({"loss": cr.MSELoss(reduction="sum")}, "expected loss to be a mean"),
        ({"precision": "float16"}, "expected precision to be one of"),
        ({"alpha": -1.0}, "expected alpha to be a number in \\[0, inf\\), found -1.0"),
        ({"alpha": float("nan")}, "alpha"),
        ({"alpha": "small"}, "alpha"),
        ({"batch_size": 0}, "expected batch_size to be a whole number of at least 1 or 'auto'"),
        ({"max_iter": 2.5}, "max_iter"),
        ({"learning_rate_init": 0.0}, "learning_rate_init"),
        ({"momentum": 1.0}, "momentum"),
        ({"shuffle": "yes"}, "expected shuffle to be True or False, found 'yes'"),
        ({"n_iter_no_change": 0}, "n_iter_no_change"),
        ({"backend": "tensorflow"}, "unknown backend"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("kind", [MLPClassifier, MLPRegressor])
def test_parameters_that_cannot_be_meant(kind, options, words):
    with pytest.raises(ValueError, match=words):
        fitted(kind, TWO, **options)


@pytest.mark.parametrize("form", [np.asarray, sparse.csr_array])
def test_batches_that_have_no_variance(form):
    for samples, size in ((1, "auto"), (130, 1)):
        words = f"batch_norm=True: .* at least 2 .*n_samples={samples}.*batch_size={size!r}"
        x = form(X[:samples])
        with pytest.raises(ValueError, match=words):
            fitted(MLPClassifier, TWO[:samples], x, batch_norm=True, batch_size=size)


def test_targets_and_weights_that_cannot_be_meant():
    for strings in (["1"] * 130, np.asarray(["1"] * 130)):
        with pytest.raises(ValueError, match="expected y of numbers, found strings"):
            fitted(MLPRegressor, strings)
    for solver in ("adam", "lbfgs"):
        with pytest.raises(ValueError, match="targets of at least 0"):
            fitted(MLPRegressor, NUMBER, loss="poisson", solver=solver)
    with pytest.raises(ValueError, match="Unknown label type"):
        fitted(MLPClassifier, NUMBER)
    with pytest.raises(ValueError, match="indicator matrix"):
        fitted(MLPClassifier, np.stack([THREE, TWO], axis=1))
    with pytest.raises(ValueError, match="several labels"):
        fitted(MLPClassifier, LABELS, loss=cr.CrossEntropyLoss())
    for weight in (-WEIGHTS, 0.0 * WEIGHTS):
        with pytest.raises(ValueError, match="sample_weight to be zero or more"):
            fitted(MLPRegressor, NUMBER, weight=weight)
    for solver in ("adam", "lbfgs"):
        with pytest.raises(ValueError, match=r"finite sum; found 1e\+308 to 1e\+308"):
            fitted(MLPRegressor, NUMBER, weight=np.full(130, 1e308), solver=solver)
        large = {"weight": np.full(130, 1e38), "precision": "float32", "solver": solver}
        with np.errstate(all="ignore"), pytest.raises(ValueError, match="non-finite loss"):
            fitted(MLPRegressor, NUMBER, tol=0.0, **large)
    with pytest.raises(ValueError, match="130 sample weights"):
        fitted(MLPRegressor, NUMBER, weight=WEIGHTS[:9])
    with pytest.raises(ValueError, match="validation set is too small"):
        fitted(MLPRegressor, NUMBER, early_stopping=True, validation_fraction=0.005)
    with pytest.raises(AttributeError, match="partial_fit"):
        MLPRegressor(solver="lbfgs").partial_fit(X, NUMBER)
    with pytest.raises(ValueError, match="early_stopping"):
        MLPRegressor(early_stopping=True).partial_fit(X, NUMBER)


def test_an_array_library_that_is_not_there(monkeypatch):
    if "cupy" in cr.available_backends():
        pytest.skip("it is")
    with pytest.raises(cr.BackendError, match="cupy"):
        fitted(MLPRegressor, NUMBER, backend="cupy")


def test_without_scikit_learn_the_extra_is_named(monkeypatch):
    real = builtins.__import__

    def missing(name, *arguments, **options):
        if name.partition(".")[0] == "sklearn":
            raise ImportError(name)
        return real(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", missing)
    monkeypatch.delitem(sys.modules, "chainrule.estimators")
    with pytest.raises(ImportError, match=r'pip install "chainrule\[sklearn\]"'):
        importlib.import_module("chainrule.estimators")


def test_the_benchmark_takes_turns_and_makes_a_table(monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parents[2])
    from benchmarks import estimators as benchmark

    prices = benchmark.housing()
    assert prices[0].shape == (20640, 8)
    assert np.isfinite(prices[0]).all()
    assert 0.15 <= prices[1].min() < prices[1].max() == 5.0
    small = (lambda: (X, NUMBER)), "MLPRegressor", {"max_iter": 2}
    monkeypatch.setattr(benchmark, "TASKS", {"small": small})
    found = benchmark.measure("small", 3)
    assert {len(of["seconds"]) for of in found.values()} == {3}
    np.testing.assert_allclose(*(of["scores"] for of in found.values()), atol=0.5)
    table = benchmark.table({"small": found})
    assert table.count("| small |") == 2
    assert "100%" in table
