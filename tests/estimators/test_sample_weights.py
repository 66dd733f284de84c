"""Train with sample weights of 0, with weights of absent classes, and on a single class."""

import numpy as np
import pytest

import chainrule as cr

pytest.importorskip("sklearn", "1.9")  # older scikit-learn versions need an older version of SciPy
from fitted import (
    LABELS,
    NUMBER,
    SMALL,
    THREE,
    TWO,
    WEIGHTS,
    X,
    assert_same_weights,
    fitted,
)
from scipy import sparse
from sklearn.ensemble import BaggingClassifier
from sklearn.linear_model import SGDClassifier
from sklearn.model_selection import KFold, cross_val_predict

from chainrule.estimators import MLPClassifier, MLPRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

SOME = np.where(np.arange(130) % 3 == 1, 0.0, WEIGHTS)
KEPT = SOME > 0.0


def first(y, **options):
    """Return a classifier after one call of `partial_fit` with the classes 0 and 1."""
    return MLPClassifier(**SMALL, **options).partial_fit(X, y, classes=[0, 1])


@pytest.mark.parametrize("form", [np.asarray, sparse.csr_array])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"solver": "lbfgs"},
        {"batch_norm": True, "dropout": 0.2},
        {"early_stopping": True},
        {"class_weight": "balanced"},
        {"class_weight": {1: 3.0}, "early_stopping": True},
    ],
    ids=str,
)
def test_samples_of_weight_0_count_as_absent(options, form):
    kinds = {MLPClassifier: THREE, MLPRegressor: NUMBER}
    if "class_weight" in options:
        del kinds[MLPRegressor]
    for kind, y in kinds.items():
        model = fitted(kind, y, form(X), SOME, **options)
        same = fitted(kind, y[KEPT], form(X[KEPT]), SOME[KEPT], **options)
        assert_same_weights(model, same, atol=0)
        np.testing.assert_array_equal(model.model_.state.buffers, same.model_.state.buffers)
        assert model.t_ == same.t_
    zero = fitted(MLPClassifier, THREE, class_weight={1: 0.0})
    assert zero.classes_.tolist() == [0, 1, 2]
    assert zero.t_ == zero.n_iter_ * (THREE != 1).sum()


def test_weights_of_0_in_arrays_of_another_library(library):
    x, y, weight = map(library.asarray, (X, TWO, SOME))
    options = {"class_weight": {1: 2.0}, "early_stopping": True, "max_iter": 3}
    model = fitted(MLPClassifier, y, x, weight, **options)
    same = fitted(MLPClassifier, TWO[KEPT], X[KEPT], SOME[KEPT], **options)
    p = library.to_numpy(model.predict_proba(x))
    np.testing.assert_allclose(p, same.predict_proba(X), atol=1e-6)


@pytest.mark.parametrize("seed", range(10))
def test_early_stopping_with_few_weighted_samples(seed):
    """At least two samples are held out, even if a tenth of the samples is less than two."""
    weight = np.where(np.arange(130) < 4, 1.0, 0.0)
    y = np.r_[0, 1, 1, 1, THREE[4:]]
    options = {"early_stopping": True, "random_state": seed, "batch_size": "auto"}
    model = fitted(MLPClassifier, y, weight=weight, **options)
    assert len(model.validation_scores_) == model.n_iter_
    assert {round(2.0 * score, 9) for score in model.validation_scores_} <= {0.0, 1.0, 2.0}
    fitted(MLPRegressor, NUMBER, weight=weight, **options)
    with pytest.raises(ValueError, match="at least 3 samples with a weight above 0.*n_samples=2"):
        fitted(MLPClassifier, y, weight=weight * (np.arange(130) < 2), **options)


def test_too_few_weighted_samples_for_batch_norm():
    with pytest.raises(ValueError, match="n_samples=1 .* samples of weight 0 do not count"):
        fitted(MLPRegressor, NUMBER, weight=np.eye(130)[7], batch_norm=True, batch_size="auto")


