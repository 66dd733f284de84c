"""Check copies, clones, weights, sparse inputs and probabilities of estimators."""

import copy
import pickle

import joblib
import numpy as np
import pytest

import chainrule as cr

pytest.importorskip("sklearn", "1.9")  # older scikit-learn versions need an older version of SciPy
from fitted import (
    LABELS,
    NAMES,
    NUMBER,
    NUMBERS,
    SMALL,
    THREE,
    TWO,
    WEIGHTS,
    X,
    assert_same_weights,
    fitted,
    parameters,
)
from scipy import sparse
from scipy.special import log_expit, log_softmax
from sklearn import neural_network
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from chainrule import estimators
from chainrule.estimators import MLPClassifier, MLPRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
@pytest.mark.parametrize(
    ("kind", "y"), [(MLPClassifier, NAMES), (MLPRegressor, NUMBERS)], ids=["names", "numbers"]
)
def test_copies_are_equal_and_independent(kind, y, solver, tmp_path):
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
            assert_same_weights(twin, again, atol=0)  # the optimizer's state is copied, too
            assert twin.trainer_.penalty is twin._penalty  # `fit` sets alpha on `_penalty`
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
    assert optimizer._model_state is None
    twin.fit(X, NAMES)


def test_pipeline_and_search():
    pipeline = make_pipeline(StandardScaler(), MLPClassifier(**SMALL))
    search = GridSearchCV(pipeline, {"mlpclassifier__activation": ["relu", ["tanh", "gelu"]]}, cv=2)
    assert search.fit(X, NAMES).best_score_ > 0.3


def test_parameters_are_scikit_learns_in_the_same_order():
    for name in ("MLPClassifier", "MLPRegressor"):
        theirs = getattr(neural_network, name)().get_params()
        ours = getattr(estimators, name)().get_params()
        assert {k: ours[k] for k in theirs} == theirs


def test_weights_can_be_changed_and_replaced():
    model, other = fitted(MLPRegressor, NUMBER), fitted(MLPRegressor, NUMBER, random_state=8)
    assert [c.shape for c in model.coefs_] == [(5, 7), (7, 4), (4, 1)]
    assert [b.shape for b in model.intercepts_] == [(7,), (4,), (1,)]
    for i in range(3):
        model.coefs_[i] = other.coefs_[i].copy()
    model.intercepts_ = [b.tolist() for b in other.intercepts_]
    np.testing.assert_array_equal(model.predict(X), other.predict(X))
    model.coefs_[2] *= 2.0  # assigning copied the array, so coefs_ is still a view of the weights
    model.intercepts_[2][...] *= 2.0
    np.testing.assert_allclose(model.predict(X), 2.0 * other.predict(X))
    model.coefs_[0] = np.zeros((7, 5))
    with pytest.raises(ValueError, match=r"expected weights of shape \(5, 7\), found \(7, 5\)"):
        model.predict(X)
    model.coefs_ = []
    with pytest.raises(ValueError, match="expected 3 arrays in coefs_, found 0"):
        model.predict(X)


def test_training_can_continue_from_assigned_weights():
    model = MLPRegressor(
        hidden_layer_sizes=(7, 4), solver="sgd", momentum=0.0, learning_rate_init=1e-12
    )
    other = fitted(MLPRegressor, NUMBER)
    model.coefs_ = [c.copy() for c in other.coefs_]
    model.intercepts_ = [b.copy() for b in other.intercepts_]
    model.n_features_in_ = 5
    np.testing.assert_allclose(model.partial_fit(X, NUMBER).predict(X), other.predict(X), rtol=1e-6)


def test_the_model_is_a_chainrule_model(tmp_path):
    model = fitted(MLPClassifier, THREE)
    model.model_.save(tmp_path / "model.safetensors")
    logits = cr.load(tmp_path / "model.safetensors", dtype="float64").predict(X)
    assert model.model_.state.dtype_name == "float64"
    np.testing.assert_array_equal(logits.argmax(axis=1), model.predict(X))
    assert len(model.trainer_.history) == model.n_iter_


def test_the_model_is_printed_without_its_weights():
    """Copies and unpickled models are printed without their weights, too."""
    model = fitted(MLPRegressor, NUMBER, batch_norm=True).model_
    expected = """Sequential(
  0: Linear(5, 7)
  1: BatchNorm(7)
  2: ReLU()
  3: Linear(7, 4)
  4: BatchNorm(4)
  5: ReLU()
  6: Linear(4, 1)
)"""
    for same in (model, copy.deepcopy(model), model.copy(), pickle.loads(pickle.dumps(model))):
        assert repr(same) == expected


@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
@pytest.mark.parametrize("weight", [None, WEIGHTS], ids=["", "weighted"])
@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("form", [sparse.csr_array, sparse.csc_array, sparse.csr_matrix])
def test_sparse_inputs_train_like_dense_ones(solver, weight, early_stopping, form):
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
    np.testing.assert_allclose(model.predict_log_proba(X), np.log(p), rtol=1e-9, atol=1e-12)
    assert 0.0 <= model.score(X, y, sample_weight=WEIGHTS) <= 1.0


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("y", "options"),
    [(TWO, {}), (THREE, {}), (LABELS, {}), (THREE, {"loss": cr.BCEWithLogitsLoss()})],
    ids=["two", "three", "labels", "one against rest"],
)
def test_probabilities_of_distant_samples(y, options, dtype):
    model = fitted(MLPClassifier, y, activation="identity", **options)
    far = (1e4 * X[:20]).astype(dtype)
    outputs = far.astype("float64")
    for weight, bias in zip(model.coefs_, model.intercepts_, strict=True):
        outputs = outputs @ weight + bias
    if y is TWO:
        outputs = np.concat([-outputs, outputs], axis=1)
    expected = log_softmax(outputs, axis=1) if y is THREE and not options else log_expit(outputs)
    if options:
        expected = log_softmax(expected, axis=1)
    tolerance = {"float32": 1e-4, "float64": 1e-9}[dtype]
    np.testing.assert_allclose(model.predict_log_proba(far), expected, rtol=tolerance, atol=0.1)
    p = model.predict_proba(far)
    if y is not LABELS:
        np.testing.assert_allclose(p.sum(axis=1), 1.0, rtol=1e-6)
    assert np.isfinite(p).all()
