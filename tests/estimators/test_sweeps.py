"""scikit-learn's searches give the same results serially, in processes and on Dask."""

import os
import warnings

import numpy as np
import pytest

pytest.importorskip("sklearn")

import joblib
from scipy.stats import loguniform
from sklearn.base import clone
from sklearn.datasets import load_diabetes, load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import (
    GridSearchCV,
    KFold,
    RandomizedSearchCV,
    cross_val_score,
    cross_validate,
)
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from chainrule.estimators import MLPClassifier, MLPRegressor

# Tests of this group run in the same process of pytest-xdist and share joblib's processes.
IN_PROCESSES = pytest.mark.xdist_group("joblib's processes")
ENGINES = (pytest.param("processes", marks=IN_PROCESSES), "threads", "dask")
GRID = {
    "mlp__learning_rate_init": [0.001, 0.01],
    "mlp__hidden_layer_sizes": [(8,), (16, 8)],
    "mlp__dropout": [0.0, 0.3],
}
CLOSE = {"rtol": 1e-9, "atol": 0.0}  # rounding depends on the number of threads


@pytest.fixture(autouse=True)
def _short_trainings():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        yield


@pytest.fixture(scope="module")
def dask_client():
    """A Dask client with two worker processes that only this machine can reach."""
    distributed = pytest.importorskip("distributed", reason="the extra distributed is missing")
    here = {"host": "127.0.0.1", "dashboard_address": "127.0.0.1:0"}
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, **here) as cluster,
        distributed.Client(cluster) as client,
    ):
        assert len({*client.run(os.getpid).values(), os.getpid()}) == 3
        yield client


@pytest.fixture(params=[*ENGINES[:2], pytest.param("dask", marks=pytest.mark.slow)])
def engine(request):
    """A context in which joblib runs two fits at a time."""
    if request.param == "dask":
        request.getfixturevalue("dask_client")
        return lambda: joblib.parallel_config("dask")
    backend = {"processes": "loky", "threads": "threading"}[request.param]
    return lambda: joblib.parallel_config(backend, n_jobs=2)


@pytest.mark.parametrize("engine", ENGINES, indirect=True)  # this test is fast on every engine
def test_each_engine_runs_in_the_right_process(engine, request):
    with engine():
        found = joblib.Parallel()(joblib.delayed(os.getpid)() for _ in range(4))
    here = request.node.callspec.params["engine"] == "threads"
    assert (os.getpid() in found) == here


@pytest.fixture(scope="module")
def digits():
    x, y = load_digits(return_X_y=True)
    return x[:300], y[:300]


def classifier(**parameters):
    mlp = MLPClassifier(**{"max_iter": 5, "batch_size": 32, "random_state": 0, **parameters})
    return Pipeline([("scale", StandardScaler()), ("mlp", mlp)])


def assert_same_search(found, expected, x):
    assert found.cv_results_["params"] == expected.cv_results_["params"]
    assert found.best_params_ == expected.best_params_
    for name in ("mean_test_score", "std_test_score", "split0_test_score"):
        np.testing.assert_allclose(found.cv_results_[name], expected.cv_results_[name], **CLOSE)
    np.testing.assert_allclose(found.best_score_, expected.best_score_, **CLOSE)
    np.testing.assert_array_equal(found.predict(x), expected.predict(x))


def test_a_grid_search_is_the_same_everywhere(digits, engine):
    search = GridSearchCV(classifier(), GRID, cv=3, scoring="neg_log_loss")
    serial = clone(search).fit(*digits)
    assert len(np.unique(serial.cv_results_["mean_test_score"])) == 8  # all scores differ
    with engine():
        search.fit(*digits)
    assert_same_search(search, serial, digits[0])


def test_a_random_search_is_the_same_everywhere(digits, engine):
    distributions = {"mlp__learning_rate_init": loguniform(1e-3, 1e-1), "mlp__alpha": [0.0, 0.1]}
    options = {"n_iter": 5, "cv": 2, "scoring": "neg_log_loss", "random_state": 0}
    search = RandomizedSearchCV(classifier(batch_norm=True), distributions, **options)
    serial = clone(search).fit(*digits)
    with engine():
        search.fit(*digits)
    assert_same_search(search, serial, digits[0])


