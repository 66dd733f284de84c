"""Check step counts of frozen parameters, learning rates per layer, and changed options."""

import copy
import math

import numpy as np
import pytest
from helpers import as_if_on_a_device

import chainrule as cr


def two_weights(library, **options):
    start = cr.initializers.constant(1.0)
    layers = (cr.Linear(1, 1, bias=False, init=start) for _ in range(2))
    return cr.Sequential(*layers, backend=library.backend, dtype="float64", **options)


def step(model, optimizer):
    """Take a step with gradients of 1, and return by how much each weight decreases."""
    before = model.backend.to_numpy(model.state.values).copy()
    for p in model.parameters():
        p.add_grad(model.xp.ones_like(p.value))
    optimizer.step()
    return (before - model.backend.to_numpy(model.state.values)).tolist()


@pytest.mark.parametrize("kind", [cr.Adam, cr.AdamW])
@pytest.mark.parametrize("frozen_steps", [1, 100])
def test_a_frozen_parameter_counts_no_steps(kind, frozen_steps, library):
    """After unfreezing, Adam's first steps are as long as those of a new parameter."""
    model = two_weights(library)
    optimizer = kind(0.01, eps=0.0).bind(model)
    if kind is cr.AdamW:
        optimizer.weight_decay = 0.0
    model[0].freeze()
    for _ in range(frozen_steps):
        assert step(model, optimizer)[0] == 0.0
    model[0].unfreeze()
    for _ in range(3):
        assert step(model, optimizer) == pytest.approx([0.01, 0.01], rel=1e-9)
    assert optimizer.steps == frozen_steps + 3


def test_a_gradient_of_zero_counts_as_a_step(library):
    model = two_weights(library)
    optimizer = cr.Adam(0.01, eps=1e-12).bind(model)
    for _ in range(2):
        model[1].weight.add_grad(model.xp.ones((1, 1), dtype=model.state.dtype))
        optimizer.step()
    expected = 0.01 * 0.1 / (1 - 0.9**3) / math.sqrt(0.001 / (1 - 0.999**3))
    assert step(model, optimizer) == pytest.approx([expected, 0.01], rel=1e-9)


def test_copies_and_files_keep_the_step_counts(library, tmp_path):
    """A copy and a trainer loaded from a file continue exactly like the original."""
    model = two_weights(library)
    trainer = cr.Trainer(model, loss=cr.MSELoss(), optimizer=cr.Adam(0.01))
    x, y = np.asarray([[1.0], [2.0]]), np.asarray([[3.0], [5.0]])
    model[0].freeze()
    trainer.fit(x, y, epochs=5, verbose=0)
    model[0].unfreeze()
    trainer.save(tmp_path / "training")
    read = cr.Trainer.resume(
        tmp_path / "training", loss=cr.MSELoss(), optimizer=cr.Adam(0.01), backend=library.backend
    )
    twin = copy.deepcopy(trainer)
    for other in (read, twin):
        other.fit(x, y, epochs=3, verbose=0)
    trainer.fit(x, y, epochs=3, verbose=0)
    expected = library.to_numpy(model.state.values)
    for other in (read, twin):
        np.testing.assert_array_equal(library.to_numpy(other.model.state.values), expected)
    assert trainer.optimizer.copy().counts == (0, [])


def test_impossible_step_counts_are_refused(library):
    optimizer = cr.Adam().bind(two_weights(library))
    state = optimizer.state()
    for bad in ([0], [0, 1], [-1, 0]):
        with pytest.raises(
            ValueError, match="expected a number of frozen steps from 0 to 0 for each of 2"
        ):
            optimizer.load_state({**state, "frozen_steps": bad})
    state["frozen_steps"][0] = 1
    assert optimizer.state()["frozen_steps"] == [0, 0]


def test_a_rate_for_each_layer(library):
    for rates, expected in (
        ({"0": 0.1, "1": 0.2}, [0.1, 0.2]),
        ({"": 0.3, "0": 0.1}, [0.1, 0.3]),
        ({"1.weight": 0.5, "1": 0.2, "": 0.0}, [0.0, 0.5]),
    ):
        for make in (cr.SGD, lambda lr: cr.Adam(lr, eps=0.0)):
            model = two_weights(library)
            assert step(model, make(rates).bind(model)) == pytest.approx(expected)


def test_each_rate_may_be_a_schedule(library):
    model = two_weights(library)
    optimizer = cr.SGD({"0": lambda step: 0.1 / (step + 1), "1": 0.2}).bind(model)
    assert [step(model, optimizer)[0] for _ in range(3)] == pytest.approx([0.1, 0.05, 0.1 / 3])


