"""onnxruntime computes the same outputs as the model from an exported file."""

import numpy as np
import onnx
import pytest
from onnx_files import ScaleToOnnx, outputs, session
from table import LAYERS, Residual, drawn
from windowed import KINDS
from windowed import drawn as drawn_arguments

import chainrule as cr
from chainrule.interop import onnx_operators
from chainrule.layers.mlp import ACTIVATIONS

BOUND = 1e-5  # error relative to the largest output


class ResidualToOnnx(Residual):
    def to_onnx(self, graph, x):
        return graph.node("Add", x, graph.layer(self.inner, x))


OWN = {
    "Scale": lambda: ScaleToOnnx(5),
    "Residual": lambda: ResidualToOnnx(cr.Sequential(cr.Linear(5, 5), cr.Tanh())),
}


def same(found, expected):
    assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
    bound = BOUND * np.abs(expected).max()
    np.testing.assert_allclose(found, expected, rtol=0.0, atol=bound)


@pytest.mark.parametrize("name", LAYERS)
def test_every_layer(name, path):
    make, (_, *shape) = LAYERS[name]
    model = cr.Sequential(OWN.get(name, make)(), seed=2)
    cr.to_onnx(model, path, input_shape=tuple(shape))
    running, rng = session(path), np.random.default_rng(0)
    for samples in (1, 2, 3, 17):
        for scale in (1.0, 6.0, 1000.0):
            x = (scale * rng.normal(size=(samples, *shape))).astype("float32")
            x = x if not model.takes_integers else rng.integers(0, 6, (samples, *shape))
            same(running.run(None, {"input": x})[0], model.predict(x))


def test_every_layer_has_a_row():
    kinds = {thing for thing in vars(cr.layers).values() if isinstance(thing, type)}
    assert kinds - {cr.Layer, cr.layers.Slice} == onnx_operators.OPERATORS.keys()
    models = [cr.Sequential(make()) for make, _ in LAYERS.values()]
    tested = {type(part) for model in models for _, part in (("", model), *model._walk())}
    assert onnx_operators.OPERATORS.keys() <= tested


@pytest.mark.parametrize("name", KINDS)
def test_random_arguments(name, path, request):
    rng, written = np.random.default_rng(sum(map(ord, name))), 0
    configurations = request.config.getoption("--configurations", 30)
    for _ in range(configurations):
        x, arguments, options = drawn_arguments(name, rng)
        model, x = cr.Sequential(getattr(cr, name)(*arguments, **options)), x.astype("float32")
        try:
            cr.to_onnx(model, path, input_shape=x.shape[1:])
        except cr.ShapeError:  # the window does not fit into the input
            continue
        except TypeError as error:
            if "for ONNX, expected" not in str(error):
                raise
            continue
        same(outputs(path, x), model.predict(x))
        written += 1
    assert written > configurations / 2


def test_an_unknown_size(path):
    """Layers that change the axes are exported so that images may have any size."""
    model = cr.Sequential(
        cr.Unflatten(2, (-1, 3)),
        cr.AdaptiveAvgPool2d((3, 2)),
        cr.Flatten(),
        cr.Unflatten(1, (4, -1)),
    )
    cr.to_onnx(model, path, input_shape=(2, 12))
    file = onnx.load(path)
    for value in (file.graph.input[0], file.graph.output[0]):
        for i, size in enumerate(value.type.tensor_type.shape.dim):
            size.dim_param = f"size {i}"
    onnx.save(file, path)
    for length in (3, 12, 33):
        x = np.random.default_rng(0).normal(size=(3, 2, length)).astype("float32")
        same(outputs(path, x), model.predict(x))


def test_a_linear_layer_after_unflatten(path):
    """A Linear is exported as Gemm after a Flatten, but not after an Unflatten."""
    model = cr.Sequential(
        cr.Linear(6, 8), cr.Unflatten(1, (2, 4)), cr.Linear(4, 3), cr.Flatten(), cr.Linear(6, 2)
    )
    cr.to_onnx(model, path)
    x = np.random.default_rng(0).normal(size=(5, 6)).astype("float32")
    same(outputs(path, x), model.predict(x))
    products = [
        node.op_type for node in onnx.load(path).graph.node if node.op_type[-4:] in "GemmMatMul"
    ]
    assert products == ["Gemm", "MatMul", "Gemm"]


