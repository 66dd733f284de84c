"""`ExponentialMovingAverage` averages the weights, and models can use the average."""

import copy

import numpy as np
import pytest
from helpers import FIT, X, Y, trainer_on, vectors

import chainrule as cr
from chainrule.callbacks import (
    ExponentialMovingAverage,
    LambdaCallback,
)


def test_moving_average(library):
    weights = []
    take = LambdaCallback(on_step_end=lambda trainer: weights.append(vectors(trainer, library)[0]))
    trainer, average = trainer_on(library), ExponentialMovingAverage(0.9)
    for _ in range(2):  # in a second call, the average starts afresh
        expected = vectors(trainer, library)[0]
        weights.clear()
        trainer.fit(X, Y, epochs=2, callbacks=[average, take], **FIT)
        for values in weights:
            expected = 0.9 * expected + 0.1 * values
        found = average.average
        assert (found.dtype, type(found)) == (trainer.model.state.dtype, library.backend.array_type)
        np.testing.assert_allclose(library.to_numpy(found), expected, rtol=1e-12, atol=1e-15)


def test_the_average_is_applied_and_removed(library):
    trainer, average = trainer_on(library), ExponentialMovingAverage(0.5)
    with pytest.raises(RuntimeError, match="no average yet"):
        average.copy_to(trainer.model)
    trainer.fit(X, Y, epochs=3, callbacks=[average], **FIT)
    model, (own, buffers) = trainer.model, vectors(trainer, library)
    before = model.predict(X)
    with average.applied(model) as averaged:
        assert averaged is model
        inside, statistics = vectors(trainer, library)
        np.testing.assert_array_equal(inside, library.to_numpy(average.average))
        predicted = model.predict(X)
        np.testing.assert_array_equal(statistics, buffers)  # buffers are not averaged
    assert not np.array_equal(predicted, before)
    np.testing.assert_array_equal(model.predict(X), before)
    with pytest.raises(ZeroDivisionError), average.applied(model):
        1 / 0  # noqa: B018
    np.testing.assert_array_equal(vectors(trainer, library)[0], own)
    twin = copy.deepcopy(model)
    average.copy_to(twin)
    np.testing.assert_array_equal(twin.predict(X), predicted)
    np.testing.assert_array_equal(model.predict(X), before)


def test_weights_that_change_while_the_average_is_applied(library):
    average, trainer = ExponentialMovingAverage(0.9), trainer_on(library)
    trainer.fit(X, Y, epochs=2, callbacks=[average], **FIT)
    before = vectors(trainer, library)
    with (
        pytest.raises(RuntimeError, match="changed within applied.*: .* use copy_to"),
        average.applied(trainer.model),
    ):
        trainer.fit(X, Y, **FIT)
    for found, expected in zip(vectors(trainer, library), before, strict=True):
        np.testing.assert_array_equal(found, expected)


def test_the_average_for_a_model_of_another_backend(library):
    trainer, average = trainer_on(library), ExponentialMovingAverage(0.5)
    trainer.fit(X, Y, epochs=2, callbacks=[average], **FIT)
    layers = cr.Linear(4, 6), cr.BatchNorm(6), cr.Tanh(), cr.Dropout(0.2), cr.Linear(6, 3)
    other = cr.Sequential(*layers)  # a float32 model on NumPy
    average.copy_to(other)
    expected = library.to_numpy(average.average)
    np.testing.assert_allclose(other.state.values, expected, rtol=1e-6)
    with pytest.raises(
        cr.ShapeError, match="63 weights and 12 running statistics .* found 15 and 0"
    ):
        average.copy_to(cr.Sequential(cr.Linear(4, 3)))


def test_another_model_gets_the_running_statistics_too(library):
    """Copying averages also copies the running statistics, which batch normalisation needs."""
    trainer, average = trainer_on(library), ExponentialMovingAverage(0.5)
    trainer.fit(5.0 + 3.0 * X, Y, epochs=5, callbacks=[average], **FIT)
    other = trainer_on(library).model
    average.copy_to(other)
    with average.applied(trainer.model) as model:
        expected = model.predict(X)
    np.testing.assert_array_equal(other.predict(X), expected)


def test_averages_and_running_statistics_stay_together(library):
    """Further training does not change the running statistics stored with the averages."""
    trainer, average = trainer_on(library), ExponentialMovingAverage(0.5)
    trainer.fit(X, Y, epochs=2, callbacks=[average], **FIT)
    with average.applied(trainer.model) as model:
        expected = model.predict(X)
    trainer.fit(9.0 * X, Y, epochs=2, **FIT)
    own = trainer.model.predict(X)
    with average.applied(trainer.model) as model:
        np.testing.assert_array_equal(model.predict(X), expected)
    np.testing.assert_array_equal(trainer.model.predict(X), own)