def test_decay_uses_the_rate_of_the_layer(library):
    model = two_weights(library)
    optimizer = cr.AdamW({"0": 0.1, "1": 0.2}, weight_decay=0.5, eps=0.0).bind(model)
    assert step(model, optimizer) == pytest.approx([0.1 + 0.05, 0.2 + 0.1])


@pytest.mark.parametrize(
    ("rates", "words"),
    [
        ({"0": 0.1}, "expected a learning rate for each of .* 0.weight, 1.weight, .* for 1.weight"),
        ({"": 0.1, "2": 0.1}, "found one for '2'; the parameters are 0.weight, 1.weight"),
        ({"": 0.1, "0.w": 0.1}, "found one for '0.w'"),
    ],
)
def test_rates_that_do_not_match_the_model(rates, words, library):
    optimizer, model = cr.SGD(rates), two_weights(library)
    with pytest.raises(ValueError, match=words):
        optimizer.bind(model)
    optimizer.lr = 0.1
    optimizer.bind(model)


def test_invalid_rates_are_refused():
    with pytest.raises(ValueError, match=r"expected lr\['0'\] to be finite and at least 0"):
        cr.SGD({"0": -1.0})
    with pytest.raises(ValueError, match="expected lr for at least one layer"):
        cr.SGD({})
    with pytest.raises(TypeError, match="expected names of layers such as '0' in lr, found 0"):
        cr.Adam({0: 1e-4, "": 1e-3})
    with pytest.raises(TypeError, match="expected betas to be a pair of numbers, found 0.9"):
        cr.Adam(betas=0.9)


def test_rates_by_layer_survive_a_file(library, tmp_path):
    x, y = np.asarray([[1.0], [2.0]]), np.asarray([[3.0], [5.0]])
    rates = lambda: {"0": 0.01, "": cr.schedules.cosine(0.02, steps=9)}  # noqa: E731
    parts = lambda: {"loss": cr.MSELoss(), "optimizer": cr.Adam(rates())}  # noqa: E731
    trainer = cr.Trainer(two_weights(library), **parts())
    trainer.optimizer.lr["0"] = 0.03
    trainer.fit(x, y, epochs=2, verbose=0)
    trainer.save(tmp_path / "training")
    read = cr.Trainer.resume(tmp_path / "training", **parts(), backend=library.backend)
    assert read.optimizer.lr["0"] == 0.03
    for t in (trainer, read):
        t.fit(x, y, epochs=2, verbose=0)
    np.testing.assert_array_equal(
        *(library.to_numpy(t.model.state.values) for t in (trainer, read))
    )
    with pytest.raises(cr.FileFormatError, match="expected the same optimizer as before"):
        cr.Trainer.resume(
            tmp_path / "training",
            loss=cr.MSELoss(),
            optimizer=cr.Adam(0.1),
            backend=library.backend,
        )


def test_a_plateau_reduces_each_rate():
    model = cr.Sequential(cr.Linear(1, 1), cr.Linear(1, 1))
    optimizer = cr.SGD({"0": 0.0, "1": 1e-9})
    trainer = cr.Trainer(model, loss=cr.MSELoss(), optimizer=optimizer)
    slower = cr.callbacks.ReduceOnPlateau("loss", factor=0.5, patience=0, min_delta=1.0)
    trainer.fit([[1.0]], [[2.0]], epochs=2, callbacks=[slower], verbose=0)
    assert optimizer.lr == {"0": 0.0, "1": 0.5e-9}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"momentum": 0.9, "nesterov": True}, {"nesterov": False}),
        ({"momentum": 0.9}, {"nesterov": True}),
        ({}, {"momentum": 0.9}),
        ({"momentum": 0.9}, {"momentum": 0.0}),
        ({}, {"weight_decay": 0.5}),
        ({}, {"clip_norm": 0.1}),
        ({}, {"lr": {"": 0.2, "0": 0.3}}),
    ],
    ids=repr,
)
def test_a_changed_option_takes_effect(before, after, library):
    """After an option changes, steps equal those of an optimizer created with the new value."""
    changed, fresh = two_weights(library), two_weights(library)
    optimizer = cr.SGD(0.1, **before).bind(changed)
    for name, value in after.items():
        setattr(optimizer, name, value)
    expected = cr.SGD(**{"lr": 0.1, **before, **after}).bind(fresh)
    for _ in range(3):
        assert step(changed, optimizer) == step(fresh, expected)


