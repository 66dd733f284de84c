"""Check early stopping, validation data, printed lines and warnings of a fit."""

import importlib
import re
import signal
import sys
import warnings

import numpy as np
import pytest

from chainrule.callbacks import EarlyStopping, LambdaCallback

pytest.importorskip("sklearn", "1.9")  # older scikit-learn versions need an older version of SciPy
from fitted import NUMBER, SMALL, THREE, Brier, X, assert_same_weights, fitted
from sklearn import neural_network
from sklearn.datasets import load_breast_cancer
from sklearn.exceptions import ConvergenceWarning

from chainrule.estimators import MLPClassifier, MLPRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


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
def test_validation_data_that_cannot_be_stratified_is_drawn_at_random(y, loss):
    model = fitted(MLPClassifier, y, early_stopping=True, loss=loss)
    assert len(model.validation_scores_) == model.n_iter_
    if loss == "log_loss":
        options = {"early_stopping": True, "shuffle": False}
        ours = fitted(MLPClassifier, y, **options)
        theirs = fitted(neural_network.MLPClassifier, y, **options)
        assert_same_weights(ours, theirs)
    with pytest.raises(ValueError, match="validation set is too small"):
        fitted(MLPClassifier, y, early_stopping=True, loss=loss, validation_fraction=0.005)


def test_a_callback_that_watches_the_score():
    """A callback that watches the score treats higher scores as better."""
    stop = EarlyStopping("val_score", patience=30)
    model = fitted(MLPClassifier, THREE, callbacks=[stop], early_stopping=True, max_iter=30)
    assert stop.monitor.mode == "max"
    assert stop.best == max(model.validation_scores_)


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_small_losses_are_printed_with_all_digits(solver, capsys):
    options = {"solver": solver, "verbose": True, "alpha": 0.0, "max_iter": 5, "tol": 0.0}
    model = fitted(MLPRegressor, NUMBER * 1e-9, **options)
    printed = re.findall("Iteration .*, loss = (.*)", capsys.readouterr().out)
    assert float(printed[-1]) == pytest.approx(model.loss_, rel=1e-6)


def test_verbose_prints_lines(capsys):
    fitted(MLPRegressor, NUMBER, early_stopping=True, verbose=True, tol=0.5, n_iter_no_change=2)
    out = capsys.readouterr().out
    assert "Iteration 1, loss = " in out
    assert "Validation score: " in out
    assert "Validation score did not improve by tol=0.5 in 2 epochs. Stopping." in out
    rates = {"solver": "sgd", "learning_rate": "adaptive", "tol": 0.5, "n_iter_no_change": 2}
    fitted(MLPRegressor, NUMBER, verbose=1, **rates)
    assert "The learning rate is now 0.0002." in capsys.readouterr().out
    fitted(MLPRegressor, NUMBER, solver="lbfgs", verbose=True, max_iter=2)
    assert capsys.readouterr().out.count("Iteration") == 2
    fitted(MLPRegressor, NUMBER)
    assert capsys.readouterr().out == ""


def test_warnings():
    def regressor(**options):
        return MLPRegressor(**{**SMALL, **options})

    with pytest.warns(
        ConvergenceWarning, match="max_iter=15 epochs: increase max_iter or"
    ) as caught:
        regressor().fit(X, NUMBER)
    assert caught[0].filename == __file__
    with pytest.warns(ConvergenceWarning, match="lbfgs did not converge in 3 iterations") as caught:
        regressor(solver="lbfgs", max_iter=3).fit(X, NUMBER)
    assert caught[0].filename == __file__
    with pytest.warns(UserWarning, match="batch_size=500") as caught:
        regressor(batch_size=500).fit(X, NUMBER)
    assert caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fitted(MLPRegressor, NUMBER, tol=10.0, n_iter_no_change=1)
        MLPRegressor(max_iter=1).partial_fit(X, NUMBER)


