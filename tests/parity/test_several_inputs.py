"""onnxruntime computes the same outputs for models with several inputs or outputs."""

import numpy as np
import pytest
from onnx_files import session
from several import MODELS, cases, run_the_page

import chainrule as cr
from chainrule.forms import named

INPUTS = {
    "two_branches": ["input_0", "input_1"],
    "siamese": ["input_0", "input_1"],
    "image_and_table": ["image", "table"],
    "recommender": ["input_0", "input_1"],
    "two_heads": ["input"],
}


@pytest.mark.parametrize("name", MODELS)
def test_models_with_several_inputs(name, tmp_path):
    case, path = cases(run_the_page(tmp_path))[name], tmp_path / "model.onnx"
    cr.to_onnx(case.model, path, input_shape=case.shapes, input_dtype=case.dtypes)
    running = session(path)
    assert [one.name for one in running.get_inputs()] == INPUTS[name]
    arrays = [a.astype("float32") if a.dtype.kind == "f" else a for a in named("", case.x).values()]
    found = running.run(None, dict(zip(INPUTS[name], arrays, strict=True)))
    expected = named("", case.model.predict(case.x)).values()
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5)


class Scaled(cr.Layer):
    """A layer that multiplies each sample by an integer. Inputs and outputs have names."""

    def forward(self, x, *, training=False):
        xp = self.xp
        by = xp.astype(x["times"], x["value"].dtype)[:, None]
        return {"value": x["value"] * by}, lambda dy: {"value": dy["value"] * by, "times": None}

    def to_onnx(self, graph, x):
        by = graph.node("Unsqueeze", graph.node("Cast", x["times"], to=1), np.asarray([1]))
        return {"value": graph.node("Mul", x["value"], by)}


class Chosen(cr.Layer):
    """A layer that returns the input with this name."""

    def __init__(self, name):
        self.name = name

    def forward(self, x, *, training=False):
        return x[self.name], lambda dy: {self.name: dy}

    def to_onnx(self, graph, x):
        return x[self.name]


@pytest.mark.parametrize("name", ["1.weight", "output"])
def test_names_of_inputs_that_the_file_needs(name, tmp_path):
    model = cr.Sequential(Chosen(name), cr.Linear(3, 2))
    with pytest.raises(ValueError, match=f"the file uses the names {{'{name}'}} for other values"):
        cr.to_onnx(model, tmp_path / "model.onnx", input_shape={name: (3,)})


def test_outputs_in_another_form(tmp_path):
    class Twice(Chosen):
        def forward(self, x, *, training=False):
            return (x["a"], x["a"]), lambda dy: {"a": dy[0] + dy[1]}

        def to_onnx(self, graph, x):
            return x["a"]

    model = cr.Sequential(Twice("a"))
    with pytest.raises(
        TypeError, match=r"names in a form like \('output_0', 'output_1'\), found a"
    ):
        cr.to_onnx(model, tmp_path / "model.onnx", input_shape={"a": (3,)})


def test_integers_and_names(tmp_path):
    model, path = cr.Sequential(Scaled()), tmp_path / "model.onnx"
    dtypes = {"value": "float32", "times": "int64"}
    cr.to_onnx(model, path, input_shape={"value": (3,), "times": ()}, input_dtype=dtypes)
    running = session(path)
    assert [one.type for one in running.get_inputs()] == ["tensor(float)", "tensor(int64)"]
    assert [one.name for one in running.get_outputs()] == ["output_value"]
    x = {"value": np.ones((2, 3), "float32"), "times": np.asarray([2, 5])}
    np.testing.assert_array_equal(running.run(None, x)[0], model.predict(x)["value"])