@pytest.mark.parametrize(
    ("optimizer", "name", "bad"),
    [
        (cr.SGD(0.1), "lr", -0.1),
        (cr.SGD(0.1), "momentum", 1.5),
        (cr.SGD(0.1), "clip_norm", -1.0),
        (cr.SGD(0.1), "l1", math.nan),
        (cr.Adam(), "betas", (0.9, 1.0)),
        (cr.Adam(), "eps", -1.0),
        (cr.RMSprop(), "alpha", 1.0),
        (cr.Adagrad(), "initial_accumulator_value", -1.0),
    ],
    ids=repr,
)
def test_a_changed_option_is_checked(optimizer, name, bad):
    before = repr(optimizer)
    with pytest.raises(ValueError, match="expected"):
        setattr(optimizer, name, bad)
    assert repr(optimizer) == before


@pytest.mark.parametrize("frozen", [False, True])
def test_repeated_steps_are_counted_alike(frozen, library, monkeypatch):
    """Repeated steps equal steps launched one by one, even if a layer is frozen for an epoch."""

    def trained(compile):
        model = two_weights(library)
        optimizer = cr.Adam({"0": 0.01, "1": cr.schedules.cosine(0.02, steps=20)}, weight_decay=0.1)
        trainer = cr.Trainer(model, loss=cr.MSELoss(), optimizer=optimizer, compile=compile)
        x = np.linspace(-1.0, 1.0, 12)[:, None]
        for epoch in range(3):
            if frozen:
                (model[0].freeze if epoch == 1 else model[0].unfreeze)()
            trainer.fit(x, 3.0 * x, batch_size=4, verbose=0)
        return library.to_numpy(model.state.values), optimizer.counts

    values, counts = trained("off")
    as_if_on_a_device(monkeypatch)
    monkeypatch.setattr(type(library.backend), "repeats", True)
    found, found_counts = trained("auto")
    np.testing.assert_array_equal(found, values)
    assert found_counts == counts == (9, [3 * frozen, 0])


def test_a_callback_may_change_options_within_an_epoch(library, monkeypatch):
    """Options that change the operations of a repeated step take effect from the next step on."""

    class Changes(cr.Callback):
        def on_step_end(self, trainer):
            steps, optimizer = trainer.optimizer.steps, trainer.optimizer
            if steps == 2:
                trainer.model[0].freeze()
            elif steps == 4:
                trainer.model[0].unfreeze()
                optimizer.weight_decay = 0.1
            elif steps == 6:
                optimizer.lr = {"0": 0.01, "": 0.02}
            elif steps == 8:
                optimizer.clip_norm = 0.5

    def trained(compile):
        model = two_weights(library)
        trainer = cr.Trainer(model, loss=cr.MSELoss(), optimizer=cr.Adam(0.01), compile=compile)
        x = np.linspace(-1.0, 1.0, 40)[:, None]
        norms = cr.callbacks.GradientNorms()
        trainer.fit(x, 3.0 * x, batch_size=4, callbacks=[Changes(), norms], verbose=0)
        return library.to_numpy(model.state.values), norms.norms

    values, norms = trained("off")
    as_if_on_a_device(monkeypatch)
    monkeypatch.setattr(type(library.backend), "repeats", True)
    found, found_norms = trained("auto")
    np.testing.assert_allclose(found, values, rtol=1e-12)
    for name, expected in norms.items():
        np.testing.assert_allclose(found_norms[name], expected, rtol=1e-9)


def test_loading_a_state_with_an_invalid_number_changes_nothing():
    optimizer = cr.Adam({"": 0.1, "0": 0.2}).bind(cr.Sequential(cr.Linear(1, 1)))
    state, before = optimizer.state(), repr(optimizer)
    for bad in ({"eps": -1.0}, {"lr['0']": -5.0}):
        with pytest.raises(ValueError, match="expected"):
            optimizer.load_state(
                {**state, "numbers": {**state["numbers"], "weight_decay": 0.5, **bad}}
            )
        assert repr(optimizer) == before


def test_a_custom_optimizer_may_take_another_argument_first():
    class Lars(cr.SGD):
        def __init__(self, trust, lr=0.1):
            super().__init__(lr)
            self.trust = trust

    assert Lars(0.01, lr=0.1).trust == 0.01
    with pytest.raises(TypeError, match="Adam: expected a learning rate, found"):
        cr.Adam(cr.Sequential(cr.Linear(1, 1)).parameters(), lr=0.1)