def test_a_network_for_images(path):
    model = cr.Sequential(
        cr.Unflatten(1, (1, 28)), cr.Rescaling(1 / 255), cr.Conv2d(1, 6, 5, padding="same"),
        cr.ReLU(), cr.MaxPool2d(2), cr.Dropout2d(0.2), cr.Conv2d(6, 16, 5), cr.ReLU(),
        cr.AvgPool2d(2), cr.Flatten(), cr.Linear(400, 10), cr.LogSoftmax(),
    )  # fmt: skip
    cr.to_onnx(model, path, input_shape=(28, 28), input_dtype="uint8")
    x = np.random.default_rng(0).integers(0, 256, (7, 28, 28)).astype("uint8")
    same(outputs(path, x), model.predict(x))


@pytest.mark.parametrize("seed", range(12))
def test_random_models(seed, path):
    rng = np.random.default_rng(seed)
    widths = [int(n) for n in rng.integers(1, 70, rng.integers(2, 7))]
    *hidden, output = rng.choice(sorted(ACTIVATIONS), len(widths) - 1).tolist()
    model = cr.mlp(widths, activation=hidden, output=output, seed=seed)
    for parameter in model.parameters():
        parameter.value[...] += 0.1 * rng.normal(size=parameter.shape).astype("float32")
    cr.to_onnx(model, path)
    for samples in (1, 2, 100):
        x = rng.normal(size=(samples, widths[0])).astype("float32")
        same(outputs(path, x), model.predict(x))


def test_running_statistics_after_training(path):
    model = cr.Sequential(
        cr.Linear(6, 16, bias=False), cr.BatchNorm(16), cr.ReLU(), cr.Dropout(0.5),
        cr.Linear(16, 3, max_norm=1.0),
    )  # fmt: skip
    rng = np.random.default_rng(0)
    x, y = rng.normal(2.0, 3.0, (64, 6)).astype("float32"), rng.integers(0, 3, 64)
    cr.Trainer(model, loss=cr.CrossEntropyLoss(), optimizer=cr.Adam(0.01)).fit(
        x, y, epochs=3, batch_size=16, verbose=0
    )
    cr.to_onnx(model, path)
    same(outputs(path, x), model.predict(x))
    assert [node.op_type for node in onnx.load(path).graph.node] == [
        "Gemm", "BatchNormalization", "Relu", "Gemm"
    ]  # fmt: skip


def test_the_content_of_the_file(path):
    shared, twice = cr.Linear(5, 5, bias=False), cr.Tanh()
    inner = cr.Sequential(shared, twice, cr.Rescaling(2.0, 1.0))
    model = cr.Sequential(inner, cr.Dropout(), shared, twice, cr.Linear(5, 3), cr.Identity())
    cr.to_onnx(model, path)
    file = onnx.load(path)
    assert (file.producer_name, file.producer_version) == ("chainrule", cr.__version__)
    assert (file.opset_import[0].version, file.ir_version, len(file.opset_import)) == (20, 9, 1)
    for value, name, size in (
        (file.graph.input[0], "input", 5), (file.graph.output[0], "output", 3)
    ):  # fmt: skip
        batch, features = value.type.tensor_type.shape.dim
        assert (value.name, batch.dim_param, features.dim_value) == (name, "batch", size)
        assert value.type.tensor_type.elem_type == onnx.TensorProto.FLOAT
    stored = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in file.graph.initializer}
    numbers = [stored.pop("0.2/constant"), stored.pop("0.2/constant_2")]
    assert numbers == [2.0, 1.0]
    assert stored.keys() == model.named_parameters().keys()
    for name, parameter in model.named_parameters().items():
        np.testing.assert_array_equal(stored[name], parameter.value)
    assert [node.output[0] for node in file.graph.node] == [
        "2/Gemm", "3/Tanh", "0.2/Mul", "0.2/Add", "2/Gemm_2", "3/Tanh_2", "output"
    ]  # fmt: skip


def test_a_model_that_does_nothing(path):
    x = np.ones((2, 3, 4), "float32")
    for model in (cr.Sequential(), cr.Sequential(cr.Identity(), cr.Dropout()), cr.Identity()):
        cr.to_onnx(model, path, input_shape=(3, 4))
        np.testing.assert_array_equal(outputs(path, x), x)


