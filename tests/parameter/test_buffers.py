"""Buffers keep their values in memory, in copies and in files."""

import copy
import pickle

import numpy as np
import pytest
import safetensors.numpy
from helpers import model_on
from table import Residual

import chainrule as cr


class Counter(cr.Layer):
    """A layer that counts steps, totals its inputs, and scales its output by ``total + steps``."""

    def __init__(self, features):
        self.steps = cr.Buffer(())
        self.total = cr.Buffer((features,), fill=2.0)
        self.gain = cr.Parameter((features,), init=cr.initializers.constant(3.0))

    def forward(self, x, *, training=False):
        factor, gain = self.total.value + self.steps.value, self.gain
        if training:
            self.steps.value[...] = self.steps.value + 1.0
            self.total.value[...] = self.total.value + self.xp.sum(x, axis=0)

        def backward(dy):
            gain.add_grad(self.xp.sum(dy * x * factor, axis=0))
            return dy * factor * gain.value

        return x * factor * gain.value, backward


def counting_model(library, **options):
    return model_on(library, cr.Linear(4, 3), Counter(3), cr.BatchNorm(3), **options)


def trained(library, **options):
    model = counting_model(library, **options)
    x = np.random.default_rng(0).normal(size=(6, 4)).astype(options.get("dtype", "float64"))
    for _ in range(3):
        model.forward(library.asarray(x), training=True)
    return model


NAMES = ["1.steps", "1.total", "2.running_mean", "2.running_var"]


def test_buffers_are_views_into_their_own_vector(library):
    model = counting_model(library)
    state = model.state
    assert list(model.named_buffers()) == NAMES
    assert library.to_numpy(state.buffers).tolist() == [0, 2, 2, 2, 0, 0, 0, 1, 1, 1]
    assert state.buffers.dtype == library.backend.dtype("float64")
    for buffer in model.named_buffers().values():
        assert buffer.value.shape == buffer.shape
        buffer.value[...] = 7.0
    assert (library.to_numpy(state.buffers) == 7.0).all()


def test_buffers_are_not_parameters(library):
    model = counting_model(library)
    assert list(model.named_parameters()) == [
        "0.weight", "0.bias", "1.gain", "2.weight", "2.bias",
    ]  # fmt: skip
    assert all(isinstance(p, cr.Parameter) for p in model.parameters())
    assert model.state.values.shape == model.state.grads.shape == (4 * 3 + 3 + 3 + 3 + 3,)
    optimizer = cr.AdamW(0.1, weight_decay=0.5, l1=0.5, decay_biases=True).bind(model)
    y, back = model.forward(library.asarray(np.ones((5, 4))))
    back(y)
    optimizer.step()
    assert library.to_numpy(model.state.buffers).tolist() == [0, 2, 2, 2, 0, 0, 0, 1, 1, 1]


def test_a_model_without_buffers_has_an_empty_vector(library):
    model = cr.Sequential(cr.Linear(2, 2), backend=library.backend)
    assert model.named_buffers() == {}
    assert model.state.buffers.shape == (0,)
    assert copy.deepcopy(model).state.buffers.shape == (0,)


def test_a_layer_with_buffers_only_is_not_trainable():
    class Seen(cr.Layer):
        def __init__(self):
            self.count = cr.Buffer(())

        def forward(self, x, *, training=False):
            return x, lambda dy: dy

    model = cr.Sequential(Seen(), cr.Linear(2, 2))
    assert not model[0].trainable
    assert model[0].parameters() == []
    y, back = model.forward(np.ones((3, 2), "float32"))
    assert back(y) is None


@pytest.mark.parametrize(
    "copier", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))], ids=["deepcopy", "pickle"]
)
def test_copies_keep_their_views(copier, library):
    model = trained(library)
    twin = copier(model)
    before = library.to_numpy(model.state.buffers).copy()
    assert before.any()
    assert np.array_equal(library.to_numpy(twin.state.buffers), before)
    for name, buffer in twin.named_buffers().items():
        buffer.value[...] = 9.0
        assert name in NAMES
    assert (library.to_numpy(twin.state.buffers) == 9.0).all()
    assert np.array_equal(library.to_numpy(model.state.buffers), before)


