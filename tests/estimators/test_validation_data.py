"""``fit(validation_data=...)`` computes a score after each epoch, and can stop early on it."""

import numpy as np
import pytest

import chainrule as cr
from chainrule.callbacks import EarlyStopping

pytest.importorskip("sklearn", "1.9")  # older scikit-learn versions need an older version of SciPy
from fitted import LABELS, NAMES, NUMBER, NUMBERS, SMALL, THREE, WEIGHTS, X, assert_same_weights
from scipy import sparse
from sklearn.metrics import log_loss

from chainrule.estimators import MLPClassifier, MLPRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
TRAIN, HELD_OUT = slice(90), slice(90, None)
CASES = [
    (MLPClassifier, THREE), (MLPClassifier, NAMES), (MLPClassifier, LABELS),
    (MLPRegressor, NUMBER), (MLPRegressor, NUMBERS),
]  # fmt: skip


def trained(kind, y, x=X, *, weight=None, fit_weight=None, **options):
    """Return an estimator trained on 90 samples, with the other 40 as validation data."""
    held_out = (x[HELD_OUT], y[HELD_OUT]) + (() if weight is None else (weight[HELD_OUT],))
    model = kind(**{**SMALL, **options})
    return model.fit(x[TRAIN], y[TRAIN], fit_weight, validation_data=held_out)


@pytest.mark.parametrize(("kind", "y"), CASES)
def test_without_early_stopping_it_is_only_measured(kind, y):
    model = trained(kind, y)
    plain = kind(**SMALL).fit(X[TRAIN], y[TRAIN])
    assert_same_weights(model, plain, atol=0)
    assert model.validation_scores_ is None
    scores = model.trainer_.history["val_score"]
    assert len(scores) == model.n_iter_
    assert scores[-1] == model.score(X[HELD_OUT], y[HELD_OUT])
    assert "val_score" not in plain.trainer_.history.epochs[-1]


@pytest.mark.parametrize(("kind", "y"), CASES)
def test_early_stopping_uses_it(kind, y):
    """Early stopping evaluates the model on the given data and holds out no training samples."""
    model = trained(kind, y, early_stopping=True, max_iter=40, learning_rate_init=0.05)
    assert model.t_ == 90 * model.n_iter_
    assert model.validation_scores_ == model.trainer_.history["val_score"]
    best = max(model.validation_scores_)
    assert model.best_validation_score_ == best > model.validation_scores_[0]
    assert model.score(X[HELD_OUT], y[HELD_OUT]) == best


def test_the_loss_is_that_of_the_validation_data():
    model = trained(MLPClassifier, THREE)
    expected = log_loss(THREE[HELD_OUT], model.predict_proba(X[HELD_OUT]))
    assert model.trainer_.history["val_loss"][-1] == pytest.approx(expected, rel=1e-9)
    model = trained(MLPRegressor, NUMBER, weight=WEIGHTS)
    errors = 0.5 * (model.predict(X[HELD_OUT]) - NUMBER[HELD_OUT]) ** 2
    expected = np.average(errors, weights=WEIGHTS[HELD_OUT])
    assert model.trainer_.history["val_loss"][-1] == pytest.approx(expected, rel=1e-9)


def test_sample_weights_of_the_validation_data():
    """The score uses the sample weights, and validation samples of weight 0 are ignored."""
    halves = np.where(np.arange(130) % 2, 1.0, 0.0)
    for kind, y in CASES:
        a = trained(kind, y, weight=halves, early_stopping=True)
        rows = np.flatnonzero(np.arange(130) >= 90)
        rows = rows[rows % 2 == 1]
        b = kind(**SMALL, early_stopping=True)
        b.fit(X[TRAIN], y[TRAIN], validation_data=(X[rows], y[rows]))
        assert a.validation_scores_ == b.validation_scores_
        a = trained(kind, y, weight=WEIGHTS)
        expected = a.score(X[HELD_OUT], y[HELD_OUT], WEIGHTS[HELD_OUT])
        assert a.trainer_.history["val_score"][-1] == pytest.approx(expected, rel=1e-12)


def test_class_weights_apply_to_the_validation_data():
    each = {0: 3.0, 1: 1.0, 2: 0.5}
    model = trained(MLPClassifier, THREE, class_weight=each)
    weight = np.asarray([3.0, 1.0, 0.5])[THREE[HELD_OUT]]
    expected = model.score(X[HELD_OUT], THREE[HELD_OUT], weight)
    assert model.trainer_.history["val_score"][-1] == pytest.approx(expected, rel=1e-12)


def test_sparse_matrices_and_other_libraries(library):
    dense = trained(MLPClassifier, THREE, early_stopping=True)
    same = trained(MLPClassifier, THREE, sparse.csr_array(X), early_stopping=True)
    np.testing.assert_allclose(same.validation_scores_, dense.validation_scores_)
    x, y = library.asarray(X), library.asarray(THREE)
    held_out = x[HELD_OUT, ...], y[HELD_OUT]
    model = MLPClassifier(**SMALL, early_stopping=True)
    model.fit(x[TRAIN, ...], y[TRAIN], validation_data=held_out)
    np.testing.assert_allclose(model.validation_scores_, dense.validation_scores_)