@pytest.mark.parametrize("rows", [np.arange(130), THREE != 2], ids=["", "a class without weight"])
def test_balanced_classes_have_equal_total_weight(rows):
    """With balanced class weights, doubling the sample weights of one class changes nothing."""
    weight = np.where(rows if rows.dtype == bool else True, WEIGHTS, 0.0)
    sums = np.bincount(THREE, weights=weight, minlength=3)
    with np.errstate(divide="ignore", invalid="ignore"):
        each = np.nan_to_num(weight.sum() / (np.count_nonzero(sums) * sums))[THREE]
    balanced = fitted(MLPClassifier, THREE, weight=weight, class_weight="balanced")
    assert_same_weights(balanced, fitted(MLPClassifier, THREE, weight=np.nan_to_num(weight * each)))
    doubled = weight * np.where(THREE == 1, 2.0, 1.0)
    again = fitted(MLPClassifier, THREE, weight=doubled, class_weight="balanced", alpha=0.0)
    plain = fitted(MLPClassifier, THREE, weight=weight, class_weight="balanced", alpha=0.0)
    assert_same_weights(again, plain, atol=1e-9)


def test_classes_that_are_unnamed_or_absent_have_weight_1():
    zeros = np.zeros(130, int)
    for y, factor, given in (
        (zeros, 1.0, {1: 5.0}), (zeros, 1.0, {}), (zeros, 3.0, {0: 3.0}),
        (TWO, np.where(TWO == 1, 5.0, 1.0), {1: 5.0}),
        (zeros, 2.0, {0: 2.0, 1: 5.0, 7: 9.0}),  # weights for all classes and for an absent class
    ):  # fmt: skip
        SGDClassifier(class_weight=given).partial_fit(
            X, y, classes=[0, 1]
        )  # scikit-learn accepts these weights, too
        same = MLPClassifier(**SMALL).partial_fit(X, y, factor * np.ones(130), classes=[0, 1])
        assert_same_weights(first(y, class_weight=given), same, atol=0)
    named = MLPClassifier(**SMALL, class_weight={"a": 2.0})
    same = MLPClassifier(**SMALL, class_weight={"a": 2.0, "b": 1.0})
    for model in (named, same):
        model.partial_fit(X, np.full(130, "b"), classes=["a", "b"])
        model.partial_fit(X, np.where(TWO == 1, "a", "b"))
    assert_same_weights(named, same, atol=0)


def test_class_weights_of_labels():
    each = [{0: 1.0, 1: 4.0}, {1: 2.0}, {0: 0.5}]
    product = np.where(LABELS[:, 0], 4.0, 1.0) * np.where(LABELS[:, 1], 2.0, 1.0)
    product *= np.where(LABELS[:, 2], 1.0, 0.5)
    model = fitted(MLPClassifier, LABELS, class_weight=each)
    assert_same_weights(model, fitted(MLPClassifier, LABELS, weight=product))
    none = LABELS * [1, 0, 1]  # no sample has the second label
    fitted(MLPClassifier, none, class_weight=each)
    for wrong in ({1: 2.0}, each[:2], "even"):
        with pytest.raises(
            ValueError, match="a list with one dict per label .for several labels., found"
        ):
            fitted(MLPClassifier, LABELS, class_weight=wrong)


def test_class_weights_of_unknown_classes():
    for given in ({2: 5.0}, {0: 1.0, 7: 2.0}):
        with pytest.raises(ValueError, match="not in class_weight"):
            SGDClassifier(class_weight=given).fit(X, TWO)
        with pytest.raises(ValueError, match=r"to name classes among \[0, 1\], found \[[27]\]"):
            fitted(MLPClassifier, TWO, class_weight=given)
    with pytest.raises(ValueError, match="class_weight to be 'balanced', a dict"):
        fitted(MLPClassifier, TWO, class_weight=[1.0, 2.0])