def test_a_layers_copy_starts_from_the_same_buffers(library):
    model = trained(library)
    twin = cr.Sequential(*(layer.copy() for layer in model), dtype="float64", seed=99)
    expected = library.to_numpy(model.state.buffers)
    np.testing.assert_array_equal(twin.state.buffers, expected)
    x = np.ones((2, 4))
    np.testing.assert_allclose(twin.predict(x), model.predict(x), rtol=1e-12)
    unbound = Counter(3).copy()
    assert unbound._state is None
    assert unbound.total.value.tolist() == [2.0, 2.0, 2.0]


def test_a_layer_that_is_used_twice_has_one_set_of_buffers(library, tmp_path):
    layer = Counter(2)
    model = cr.Sequential(layer, cr.Sequential(layer), backend=library.backend)
    model.forward(library.asarray(np.ones((1, 2), "float32")), training=True)
    assert list(model.named_buffers()) == ["0.steps", "0.total"]
    assert {"0.steps", "0.total", "1.0.steps", "1.0.total"} < set(model.named_stored())
    assert model.state.buffers.shape == (3,)
    assert float(layer.steps.value) == 2.0
    model.save(tmp_path / "shared.safetensors")
    loaded = cr.load(tmp_path / "shared.safetensors", layers={"Counter": Counter})
    assert loaded[0] is loaded[1][0]
    np.testing.assert_array_equal(loaded.state.buffers, library.to_numpy(model.state.buffers))


def test_a_bound_buffer_belongs_to_one_model():
    layer = Counter(2)
    cr.Sequential(layer, seed=0)
    with pytest.raises(ValueError, match=r"already belongs to another model.*layer.copy\(\)"):
        Counter(2).total = layer.total


def test_a_buffer_assigned_too_late():
    model = cr.Sequential(Counter(2), seed=0)
    model[0].total = cr.Buffer((2,))
    with pytest.raises(RuntimeError, match=r"Buffer\(\(2,\)\) was added after the weights"):
        model.predict(np.ones((1, 2)))


def test_a_layer_with_buffers_assigned_too_late():
    residual = Residual(cr.Linear(2, 2))
    cr.Sequential(residual, seed=0)
    residual.norm = cr.BatchNorm(2)
    with pytest.raises(RuntimeError, match="was added after the weights"):
        residual.norm.forward(np.ones((2, 2), "float32"))


def test_a_buffer_of_no_layer():
    with pytest.raises(RuntimeError, match="belongs to no layer: assign it to an attribute"):
        cr.Buffer((2,)).value  # noqa: B018


@pytest.mark.parametrize("shape", [(0,), (-1, 2), (2, 0)])
def test_bad_shapes(shape):
    with pytest.raises(cr.ShapeError, match="positive integers as the shape of a buffer"):
        cr.Buffer(shape)


def test_bad_fills():
    class Bad(cr.Layer):
        def __init__(self):
            self.bad = cr.Buffer((2,), fill=np.nan)

    with pytest.raises(cr.DataError, match=r"^fill= gave NaN or infinity in float32"):
        Bad().bind()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_buffers_survive_a_file(dtype, library, tmp_path):
    model = trained(library, dtype=dtype)
    path = tmp_path / "model.safetensors"
    model.save(path)
    tensors = safetensors.numpy.load_file(path)
    assert set(tensors) == {*model.named_parameters(), *NAMES}
    assert all(tensor.dtype == dtype for tensor in tensors.values())
    expected = library.to_numpy(model.state.buffers)
    for backend in (library.backend, "numpy"):
        loaded = cr.load(path, layers={"Counter": Counter}, backend=backend)
        found = loaded.backend.to_numpy(loaded.state.buffers)
        np.testing.assert_array_equal(found, expected)
    fresh = counting_model(library, dtype=dtype)
    fresh.load_weights(path)
    np.testing.assert_array_equal(library.to_numpy(fresh.state.buffers), expected)
    assert not isinstance(loaded[1].total.init, cr.initializers.given)


def damaged(tensors):
    without = {k: v for k, v in tensors.items() if k != "2.running_var"}
    yield without, r"missing \['2.running_var'\], unknown none"
    yield {**tensors, "0.running_var": np.ones(3)}, r"missing none, unknown \['0.running_var'\]"
    for name in ("0.num_batches_tracked", "num_batches_tracked", "2.batches"):
        yield {**tensors, name: np.asarray(3)}, rf"missing none, unknown \['{name}'\]"
    yield (
        {**tensors, "2.running_mean": np.ones(4)},
        r"buffer '2.running_mean' has shape \(3,\) in the model, but \(4,\) in the file",
    )
    yield (
        {**tensors, "2.running_mean": np.ones(3, int)},
        "buffer '2.running_mean': expected floating-point numbers",
    )
    yield {**tensors, "1.total": np.full(3, np.nan)}, "buffer '1.total': expected finite numbers"