def test_a_class_that_the_validation_data_does_not_have():
    held_out = X[HELD_OUT][THREE[HELD_OUT] > 0], THREE[HELD_OUT][THREE[HELD_OUT] > 0]
    model = MLPClassifier(**SMALL).fit(X[TRAIN], THREE[TRAIN], validation_data=held_out)
    assert len(model.classes_) == 3
    assert model.trainer_.history["val_score"][-1] == model.score(*held_out)


@pytest.mark.parametrize("y", [THREE, LABELS], ids=["classes", "labels"])
def test_validation_data_has_the_class_weights_of_the_training_data(y):
    """The balanced class weights come from the training data, not from the validation data."""
    rows = np.arange(len(X)) % 4 > 0
    held_out = X[:20], y[:20]
    model = MLPClassifier(**SMALL, class_weight="balanced")
    model.fit(X[rows], y[rows], validation_data=held_out)
    columns = y[rows].reshape(rows.sum(), -1).T
    weights = [dict(enumerate(rows.sum() / (len(set(c)) * np.bincount(c)))) for c in columns]
    same = MLPClassifier(**SMALL, class_weight=weights if y.ndim > 1 else weights[0])
    same.fit(X[rows], y[rows], validation_data=held_out)
    for name in ("val_loss", "val_score"):
        expected = same.trainer_.history[name]
        np.testing.assert_allclose(model.trainer_.history[name], expected, rtol=1e-6)


def test_a_callback_can_watch_the_validation_loss():
    stop = EarlyStopping("val_loss", patience=2)
    model = trained(MLPRegressor, NUMBER, callbacks=[stop], max_iter=200, learning_rate_init=0.1)
    assert model.n_iter_ < 200
    assert stop.best == min(model.trainer_.history["val_loss"])


def test_the_validation_score_is_printed(capsys):
    trained(MLPRegressor, NUMBER, verbose=True, max_iter=2)
    assert capsys.readouterr().out.count("Validation score: ") == 2


def test_an_error_does_not_change_the_estimator():
    model = trained(MLPRegressor, NUMBER)
    before = vars(model).copy()
    with pytest.raises(ValueError, match="validation_data: "):
        model.fit(X, NUMBER, validation_data=(X[:, :2], NUMBER))
    assert vars(model) == before


@pytest.mark.parametrize(
    ("kind", "y", "held_out", "error", "words"),
    [
        (MLPRegressor, NUMBER, [X, NUMBER], TypeError, r"a tuple \(x, y\) or .*, found list"),
        (MLPRegressor, NUMBER, (X,), TypeError, r"a tuple \(x, y\) or .*, found a tuple of 1"),
        (MLPRegressor, NUMBER, (X[:, :2], NUMBER), ValueError, "^validation_data: .*2 features"),
        (MLPRegressor, NUMBER, (X, NUMBERS), ValueError, "^validation_data: .*with 1 out.*found 2"),
        (MLPRegressor, NUMBER, (X, NUMBER[:9]), ValueError, "^validation_data: .*inconsistent"),
        (MLPRegressor, NUMBER, (X * np.nan, NUMBER), ValueError, "^validation_data: .*NaN"),
        (MLPRegressor, NUMBER, (X, NUMBER, -WEIGHTS), ValueError, "^validation_data: .*sample_w"),
        (
            MLPRegressor,
            NUMBER,
            (X, np.ma.masked_less(NUMBER, 0.0)),
            cr.DataError,
            "^validation_data: .*masked",
        ),
        (MLPClassifier, THREE, (X, THREE + 1), ValueError, "^validation_data: .*among .0 1 2"),
        (MLPClassifier, THREE, (X, LABELS), ValueError, "^validation_data: .*one class per sample"),
        (MLPClassifier, LABELS, (X, THREE), ValueError, "^validation_data: .*an indicator matrix"),
    ],
)  # fmt: skip
def test_data_that_is_refused(kind, y, held_out, error, words):
    with pytest.raises(error, match=words):
        kind(**SMALL).fit(X, y, validation_data=held_out)


def test_targets_that_the_loss_refuses():
    held_out = X, -np.ones(130)
    with pytest.raises(ValueError, match="^validation_data: loss='poisson'.*found -1"):
        MLPRegressor("poisson", **SMALL).fit(X, NUMBER**2, validation_data=held_out)


def test_a_single_sample_has_no_score():
    held_out = X[:1], NUMBER[:1]
    with pytest.raises(ValueError, match="^validation_data: expected at least 2 samples .*found 1"):
        MLPRegressor(early_stopping=True, **SMALL).fit(X, NUMBER, validation_data=held_out)


def test_lbfgs_has_no_epochs():
    with pytest.raises(ValueError, match="validation_data to be left out: solver='lbfgs'"):
        trained(MLPRegressor, NUMBER, solver="lbfgs")