def test_bagging():
    for early in (False, True):
        one = MLPClassifier(**{**SMALL, "batch_size": "auto"}, early_stopping=early)
        bag = BaggingClassifier(one, n_estimators=5, random_state=0).fit(X[:40], TWO[:40])
        assert bag.predict_proba(X).shape == (130, 2)
        assert np.isfinite(bag.predict_proba(X)).all()


@pytest.mark.parametrize(
    "options",
    [
        {}, {"solver": "lbfgs"}, {"early_stopping": True}, {"class_weight": "balanced"},
        {"loss": cr.CrossEntropyLoss(label_smoothing=0.1)}, {"loss": cr.BCEWithLogitsLoss()},
        {"loss": cr.BCELoss()}, {"loss": cr.KLDivLoss(reduction="batchmean")},
    ],
    ids=str,
)  # fmt: skip
def test_a_single_class_has_probability_1(options):
    y = np.full(130, "spam")
    model = fitted(MLPClassifier, y, **options)
    assert model.classes_.tolist() == ["spam"]
    far = 1e6 * X
    np.testing.assert_array_equal(model.predict_proba(far), np.ones((130, 1)))
    np.testing.assert_array_equal(model.predict_log_proba(far), np.zeros((130, 1)))
    assert model.predict(far).tolist() == y.tolist()
    assert model.score(X, y) == 1.0
    if "solver" not in options:  # the loss depends on the probability of the single class
        curve = model.loss_curve_
        assert curve[-1] < curve[0]


def test_a_single_class_in_a_stream_and_in_a_fold():
    for classes in ([7], [2.0], [True]):
        model = MLPClassifier(**SMALL).partial_fit(X, np.repeat(classes, 130), classes=classes)
        assert model.predict_proba(X).tolist() == [[1.0]] * 130
        assert model.predict(X).tolist() == classes * 130
    with pytest.warns(RuntimeWarning, match="Number of classes in training fold"):
        p = cross_val_predict(
            MLPClassifier(**SMALL), X, np.repeat([0, 1], 65), cv=KFold(2), method="predict_proba"
        )
    assert p.tolist() == [[0.0, 1.0]] * 65 + [[1.0, 0.0]] * 65


def test_a_single_class_in_an_array_of_another_library(library):
    x, y = library.asarray(X), library.asarray(np.full(130, 3))
    model = fitted(MLPClassifier, y, x)
    p = model.predict_proba(x)
    assert isinstance(p, library.backend.array_type)
    np.testing.assert_array_equal(library.to_numpy(p), np.ones((130, 1)))
    np.testing.assert_array_equal(library.to_numpy(model.predict(x)), np.full(130, 3))
    assert all(np.isfinite(p).all() for p in map(library.to_numpy, model.coefs_))


def test_a_batch_whose_classes_all_have_weight_0():
    model = first(TWO, class_weight={0: 0.0})
    before = model.model_.state.values.copy()
    with pytest.raises(ValueError, match=r"found only classes of weight 0: \[0\]$"):
        model.partial_fit(X[:5], np.zeros(5, int))
    np.testing.assert_array_equal(model.model_.state.values, before)
    model.partial_fit(X, TWO)
    assert not np.array_equal(model.model_.state.values, before)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_penalty_that_tiny_weights_make_huge():
    tiny = np.full(len(X), 1e-50)
    options = {"solver": "sgd", "learning_rate_init": 0.1}
    with pytest.raises(ValueError, match="^Solver produced .* sum of the sample weights, 1.3e-48"):
        fitted(MLPClassifier, TWO, X, tiny, **options)
    model = fitted(MLPClassifier, TWO, X, tiny, alpha=0.0, **options)
    assert_same_weights(model, fitted(MLPClassifier, TWO, X, alpha=0.0, **options), atol=1e-9)
