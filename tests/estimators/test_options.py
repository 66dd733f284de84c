"""Check options that scikit-learn lacks: layers, optimizers, losses, class weights, precision."""

import copy

import numpy as np
import pytest

import chainrule as cr
from chainrule.callbacks import LambdaCallback

pytest.importorskip("sklearn", "1.9")  # older scikit-learn versions need an older version of SciPy
from fitted import (
    LABELS,
    NUMBER,
    NUMBERS,
    SMALL,
    THREE,
    TWO,
    WEIGHTS,
    Brier,
    X,
    assert_same_weights,
    fitted,
    parameters,
)
from scipy import sparse
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

from chainrule.estimators import MLPClassifier, MLPRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def test_one_activation_per_layer():
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
    # The last batch has one sample and therefore no variance. Training leaves this batch out.
    for x in (X, sparse.csr_array(X)):
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


def test_a_bound_optimizer_is_copied_without_its_model():
    data = X.astype("float32"), NUMBER[:, None]
    for make in (
        lambda: cr.AdamW(cr.schedules.cosine(0.01, steps=90)),
        lambda: cr.SGD(0.01, momentum=0.5, clip_norm=1.0),
    ):
        optimizer, same = make(), make()
        trainer = cr.Trainer(cr.mlp([5, 3, 1]), loss=cr.MSELoss(), optimizer=optimizer)
        trainer.fit(*data, epochs=2, verbose=0)
        steps, slots = optimizer.steps, copy.deepcopy(optimizer._vectors)
        model = fitted(MLPRegressor, NUMBER, optimizer=optimizer)
        assert_same_weights(model, fitted(MLPRegressor, NUMBER, optimizer=same), atol=0)
        assert optimizer.steps == steps
        np.testing.assert_equal(optimizer._vectors, slots)
        assert_same_weights(model, clone(model).fit(X, NUMBER), atol=0)


def test_a_search_among_optimizers():
    grid = {"optimizer": [cr.AdamW(lr) for lr in (1e-9, 0.03)]}
    search = GridSearchCV(MLPClassifier(**SMALL), grid, cv=2).fit(X, TWO)
    assert search.best_params_["optimizer"].lr == 0.03


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
def test_classifiers_with_any_loss(y, loss, activation, layer):
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
def test_regressors_with_any_loss(loss):
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
def test_invalid_class_weights(form, solver):
    expected = "^expected (class_weight to be at least zero|at least one sample of a class whose)"
    for number in (-1.0, 0.0, np.nan, np.inf):
        with pytest.raises(ValueError, match=expected):
            fitted(MLPClassifier, TWO, form(X), class_weight={0: number, 1: 0.0}, solver=solver)
    options = {"class_weight": {0: 0.0}, "solver": solver}
    with pytest.raises(ValueError, match="^expected at least one sample of a class whose"):
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