def test_a_layer_or_a_part_of_a_model(path):
    model = cr.Sequential(cr.Linear(3, 2), cr.Sequential(cr.Linear(2, 4), cr.Tanh()))
    x = np.ones((2, 2), "float32")
    cr.to_onnx(model[1], path)
    same(outputs(path, x), model[1].forward(x)[0])
    cr.to_onnx(model[1][0], path)
    same(outputs(path, x), model[1][0].forward(x)[0])


def test_a_linear_layer_on_more_axes(path):
    model = cr.Sequential(cr.Linear(4, 6), cr.PReLU(6), cr.Linear(6, 2, bias=False))
    model[0].bias.value[...] = 1.0
    cr.to_onnx(model, path, input_shape=(3, 4))
    x = np.random.default_rng(0).normal(size=(7, 3, 4)).astype("float32")
    same(outputs(path, x), model.predict(x))
    cr.to_onnx(cr.Sequential(cr.Flatten(), cr.Linear(12, 2)), path, input_shape=(3, 4))
    assert [node.op_type for node in onnx.load(path).graph.node] == ["Flatten", "Gemm"]


@pytest.mark.parametrize("inside", [False, True])
def test_a_custom_layer_that_adds_an_axis(inside, path):
    """A Linear inside or after a custom layer is not exported as Gemm, which needs two axes."""

    class Doubled(cr.Layer):
        def __init__(self, inner):
            self.inner = inner

        def forward(self, x, *, training=False):
            y, _ = self.inner.forward(self.xp.stack([x, 2 * x], axis=1))
            return y, lambda dy: dy

        def to_onnx(self, graph, x):
            one = np.asarray([1])
            pair = [graph.node("Unsqueeze", v, one) for v in (x, graph.node("Mul", x, 2.0))]
            return graph.layer(self.inner, graph.node("Concat", *pair, axis=1))

    layers = (Doubled(cr.Linear(4, 4)),) if inside else (Doubled(cr.Identity()), cr.Linear(4, 3))
    model = cr.Sequential(*layers)
    cr.to_onnx(model, path, input_shape=(4,))
    x = np.random.default_rng(0).normal(size=(5, 4)).astype("float32")
    same(outputs(path, x), model.predict(x))


@pytest.mark.parametrize("input_dtype", ["uint8", "int64", "float64", "float32"])
def test_the_dtype_of_the_input(input_dtype, path):
    model = cr.Sequential(cr.Flatten(), cr.Rescaling(1 / 255, -0.5), cr.Linear(12, 3))
    cr.to_onnx(model, path, input_shape=(3, 4), input_dtype=input_dtype)
    x = np.random.default_rng(0).integers(0, 256, (7, 3, 4)).astype(input_dtype)
    same(outputs(path, x), model.predict(x))
    casts = [node.op_type for node in onnx.load(path).graph.node].count("Cast")
    assert casts == (input_dtype != "float32")


def test_other_backends(path):
    x = np.random.default_rng(0).normal(size=(4, 5)).astype("float32")
    import array_api_strict

    for backend in ("torch", array_api_strict):
        layers = cr.Linear(5, 4), drawn(cr.BatchNorm(4)), cr.GELU(), drawn(cr.LayerNorm(4))
        model = cr.Sequential(*layers, backend=backend)
        cr.to_onnx(model, path)
        same(outputs(path, x), model.predict(x))


class Hidden(cr.Linear):
    """A subclass with the same computation as `Linear`."""


def test_a_subclass_with_the_same_forward(path):
    model = cr.Sequential(Hidden(3, 2))
    cr.to_onnx(model, path)
    x = np.ones((2, 3), "float32")
    same(outputs(path, x), model.predict(x))


def test_arrays_in_a_custom_layer(path):
    class Turned(cr.Layer):
        """A layer with the outputs ``x[i]`` if positive, and ``2 * x[-1 - i]`` otherwise."""

        def forward(self, x, *, training=False):
            y = x[:, ::-1]
            return self.xp.where(x > 0, x, y * 2.0), lambda dy: dy

        def to_onnx(self, graph, x):
            y = graph.node("Gather", x, np.asarray([2, 1, 0], "int32"), axis=1)
            doubled = graph.node("Mul", y, np.full((1, 3), 2.0))
            return graph.node("Where", graph.node("Greater", x, 0), x, doubled)

    model = cr.Sequential(Turned())
    cr.to_onnx(model, path, input_shape=(3,))
    x = np.random.default_rng(0).normal(size=(4, 3)).astype("float32")
    same(outputs(path, x), model.predict(x))
