"""If the loss becomes NaN or infinite, the error names the layer and the step."""

import numpy as np
import pytest
from helpers import Breaks, as_if_on_a_device, plain_trainer, three_classes, trainer_on

import chainrule as cr

X, Y = three_classes(90)


@pytest.mark.filterwarnings("ignore:overflow encountered", "ignore:invalid value encountered")
def test_divergence_is_reported_with_its_step(library):
    trainer = plain_trainer(library, loss=cr.MSELoss(), outputs=4)
    trainer.optimizer.lr = lambda step: 1e200 if step == 4 else 0.0
    with pytest.raises(
        cr.DivergenceError,
        match=r"at step 5 \(step 2 of epoch 2\), and NaN .* first appeared in the loss itself: try",
    ):
        trainer.fit(X, X, epochs=3, batch_size=30, verbose=0)
    assert len(trainer.history) == 1
    assert len(trainer.history.step_losses) == 3  # only losses of completed epochs
    trainer.optimizer.lr = 0.0
    trainer.model.state.values[...] = 0.0
    trainer.fit(X, X, epochs=3, batch_size=30, resume=True, verbose=0)  # the bad step is repeated
    assert (trainer.optimizer.steps, len(trainer.history.step_losses)) == (9, 9)


def test_before_the_first_step_the_learning_rate_is_not_blamed(library):
    trainer = plain_trainer(library, loss=cr.CrossEntropyLoss())
    trainer.model[0].weight.value[0, 0] = np.nan
    with pytest.raises(cr.DivergenceError, match="'0.weight', before .*: this was the first step"):
        trainer.fit(X, Y, verbose=0)


@pytest.mark.filterwarnings("ignore:overflow encountered", "ignore:invalid value encountered")
@pytest.mark.parametrize("where", ["host", "device"])
def test_divergence_is_reported_with_its_layer(library, where, monkeypatch):
    """The error names the layer. On a device, the epoch's steps are repeated to find the layer."""
    if where == "device":
        as_if_on_a_device(monkeypatch)

    def trainer():
        layers = cr.Linear(4, 16), cr.BatchNorm(16), cr.Dropout(0.5), cr.Linear(16, 3)
        model = cr.Sequential(*layers, backend=library.backend, dtype="float64", seed=1)
        return cr.Trainer(model, loss=cr.CrossEntropyLoss(), optimizer=cr.Adam())

    x, options = X.copy(), {"batch_size": 10, "verbose": 0}
    x[37] = 1e308  # the sum of four such numbers is infinite
    order = np.random.default_rng(1)
    order.permutation(90)
    step = int(np.flatnonzero(order.permutation(90) == 37)[0]) // 10
    assert step > 1
    ours, before = trainer(), trainer()
    ours.fit(X, Y, **options)
    with pytest.raises(
        cr.DivergenceError,
        match=rf"became nan at step {9 + step} \(step {step} of epoch 2\), .* in the output of "
        r"layer '0', Linear\(4, 16\)",
    ):
        ours.fit(x, Y, **options)
    before.fit(X, Y, **options)
    with pytest.raises(KeyboardInterrupt):
        before.fit(X, Y, **options, callbacks=[Breaks(step=9 + step)])
    for vector in ("values", "buffers"):  # the failed step changed neither vector
        found, expected = (getattr(t.model.state, vector) for t in (ours, before))
        np.testing.assert_array_equal(library.to_numpy(found), library.to_numpy(expected))
    assert ours.model.state.draws == before.model.state.draws
    assert ours.optimizer.steps == 9 + step
    ours.model[3].weight.value[...] = np.nan
    with pytest.raises(cr.DivergenceError, match="the parameter '3.weight', before this step"):
        ours.fit(X, Y, **options)


@pytest.mark.filterwarnings("ignore:overflow encountered", "ignore:invalid value encountered")
@pytest.mark.parametrize("where", ["host", "device"])
def test_a_nan_loss_can_be_allowed(library, where, monkeypatch):
    if where == "device":
        as_if_on_a_device(monkeypatch)
    trainer = plain_trainer(library)
    trainer.model[0].weight.value[...] = np.nan
    history = trainer.fit(X, Y, epochs=2, terminate_on_nan=False, verbose=0)
    assert np.isnan(history["loss"]).all()


def test_only_the_divergence_of_the_optimizer_can_be_allowed():
    class Diverges(cr.Identity):
        def forward(self, x, *, training=False):
            raise cr.DivergenceError("in this layer")

    trainer = cr.Trainer(cr.Sequential(cr.Linear(4, 3), Diverges()), cr.MSELoss(), cr.SGD(0.1))
    with pytest.raises(cr.DivergenceError, match="in this layer"):
        trainer.fit(X, X[:, :3], terminate_on_nan=False, verbose=0)


@pytest.mark.filterwarnings("ignore:overflow encountered", "ignore:invalid value encountered")
@pytest.mark.parametrize("where", ["host", "device"])
@pytest.mark.parametrize("validated", [False, True])
def test_weights_are_checked_after_the_last_step(library, where, validated, monkeypatch):
    """NaN weights after the last step are reported, although all losses were finite."""
    if where == "device":
        as_if_on_a_device(monkeypatch)
    schedule = lambda step: 1e308 if step == 2 else 0.0  # noqa: E731
    layers = cr.Linear(4, 3), cr.Identity()
    trainer = trainer_on(library, *layers, loss=cr.MSELoss(), optimizer=cr.SGD(schedule))
    options = {"batch_size": 30, "verbose": 0}
    if validated:
        options["validation_data"] = X, X[:, :3]
    message = r"after the last step \(3\), the parameter '0.weight' holds NaN or infinity: try"
    with pytest.raises(cr.DivergenceError, match=message):
        trainer.fit(X, 100.0 * X[:, :3], **options)
    assert len(trainer.history) == 1


@pytest.mark.filterwarnings("ignore:invalid value encountered")
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_buffers_are_checked_too(library, bad):
    class Spoils(cr.Callback):
        def on_step_end(self, trainer):
            trainer.model[1].running_mean.value[...] = bad

    layers = cr.Linear(4, 16), cr.BatchNorm(16), cr.Linear(16, 3)
    model = cr.Sequential(*layers, backend=library.backend)
    trainer = cr.Trainer(model, loss=cr.CrossEntropyLoss(), optimizer=cr.Adam())
    options = {"callbacks": [Spoils()], "verbose": 0}
    with pytest.raises(cr.DivergenceError, match="the buffer '1.running_mean' holds"):
        trainer.fit(X, Y, **options)
    trainer.fit(X, Y, terminate_on_nan=False, **options)
