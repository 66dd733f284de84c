"""Compare penalties, norm limits and output weights with hand-computed values."""

import numpy as np
import pytest

import chainrule as cr
from chainrule.losses.weights import WeightedOutputs


def single(library, value):
    """Return a model of one weight and one bias, both with this value."""
    start = cr.initializers.constant(value)
    layer = cr.Linear(1, 1, init=start, bias_init=start)
    return cr.Sequential(layer, backend=library.backend, dtype="float64")


def step(model, optimizer, grad=0.0):
    for parameter in model.parameters():
        parameter.add_grad(model.xp.full(parameter.shape, grad, dtype=model.state.dtype))
    optimizer.step()
    return [float(model.xp.sum(p.value)) for p in model.parameters()]


@pytest.mark.parametrize("value", [2.0, -2.0, 0.0])
@pytest.mark.parametrize("decay_biases", [False, True])
def test_l1_pulls_all_weights_with_the_same_force(value, decay_biases, library):
    model = single(library, value)
    optimizer = cr.SGD(0.1, l1=0.5, decay_biases=decay_biases).bind(model)
    weight, bias = step(model, optimizer)
    assert weight == pytest.approx(value - 0.1 * 0.5 * np.sign(value), rel=1e-14)
    assert bias == (weight if decay_biases else value)
    assert not library.to_numpy(model.state.grads).any()


def test_l1_together_with_weight_decay(library):
    model = single(library, -2.0)
    weight, bias = step(model, cr.SGD(0.1, l1=0.5, weight_decay=0.3).bind(model), grad=1.0)
    assert weight == pytest.approx(-2.0 - 0.1 * (1.0 - 0.5 - 0.6))
    assert bias == pytest.approx(-2.1)


def test_l1_in_adamw_goes_through_the_gradient(library):
    model = single(library, 2.0)
    weight, _ = step(model, cr.AdamW(0.1, eps=1e-12, l1=0.5, weight_decay=0.3).bind(model))
    assert weight == pytest.approx(2.0 * (1 - 0.03) - 0.1)  # the length of Adam's first step is lr


def test_l1_drives_irrelevant_weights_to_zero(library):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 6))
    y = x[:, :1] - 2.0 * x[:, 1:2]

    def learned(**options):
        model = cr.Sequential(cr.Linear(6, 1), backend=library.backend, dtype="float64")
        trainer = cr.Trainer(model, loss=cr.MSELoss(), optimizer=cr.SGD(0.01, **options))
        history = trainer.fit(x, y, epochs=200, batch_size=200, verbose=0)
        return library.to_numpy(model[0].weight.value)[0], trainer, history

    (plain, *_), (sparse, trainer, history) = learned(), learned(l1=0.4)
    assert np.abs(sparse[2:]).max() <= 0.005  # a step of L1 alone moves a weight by 0.004
    assert np.abs(plain[2:]).max() > 0.005
    assert abs(sparse[1]) < 1.9
    residual = float(np.mean((trainer.model.predict(x) - y) ** 2))
    assert trainer.evaluate(x, y)["loss"] == pytest.approx(residual)  # it excludes the penalty
    assert history.step_losses[-1] == pytest.approx(residual, rel=1e-2)


def test_invalid_penalties_are_refused():
    for bad in (-1.0, np.nan, np.inf):
        with pytest.raises(ValueError, match="expected l1 to be finite and at least 0"):
            cr.Adam(l1=bad)


def rows(library, **options):
    start = lambda rng, shape: np.asarray([[3.0, 4.0], [0.3, 0.4], [0.0, 0.0]])  # noqa: E731
    layer = cr.Linear(2, 3, init=start, **options)
    return cr.Sequential(layer, backend=library.backend, dtype="float64")


@pytest.mark.parametrize("kind", [cr.SGD, cr.RMSprop, cr.Adagrad, cr.Adam, cr.AdamW])
def test_rows_over_the_limit_are_scaled_down(kind, library):
    model = rows(library, max_norm=2.0)
    model[0].bias.value[...] = 9.0
    assert library.to_numpy(model[0].weight.value)[0].tolist() == [3.0, 4.0]
    kind(0.0).bind(model).step()
    expected = [[1.2, 1.6], [0.3, 0.4], [0.0, 0.0]]
    found = library.to_numpy(model[0].weight.value)
    np.testing.assert_allclose(found, expected, rtol=1e-14)
    np.testing.assert_array_equal(found[1:], expected[1:])  # rows within the limit do not change
    assert (library.to_numpy(model[0].bias.value) == 9.0).all()


def test_rows_stay_within_the_limit_during_training(library):
    model = cr.Sequential(
        cr.Linear(5, 8, max_norm=0.6), cr.Tanh(), cr.Linear(8, 3), backend=library.backend
    )
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(60, 5)), rng.integers(0, 3, 60)
    norms = []

    class Watch(cr.Callback):
        def on_step_end(self, trainer):
            weight = library.to_numpy(model[0].weight.value)
            norms.append(np.linalg.norm(weight, axis=1).max())

    trainer = cr.Trainer(model, loss=cr.CrossEntropyLoss(), optimizer=cr.Adam(0.05))
    history = trainer.fit(x, y, epochs=4, batch_size=20, callbacks=[Watch()], verbose=0)
    assert len(norms) == 12
    assert max(norms) == pytest.approx(0.6, rel=1e-6)
    assert np.linalg.norm(library.to_numpy(model[2].weight.value), axis=1).max() > 0.6
    assert history.step_losses[-1] < history.step_losses[0]


