"""Export to ONNX refuses invalid layers, shapes and paths."""

import re
import subprocess
import sys

import numpy as np
import onnx
import pytest
from onnx_files import ScaleToOnnx, outputs
from table import Scale

import chainrule as cr
from chainrule.interop import onnx as export


class Doubled(cr.ReLU):
    def forward(self, x, *, training=False):
        y, back = super().forward(x, training=training)
        return 2 * y, lambda dy: back(2 * dy)


class Block(cr.Sequential):
    def forward(self, x, *, training=False):
        y, back = super().forward(x, training=training)
        return x + y, lambda dy: dy + back(dy)


class Shifted(ScaleToOnnx):
    def forward(self, x, *, training=False):
        y, back = super().forward(x, training=training)
        return y + 1.0, back


@pytest.mark.parametrize(
    "make",
    [lambda: Scale(5), Doubled, lambda: Block(cr.Linear(5, 5)), lambda: Shifted(5)],
    ids=["Scale", "Doubled", "Block", "Shifted"],
)
def test_another_forward_is_refused(make, path):
    path.write_bytes(b"older")
    model = cr.Sequential(cr.Linear(5, 5), cr.Sequential(make()))
    words = rf"layer '1.0', {type(model[1][0]).__name__}.*: no ONNX operators .* to_onnx"
    with pytest.raises(TypeError, match=re.compile(words, re.DOTALL)):
        cr.to_onnx(model, path)
    assert path.read_bytes() == b"older"


def test_a_method_that_writes_invalid_onnx(path):
    class Wrong(Scale):
        def to_onnx(self, graph, x):
            return graph.node("Multiply", x, self.gain)

    class Nothing(Scale):
        def to_onnx(self, graph, x):
            graph.node("Mul", x, self.gain)

    path.write_bytes(b"older")
    with pytest.raises(onnx.checker.ValidationError, match="Multiply"):
        cr.to_onnx(cr.Sequential(Wrong(5)), path, input_shape=(5,))
    with pytest.raises(TypeError, match=r"Nothing\(5\): expected to_onnx to return a name"):
        cr.to_onnx(cr.Sequential(Nothing(5)), path, input_shape=(5,))
    assert path.read_bytes() == b"older"


@pytest.mark.parametrize(
    ("layer", "words"),
    [
        (cr.ConvTranspose2d(2, 2, 3, dilation=2, output_padding=1), "output_padding to be less"),
        (cr.MaxPool2d(2, padding=1, ceil_mode=True), r"expected stride \+ padding <= the size"),
        (cr.AvgPool2d(2, stride=3, ceil_mode=True), r"expected stride \+ padding <= the size"),
    ],
)
def test_windows_that_runtimes_place_differently(layer, words, path):
    model = cr.Sequential(cr.Identity(), layer.copy())
    with pytest.raises(TypeError, match=rf"layer '1', {type(layer).__name__}.*for ONNX, .*{words}"):
        cr.to_onnx(model, path, input_shape=(2, 5, 5))


def test_mistakes(path, monkeypatch):
    with pytest.raises(ValueError, match="to_onnx needs input_shape="):
        cr.to_onnx(cr.Sequential(cr.ReLU()), path)
    with pytest.raises(cr.ShapeError, match=r"layer '1', Linear\(12, 3\): expected input of"):
        cr.to_onnx(cr.Sequential(cr.Flatten(), cr.Linear(12, 3)), path, input_shape=(3, 5))
    for shape in (5, (-1,), (2.5,), "28"):
        words = f"expected input_shape to be the shape of one sample, .*found {shape!r}"
        with pytest.raises(ValueError, match=re.sub(r"[()]", r"\\\g<0>", words)):
            cr.to_onnx(cr.mlp([2, 1]), path, input_shape=shape)
    with pytest.raises(ValueError, match="input_dtype to be a dtype of real numbers, found 'foo'"):
        cr.to_onnx(cr.mlp([2, 1]), path, input_dtype="foo")
    with pytest.raises(TypeError, match="expected a Sequential, found 5"):
        cr.to_onnx(5, path)
    with pytest.raises(ValueError, match="expected input_dtype to be a dtype of real numbers"):
        cr.to_onnx(cr.mlp([2, 1]), path, input_dtype="complex64")
    with monkeypatch.context() as patch:
        patch.setattr(export, "LARGEST", 100 * 4)
        with pytest.raises(ValueError, match="at most 2 GiB"):
            cr.to_onnx(cr.mlp([10, 10]), path)
    assert not path.exists()
    cr.to_onnx(cr.Sequential(cr.LayerNorm(4), cr.ReLU()), path)
    assert outputs(path, np.ones((2, 4), "float32")).shape == (2, 4)


def test_a_path_that_cannot_be_written(tmp_path, path, monkeypatch):
    model = cr.mlp([2, 1])
    with pytest.raises(FileNotFoundError, match="its folder does not exist"):
        cr.to_onnx(model, tmp_path / "none" / "model.onnx")
    path.write_bytes(b"older")

    def full(*_):
        raise OSError("no space left")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="no space left"):
        cr.to_onnx(model, path)
    assert path.read_bytes() == b"older"
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_onnx_is_an_extra(path, monkeypatch):
    code = "import sys, chainrule; print([m for m in ('onnx', 'torch') if m in sys.modules])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ImportError, match=re.escape('pip install ".[onnx]" in a clone')):
        cr.to_onnx(cr.mlp([2, 1]), path)


def test_a_model_in_float64_is_refused(path):
    with pytest.raises(ValueError, match="expected a model in float32, found one in float64"):
        cr.to_onnx(cr.mlp([2, 1], dtype="float64"), path)
    assert not path.exists()


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_non_finite_weights_do_not_replace_a_file(bad, tmp_path):
    path, model = tmp_path / "model.onnx", cr.Sequential(cr.Linear(3, 3), cr.BatchNorm(3))
    cr.to_onnx(model, path)
    before = path.read_bytes()
    model[1].running_var.value[1] = bad
    with pytest.raises(
        cr.DivergenceError, match="the buffer '1.running_var' holds NaN or infinity"
    ):
        cr.to_onnx(model, path)
    assert path.read_bytes() == before