def test_files_that_do_not_fit_leave_the_model_unchanged(library, tmp_path):
    path = tmp_path / "other.safetensors"
    model = trained(library)
    parts = {**model.named_parameters(), **model.named_buffers()}
    tensors = {name: np.full(part.shape, 0.5) for name, part in parts.items()}
    before = library.to_numpy(model.state.values), library.to_numpy(model.state.buffers)
    before = [vector.copy() for vector in before]
    for wrong, message in damaged(tensors):
        safetensors.numpy.save_file(wrong, path)
        with pytest.raises(cr.FileFormatError, match=message):
            model.load_weights(path)
        np.testing.assert_array_equal(library.to_numpy(model.state.values), before[0])
        np.testing.assert_array_equal(library.to_numpy(model.state.buffers), before[1])
    counted = {**tensors, "2.num_batches_tracked": np.asarray(12)}
    safetensors.numpy.save_file(counted, path)
    model.load_weights(path)
    assert (library.to_numpy(model.state.buffers) == 0.5).all()


def test_any_flipped_bit_in_a_buffer_is_detected(tmp_path):
    path = tmp_path / "model.safetensors"
    cr.Sequential(cr.BatchNorm(3)).save(path)
    data = path.read_bytes()
    for position in np.random.default_rng(0).integers(0, 8 * len(data), 300):
        broken = bytearray(data)
        broken[position // 8] ^= 1 << (position % 8)
        path.write_bytes(broken)
        with pytest.raises(cr.FileFormatError, match="safetensors"):
            cr.load(path)


def test_gradcheck_starts_from_the_same_buffers_each_time(library):
    """gradcheck restores the buffers before each forward pass, because passes change buffers."""
    layer = Counter(3)
    assert cr.gradcheck(layer, shape=(4, 3), training=True, backend=library.backend) < 1e-7
    assert layer._state is None
    model = trained(library)
    before = library.to_numpy(model.state.buffers).copy()
    cr.gradcheck(model[1], shape=(4, 3), backend=library.backend)
    np.testing.assert_array_equal(library.to_numpy(model.state.buffers), before)


class Moved(cr.Layer):
    """A layer that subtracts fixed numbers, held in a buffer."""

    def __init__(self, by):
        self.by = cr.Buffer((3,), fill=by)

    def forward(self, x, *, training=False):
        return x - self.by.value, lambda dy: dy


FILLS = {
    "list": [1.0, 2.0, 3.0],
    "array": np.asarray([1, 2, 3]),
    "float64": np.asarray([1.0, 2.0, 3.0]),
}


@pytest.mark.parametrize("fill", FILLS.values(), ids=FILLS)
def test_a_first_value_from_an_array(fill, library):
    layer = Moved(fill)
    model = cr.Sequential(layer, layer.copy(), backend=library.backend)
    assert library.to_numpy(model.state.buffers).tolist() == [1.0, 2.0, 3.0] * 2
    assert model.predict(np.ones((1, 3))).tolist() == [[-1.0, -3.0, -5.0]]


def test_an_array_of_the_library_is_copied(library):
    fill = library.backend.asarray(np.ones(3))
    layer = Moved(fill)
    fill[...] = 5.0
    assert layer.by.value.tolist() == [1.0, 1.0, 1.0]


def test_no_array_is_kept_on_the_host(library):
    layer = Moved(np.ones(3))
    # The stored constructor arguments hold the caller's array, so remove them first.
    layer._arguments = ((), {})
    cr.Sequential(layer, backend=library.backend).predict(np.ones((1, 3)))
    held = [value for value in vars(layer.by).values() if isinstance(value, np.ndarray)]
    assert all(np.shares_memory(value, layer.state.buffers) for value in held)
    assert layer.by._first is None
    assert "array" not in repr(layer.by.init)


def test_bad_arrays():
    with pytest.raises(cr.ShapeError, match=r"expected fill of shape \(3,\), found \(2,\)"):
        Moved([1.0, 2.0])
    with pytest.raises(cr.DataError, match="expected an array of real numbers"):
        Moved(["a", "b", "c"])
    with pytest.raises(cr.DataError, match=r"^fill= gave NaN or infinity in float32 for Buffer"):
        Moved([1.0, np.nan, 2.0]).bind()