def test_scores_of_a_regressor_are_the_same_everywhere(engine):
    x, y = load_diabetes(return_X_y=True)
    mlp = MLPRegressor(hidden_layer_sizes=(8,), max_iter=5, random_state=0)
    model = Pipeline([("scale", StandardScaler()), ("mlp", mlp)])
    serial = cross_val_score(model, x, y, cv=4)
    with engine():
        np.testing.assert_allclose(cross_val_score(model, x, y, cv=4), serial, **CLOSE)


@IN_PROCESSES
def test_n_jobs_changes_no_score(digits):
    search = GridSearchCV(classifier(), GRID, cv=2)
    serial, parallel = (clone(search).set_params(n_jobs=n).fit(*digits) for n in (1, 2))
    assert_same_search(parallel, serial, digits[0])
    scores = (cross_val_score(classifier(), *digits, cv=3, n_jobs=n) for n in (1, 2))
    np.testing.assert_array_equal(*scores)


def test_cross_validation_scores_equal_those_by_hand(digits):
    """Cross-validation gives the same scores as training and scoring the models by hand."""
    x, y = digits
    folds = KFold(3, shuffle=True, random_state=0)
    scores = cross_val_score(classifier(dropout=0.2), x, y, cv=folds)
    for (train, test), score in zip(folds.split(x), scores, strict=True):
        scaled = StandardScaler().fit(x[train]).transform(x)
        mlp = MLPClassifier(max_iter=5, batch_size=32, random_state=0, dropout=0.2)
        right = mlp.fit(scaled[train], y[train]).predict(scaled[test]) == y[test]
        assert score == pytest.approx(right.mean(), abs=1e-12)


def test_a_search_sets_parameters_through_the_pipeline(digits):
    grid = {"mlp__activation": ["tanh"], "mlp__dropout": [0.25]}
    search = GridSearchCV(classifier(), grid, cv=2).fit(*digits)
    mlp = search.best_estimator_.named_steps["mlp"]
    assert (mlp.activation, mlp.dropout) == ("tanh", 0.25)
    assert [type(layer).__name__ for layer in mlp.model_] == ["Linear", "Tanh", "Dropout", "Linear"]
    # A search fits clones, so its own estimator stays unchanged.
    assert search.estimator.get_params()["mlp__dropout"] == 0.0


def test_models_trained_in_other_processes_can_be_used(digits, engine):
    """Models returned by other processes give the same predictions and can be trained further."""
    x, y = digits
    mlp = classifier()["mlp"]
    serial = cross_validate(mlp, x, y, cv=2, return_estimator=True)["estimator"]
    with engine():
        returned = cross_validate(mlp, x, y, cv=2, return_estimator=True)["estimator"]
    for model, expected in zip(returned, serial, strict=True):
        np.testing.assert_allclose(model.predict_proba(x), expected.predict_proba(x), rtol=1e-7)
        losses = len(model.loss_curve_)
        before = model.predict_proba(x)
        model.partial_fit(x, y)
        assert len(model.loss_curve_) == losses + 1
        assert np.abs(model.predict_proba(x) - before).max() > 1e-6
        expected.partial_fit(x, y)
        np.testing.assert_allclose(model.loss_, expected.loss_, rtol=1e-7)


def test_an_error_is_reported_on_every_engine(digits, engine):
    search = GridSearchCV(classifier(), {"mlp__dropout": [1.5]}, cv=2, error_score="raise")
    with engine(), pytest.raises(ValueError, match=r"expected dropout in \[0, 1\), found 1.5"):
        search.fit(*digits)


def test_a_search_can_be_pickled(digits, tmp_path):
    x, y = digits
    search = GridSearchCV(classifier(), {"mlp__dropout": [0.0, 0.3]}, cv=2).fit(x, y)
    joblib.dump(search, tmp_path / "search.joblib")
    loaded = joblib.load(tmp_path / "search.joblib")
    assert loaded.best_params_ == search.best_params_
    np.testing.assert_array_equal(loaded.predict_proba(x), search.predict_proba(x))
    again = clone(loaded).fit(x, y)
    np.testing.assert_array_equal(again.predict_proba(x), search.predict_proba(x))