def test_frozen_rows_do_not_change(library):
    model = rows(library, max_norm=2.0)
    model.freeze()
    cr.SGD(0.1).bind(model).step()
    assert library.to_numpy(model[0].weight.value)[0].tolist() == [3.0, 4.0]


def test_a_row_is_everything_with_the_same_first_index(library):
    class Bank(cr.Layer):
        def __init__(self):
            ones = cr.initializers.constant(1.0)
            self.filters = cr.Parameter((2, 2, 2), init=ones, max_norm=1.0)

    bank = Bank()
    bank.bind(library.backend, dtype="float64")
    cr.SGD(0.1).bind(bank).step()
    np.testing.assert_allclose(library.to_numpy(bank.filters.value), 0.5)


def test_the_limit_survives_a_file(tmp_path):
    model = cr.Sequential(cr.Linear(2, 2, max_norm=1), cr.Linear(2, 2))
    assert repr(model[0]) == "Linear(2, 2, max_norm=1)"
    model.save(tmp_path / "model.safetensors")
    for twin in (cr.load(tmp_path / "model.safetensors"), model.copy()):
        assert twin[0].weight.max_norm == 1.0
        assert twin[1].weight.max_norm is None


@pytest.mark.parametrize("bad", [0.0, -1.0, np.nan, np.inf])
def test_invalid_limits_are_refused(bad):
    with pytest.raises(ValueError, match="expected max_norm to be finite and above 0"):
        cr.Linear(2, 2, max_norm=bad)
    with pytest.raises(ValueError, match=r"expected at least two axes for max_norm, found \(3,\)"):
        cr.Parameter((3,), max_norm=1.0)


Y = np.asarray([[1.0, -2.0], [0.5, 3.0]])
T = np.asarray([[0.0, 1.0], [0.5, -1.0]])  # y - t is 1, -3, 0, 4


@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        (cr.MSELoss(weight=[2, 0.5]), (2 * (1 + 0) + 0.5 * (9 + 16)) / 4),
        (cr.MSELoss(weight=[2, 0.5], reduction="sum"), 2 * (1 + 0) + 0.5 * (9 + 16)),
        (cr.L1Loss(weight=[0, 1]), (3 + 4) / 4),
        (cr.HuberLoss(delta=2.0, weight=[3, 1]), (3 * 0.5 + 4 + 6) / 4),
    ],
    ids=repr,
)
def test_output_weights(loss, expected, library):
    value, backward = loss(library.asarray(Y), library.asarray(T))
    assert float(value) == pytest.approx(expected)
    assert backward().shape == (2, 2)
    with pytest.raises(cr.ShapeError, match="one weight per output, found 2 .*3"):
        loss(library.asarray(np.ones((2, 3))), library.asarray(np.ones((2, 3))))


def test_output_weights_together_with_sample_weights(library):
    y, t = library.asarray(Y), library.asarray(T)
    weight = library.asarray([3.0, 1.0])
    loss = cr.MSELoss(weight=[2.0, 0.5], reduction="none")
    values, backward = loss(y, t, sample_weight=weight)
    expected = np.asarray([[3 * 2 * 1.0, 3 * 0.5 * 9], [0.0, 0.5 * 16]])
    np.testing.assert_allclose(library.to_numpy(values), expected)
    dy = library.to_numpy(backward(library.asarray(np.asarray([[1.0, 2.0], [3.0, 4.0]]))))
    np.testing.assert_allclose(dy, [[12.0, 2 * 1.5 * -6.0], [0.0, 4 * 0.5 * 8.0]])
    value, _ = cr.MSELoss(weight=[2.0, 0.5])(y, t, sample_weight=weight)
    assert float(value) == pytest.approx(expected.sum() / 4 / 2)


def test_output_weights_with_more_axes(library):
    y = library.asarray(np.ones((4, 3, 2)))
    loss = cr.MSELoss(weight=[1.0, 0.5])
    value, backward = loss(y, library.asarray(np.zeros((4, 3, 2))))
    assert float(value) == pytest.approx(0.75)
    np.testing.assert_allclose(library.to_numpy(backward())[..., 0], 2 / 24)
    np.testing.assert_allclose(library.to_numpy(backward())[..., 1], 1 / 24)
    flat, _ = loss(library.asarray(np.ones((4, 2))), library.asarray(np.zeros((4, 2))))
    assert float(flat) == pytest.approx(0.75)  # outputs with two axes give the same loss


def test_output_weights_need_one_value_per_output():
    class RowMean(WeightedOutputs):
        def formula(self, xp, y, target):
            d = y - target
            return xp.mean(d * d, axis=1), lambda: 2.0 * d / y.shape[1]

    y = np.ones((2, 2))
    assert float(RowMean()(y, 0 * y)[0]) == 1.0
    with pytest.raises(cr.ShapeError, match="expected formula to return one value for each output"):
        RowMean(weight=[1.0, 2.0])(y, 0 * y)