def cancer_gradient(model, x, y):
    """With NumPy, compute the largest absolute element of the gradient of the mean log-loss."""
    (w, v), (b, c) = model.coefs_, model.intercepts_
    hidden = np.maximum(x @ w + b, 0.0)
    dz = (1.0 / (1.0 + np.exp(-(hidden @ v + c))) - y[:, None]) / len(y)
    dh = (dz @ v.T) * (hidden > 0.0)
    return max(abs(g).max() for g in (hidden.T @ dz, dz.sum(0), x.T @ dh, dh.sum(0)))


@pytest.mark.parametrize("tol", [1e-2, 1e-4])
def test_lbfgs_ends_at_tol(tol):
    """L-BFGS stops when the gradient reaches `tol`, not at SciPy's own tolerance for the loss."""
    x, y = load_breast_cancer(return_X_y=True)
    options = {"max_iter": 20_000, "max_fun": 1_000_000, "alpha": 0.0, "random_state": 0}
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConvergenceWarning)
        model = MLPClassifier((10,), solver="lbfgs", tol=tol, **options).fit(x, y)
    with np.errstate(over="ignore"):
        assert cancer_gradient(model, x, y) <= tol * (1.0 + 1e-6)


@pytest.mark.parametrize("precision", ["float64", "float32"])
def test_lbfgs_reports_that_rounding_ended_it(precision):
    """Rounding keeps the gradient above tol=1e-14 when the targets are in the thousands."""
    target = 1e3 * (X @ np.arange(1.0, 6.0) + NUMBER)
    options = {"solver": "lbfgs", "precision": precision, "tol": 1e-14, "activation": "identity"}
    words = f"at most tol=1e-14, found .*; the line search finds no smaller loss in {precision}"
    with pytest.warns(ConvergenceWarning, match=words) as caught:
        model = fitted(MLPRegressor, target, hidden_layer_sizes=(), max_iter=500, **options)
    assert model.n_iter_ < 500
    found = float(re.search(r"found (\S+);", str(caught[0].message))[1])
    x, w, b = X.astype(precision), model.coefs_[0], model.intercepts_[0]
    residual = (x @ w + b - target[:, None].astype(precision)) / 130.0
    largest = max(abs(x.T @ residual + 1e-4 * w / 130.0).max(), abs(residual.sum()))
    rounding = 1e3 * float(np.finfo(precision).eps)
    assert largest == pytest.approx(found, abs=300.0 * rounding)


@pytest.mark.skipif(sys.platform == "win32", reason="no signals there")
def test_ctrl_c_ends_training_and_keeps_the_weights(ctrl_c):
    def interrupt(trainer):
        if trainer.epoch == 3:
            signal.raise_signal(signal.SIGINT)

    stop = [LambdaCallback(on_step_end=interrupt)]
    with pytest.warns(UserWarning, match="interrupted"):
        model = fitted(MLPClassifier, THREE, callbacks=stop, early_stopping=True)
    assert model.n_iter_ == 2
    assert model.predict(X).shape == (130,)


def test_non_finite_weights_are_reported():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        with pytest.raises(
            ValueError, match=r"non-finite .*StandardScaler.* lower the learning rate"
        ):
            fitted(MLPRegressor, NUMBER, X * 1e300)
        options = {"solver": "sgd", "activation": "identity", "learning_rate_init": 10.0}
        model = fitted(MLPRegressor, NUMBER, early_stopping=True, max_iter=30, **options)
        # Training diverged, but the best weights are kept.
        assert np.isnan(model.validation_scores_[-1])
        assert np.isfinite(model.predict(X)).all()


@pytest.mark.skipif(sys.platform == "win32", reason="no signals there")
def test_ctrl_c_in_the_first_epoch_keeps_the_weights(ctrl_c):
    stop = [LambdaCallback(on_step_end=lambda trainer: signal.raise_signal(signal.SIGINT))]
    with pytest.warns(UserWarning, match="interrupted"):
        model = fitted(MLPClassifier, THREE, callbacks=stop)
    assert model.n_iter_ == 0
    assert not hasattr(model, "loss_")
    assert model.predict(X).shape == (130,)
