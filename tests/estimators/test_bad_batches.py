"""In a stream of batches, a bad batch changes nothing, and memory use hardly grows."""

import copy
import pickle

import numpy as np
import pytest

import chainrule as cr
from chainrule.callbacks import GradientNorms, LambdaCallback

pytest.importorskip("sklearn", "1.9")  # older scikit-learn versions need an older version of SciPy
from fitted import NUMBER, SMALL, THREE, X, fitted

from chainrule.estimators import MLPClassifier, MLPRegressor, lbfgs

pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.filterwarnings("ignore::RuntimeWarning"),  # the tests overflow on purpose
]
HUGE = 1.7e308


def started(kind, **options):
    """Return an estimator trained on two batches, and the targets of the data."""
    y = THREE if kind is MLPClassifier else NUMBER
    model = kind(**{**SMALL, **options})
    for _ in range(2):
        model.partial_fit(X, y, **({"classes": [0, 1, 2]} if kind is MLPClassifier else {}))
    return model, y


def everything(model):
    """Return copies of an estimator's complete state and results, in host memory."""
    trainer, state = model.trainer_, model.model_.state
    shown = {name: copy.deepcopy(value) for name, value in vars(model).items() if name[-1] == "_"}
    del shown["model_"], shown["trainer_"]
    history = copy.deepcopy(vars(trainer.history))
    counters = trainer.epoch, trainer.epochs, trainer.began, state.draws
    order = trainer.rng.bit_generator.state
    vectors = state.values.copy(), state.buffers.copy()
    return shown, history, counters, order, vectors, trainer.optimizer.state(), vars(model._record)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"batch_norm": True, "dropout": 0.3},
        {"solver": "sgd", "learning_rate": "adaptive"},
        {"solver": "sgd", "learning_rate": "invscaling"},
        {"optimizer": cr.AdamW(cr.schedules.cosine(0.001, steps=90))},
        {"precision": "float32"},
    ],
    ids=str,
)
@pytest.mark.parametrize("kind", [MLPClassifier, MLPRegressor])
def test_a_bad_batch_does_not_change_an_estimator(kind, options):
    model, y = started(kind, **options)
    never, _ = started(kind, **options)
    before = copy.deepcopy(everything(model))
    weights, parts = model.coefs_[0], (model.model_, model.trainer_)
    huge = 3e38 if options.get("precision") else HUGE
    late = X.copy()
    late[-1] = np.copysign(huge, weights[:, 0])  # only the last batch overflows
    for x in (np.tile(late[-1], (130, 1)), late):
        with pytest.raises(ValueError, match="Solver produced .*non-finite .* large values"):
            model.partial_fit(x, y)
        np.testing.assert_equal(everything(model), before)
        assert not model.model_.state.grads.any()
        assert model.coefs_[0] is weights
        assert (model.model_, model.trainer_) == parts
    model.partial_fit(X, y)
    never.partial_fit(X, y)
    np.testing.assert_array_equal(model.model_.state.values, never.model_.state.values)
    assert model.loss_curve_ == never.loss_curve_


class Steep(cr.Loss):
    """A loss of 0 with an infinite slope."""

    def formula(self, xp, y, target):
        return 0.0 * y, lambda: y / 0.0


def test_a_non_finite_gradient_is_reported():
    model = MLPRegressor(Steep(), **SMALL)
    with pytest.raises(ValueError, match="non-finite parameter weights"):
        model.partial_fit(X, NUMBER)
    with pytest.warns(RuntimeWarning, match="48 steps were skipped") as caught:
        model.fit(X, NUMBER)
    assert [w.filename for w in caught if "skipped" in str(w.message)] == [__file__]


def test_running_statistics_that_overflow():
    """An infinite running variance is reported, although it only makes the outputs 0."""
    model, _ = started(MLPRegressor, batch_norm=True, hidden_layer_sizes=(3,), batch_size=130)
    before = model.predict(X)
    with pytest.raises(ValueError, match="non-finite"):
        model.partial_fit(1e200 * X, NUMBER)
    np.testing.assert_array_equal(model.predict(X), before)


@pytest.mark.parametrize(
    ("how", "error"),
    [
        *((how, ValueError) for how in ("partial_fit", "fit", "warm", "early", "lbfgs")),
        ("lbfgs", KeyboardInterrupt),  # other solvers catch Ctrl-C, warn and keep their weights
    ],
)
def test_an_exception_during_training_does_not_change_an_estimator(how, error, monkeypatch):
    model, y = started(MLPClassifier, dropout=0.0 if how == "lbfgs" else 0.1)
    before, calls = copy.deepcopy(everything(model)), []
    evaluate = lbfgs._value_and_gradient

    def fail_at_the_third(*arguments):
        calls.append(arguments)
        if len(calls) == 3:
            raise error
        return evaluate(*arguments) if how == "lbfgs" else None

    if how == "lbfgs":
        monkeypatch.setattr(lbfgs, "_value_and_gradient", fail_at_the_third)
        model.set_params(solver="lbfgs", warm_start=True)
    else:
        early = how == "early"
        callbacks = [LambdaCallback(on_step_end=fail_at_the_third)]
        model.set_params(callbacks=callbacks, warm_start=how == "warm" or early)
        model.set_params(early_stopping=early)
    train = model.partial_fit if how == "partial_fit" else model.fit
    with pytest.raises(error):
        train(X, y)
    np.testing.assert_equal(everything(model), before)


@pytest.mark.parametrize("kind", [MLPClassifier, MLPRegressor])
@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_a_failed_first_fit_leaves_the_estimator_unfitted(kind, solver):
    model = kind(**SMALL, solver=solver)
    y = THREE if kind is MLPClassifier else NUMBER
    with pytest.raises(ValueError, match="non-finite"):
        model.fit(np.full(X.shape, HUGE), y)
    assert vars(model).keys() == kind(**SMALL).get_params().keys()


def test_a_stream_keeps_only_its_losses_in_memory():
    x, y = X[:8], THREE[:8]
    norms = GradientNorms()
    model = MLPClassifier((3,), batch_size=4, random_state=0)
    model.partial_fit(x, y, classes=[0, 1, 2])
    size = len(pickle.dumps(model))
    for _ in range(200):
        model.partial_fit(x, y)
    assert len(model.loss_curve_) == 201
    assert [row["epoch"] for row in model.trainer_.history.epochs] == [201]
    assert model.trainer_.history["loss"] == [model.loss_]
    assert len(model.trainer_.history.step_losses) == 2
    assert model.trainer_.optimizer.steps == 402
    assert not model.trainer_.listeners
    assert not model.trainer_.metrics
    assert len(pickle.dumps(model)) < size + 200 * 20 + 500  # 9 bytes for each pickled loss
    model.set_params(callbacks=[norms]).partial_fit(x, y)
    assert {len(column) for column in norms.norms.values()} == {2}


def test_a_stream_continues_the_epochs_of_a_fit():
    seen = []
    model = fitted(MLPRegressor, NUMBER, max_iter=3)
    assert len(model.trainer_.history) == 3
    model.callbacks = [LambdaCallback(on_epoch_end=lambda trainer: seen.append(trainer.epoch))]
    model.partial_fit(X, NUMBER).partial_fit(X, NUMBER)
    assert seen == [4, 5]
    assert len(model.loss_curve_) == 5
    assert len(model.trainer_.history.step_losses) == 4
