"""Check interrupted and diverging repeated steps, and steps that cannot be repeated."""

import pytest
from helpers import Breaks, as_if_on_a_device
from repeated import StepRecorder, X, Y, assert_same, both, repeating_trainer

import chainrule as cr


@pytest.mark.parametrize("micro_batches", [1, 3])
def test_it_resumes_at_a_smaller_last_batch(micro_batches, repeating):
    """Training resumes exactly at a last batch with fewer micro-batches and dropout masks."""
    data = X[:61], Y[:61]  # three batches of 20 and a batch of 1

    def make(library, compile):
        model = cr.Sequential(
            cr.Linear(6, 8), cr.Dropout(0.3), cr.Linear(8, 3), backend=library.backend, seed=3,
            dtype="float64",
        )  # fmt: skip
        return cr.Trainer(
            model, loss=cr.CrossEntropyLoss(), optimizer=cr.Adam(lr=1e-2), compile=compile
        )

    options = {"epochs": 3, "batch_size": 20, "micro_batches": micro_batches, "verbose": 0}
    whole, _ = both(repeating, make, data, micro_batches=micro_batches)
    broken = make(repeating, "auto")
    broken.seen = StepRecorder()
    with pytest.raises(KeyboardInterrupt):
        broken.fit(*data, **options, callbacks=[broken.seen, Breaks(step=3)])
    broken.fit(*data, **options, callbacks=[broken.seen], resume=True)
    assert_same([whole, broken], repeating)


AT = [pytest.param(at, marks=pytest.mark.on_request("strict")) for at in (1, 2, 5)]


# On CuPy, a captured step does not run the model's Python code, so there is no seventh call.
@pytest.mark.parametrize("at", [*AT, 3, pytest.param(7, marks=pytest.mark.not_on("cupy"))])
@pytest.mark.parametrize("kind", [KeyboardInterrupt, cr.BackendError])
def test_an_interrupted_step_changes_nothing(kind, at, repeating):
    """If a step is interrupted after drawing masks and updating statistics, it repeats exactly."""

    class BreaksOff(cr.Layer):
        def __init__(self):
            self.left = None

        def forward(self, x, *, training=False):
            if training and self.left is not None:
                self.left -= 1
                if not self.left:
                    self.left = None
                    raise kind("broken off")
            return x, lambda dy: dy

    whole, _ = both(repeating)
    trainer = repeating_trainer(repeating)
    layers = [layer.copy() for layer in trainer.model]
    breaks = BreaksOff()
    layers.insert(5, breaks)
    model = cr.Sequential(*layers, backend=repeating.backend, dtype="float64", seed=3)
    trainer = cr.Trainer(
        model,
        loss=cr.CrossEntropyLoss(),
        optimizer=cr.Adam(lr=cr.schedules.cosine(1e-2, steps=30)),
        compile="auto",
    )
    trainer.seen = StepRecorder()
    breaks.left = at
    options = {"epochs": 3, "batch_size": 20, "callbacks": [trainer.seen], "verbose": 0}
    if kind is cr.BackendError and at % 5:  # every fifth batch is smaller and is not repeated
        with pytest.warns(RuntimeWarning, match="steps are launched one by one: broken off"):
            trainer.fit(X, Y, **options)
    else:
        with pytest.raises(kind):
            trainer.fit(X, Y, **options)
        trainer.fit(X, Y, **options, resume=True)
    assert_same([whole, trainer], repeating)


def test_it_resumes_in_the_middle_of_an_epoch(repeating):
    whole, _ = both(repeating)
    broken = repeating_trainer(repeating)
    broken.seen = StepRecorder()
    options = {"epochs": 3, "batch_size": 20, "verbose": 0}
    with pytest.raises(KeyboardInterrupt):
        broken.fit(X, Y, **options, callbacks=[broken.seen, Breaks(step=8)])
    broken.fit(X, Y, **options, callbacks=[broken.seen], resume=True)
    assert_same([whole, broken], repeating)


@pytest.mark.filterwarnings("ignore:overflow encountered", "ignore:invalid value encountered")
def test_divergence_is_reported_at_its_step(repeating, monkeypatch):
    as_if_on_a_device(monkeypatch)
    messages = []
    for compile in ("off", "auto"):
        trainer = repeating_trainer(repeating, compile)
        trainer.fit(X, Y, batch_size=20, verbose=0)
        x = X.copy()
        x[50] = 1e308
        with pytest.raises(cr.DivergenceError, match="of epoch 2") as error:
            trainer.fit(x, Y, batch_size=20, verbose=0)
        messages.append(str(error.value))
    assert messages[0] == messages[1]


def test_a_step_that_cannot_be_repeated_is_reported_once_and_still_run(repeating, monkeypatch):
    refused = []

    def compile(self, step):
        def refusing():
            refused.append(True)
            raise cr.BackendError("no graph of this")

        return refusing

    monkeypatch.setattr(type(repeating.backend), "compile", compile)
    with pytest.warns(RuntimeWarning, match="no graph of this") as caught:
        trainers = both(repeating)
    assert len(caught) == len(refused) == 1
    assert_same(trainers, repeating)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ({"x": [(X[:20], Y[:20])]}, "ready-made batches"),
        (
            {"x": X, "y": Y, "augment": lambda x, rng: x},
            "the random numbers of augmentation are drawn on the host",
        ),
    ],
    ids=["stream", "augment"],
)
def test_data_from_the_host_is_reported(data, reason, repeating):
    trainer = repeating_trainer(repeating)
    with pytest.warns(RuntimeWarning, match=f"steps are launched one by one: {reason}"):
        trainer.fit(**data, verbose=0)
    assert trainer.optimizer.steps == 1


def test_without_a_gpu_there_is_nothing_to_repeat(library, recwarn):
    if library.backend.repeats:
        pytest.skip("this library repeats steps")
    trainers = both(library)
    assert_same(trainers, library)
    assert not recwarn.list
