"""Export to ONNX, a file format for graphs of operators that other runtimes can execute.

Weights keep their names. Each weight is stored only once, so a layer that is used twice becomes two
nodes that share weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ..backends.conversion import to_numpy
from ..checks import instance
from ..errors import DivergenceError
from ..files.atomic import write_atomically
from ..forms import Padded, each, each_shape, named, several
from ..layers import Layer
from ..layers.finite import not_finite
from ..layers.model import one_sample, real_dtypes, sample_shape
from ..parameter import Stored
from ..types import Array, Arrays, Shapes
from ..version import __version__
from .onnx_graph import Graph, Value, import_onnx
from .onnx_operators import writer

OPSET = 20  # the first opset with Gelu
IR_VERSION = 9  # the file format released with opset 20
LARGEST = 2**31 - 2**20  # bytes of weights: protobuf's limit, minus room for the rest of the file


def to_onnx(
    model: Layer,
    path: str | Path,
    *,
    input_shape: Shapes | None = None,
    input_dtype: Any = None,
) -> None:
    """Write a model in inference mode to an ONNX file (needs onnx).

    The exported model has one input, ``"input"``, and one output, ``"output"``. If there are
    several inputs in a tuple, they are named ``"input_0"``, ``"input_1"`` and so on. Inputs in a
    dict are named after their keys. If there are several outputs in a tuple, they are named
    ``"output_0"``, ``"output_1"`` and so on. In a dict, the output with the key ``"image"`` is
    named ``"output_image"``. Batches of any size are accepted. All other axes have the sizes in
    `input_shape`. An axis that has a name instead of a size accepts any size. The file uses opset
    20, which onnxruntime has supported since version 1.17. The metadata names chainrule and its
    version. Before the file is written, ``onnx.checker`` checks the exported model.

    Parameters
    ----------
    model : Sequential
        The model, on any backend.
    path : str or Path
        The path of the file. The file is written completely or not at all.
    input_shape : tuple of int or str, or tuple or dict of such tuples, optional
        The shape of one sample, such as ``(28, 28)``, or the shapes of several inputs, such as
        ``((28, 28), ())`` for padded sequences with 28 steps and their lengths. An axis of variable
        size is given as a name instead of a number: ``("time", 28)`` allows any number of steps. By
        default, a sample is a vector. The first `Linear`, `BatchNorm` or `LayerNorm` determines the
        length of this vector.
    input_dtype : str, or tuple or dict of str, optional
        The dtype of the input, or of each of several inputs, such as ``("float32", "int64")`` for
        padded sequences and their lengths. The default is float32, or int64 if the first layer
        takes integers. With a different dtype, such as ``"uint8"``, the exported model first
        converts the input to float32. As in training, integers are not converted if the first layer
        takes integers. Among several inputs, uint8 is the only integer dtype that is converted.

    Raises
    ------
    ImportError
        If onnx is not installed. The message says how to install it.
    TypeError
        If a custom layer has no method ``to_onnx``.
    DivergenceError
        If a parameter or a buffer contains NaN or infinity.
    ShapeError
        If the input does not have the shape that a layer expects.
    ValueError
        If the model is in float64 (runtimes lack operators for float64), if the input shape is
        unknown, if `input_dtype` is not a dtype of real numbers, or if the model exceeds 2 GiB.
    OSError
        If the file cannot be written. An existing file stays unchanged.

    Notes
    -----
    To support export, a custom layer defines a method ``to_onnx`` that adds operators to a
    `chainrule.interop.onnx_graph.Graph` and returns the name of the layer's output::

        class Scale(cr.Layer):
            ...

            def to_onnx(self, graph, x):
                return graph.node("Mul", x, self.gain)

    Examples
    --------
    >>> import onnxruntime
    >>> model = cr.mlp([4, 20, 3], activation="gelu")
    >>> cr.to_onnx(model, "model.onnx")
    >>> session = onnxruntime.InferenceSession("model.onnx")
    >>> x = np.ones((5, 4), dtype="float32")
    >>> (y,) = session.run(None, {"input": x})
    >>> np.allclose(y, model.predict(x), rtol=1e-5)
    True
    """
    instance(Layer, model, "a Sequential")
    shape = sample_shape(model, "to_onnx") if input_shape is None else input_shape
    dtype = real_dtypes(model, shape, input_dtype)
    write_atomically(path, _file(model, shape, dtype))


def _file(model: Layer, shape: Shapes, dtype: Any) -> bytes:
    """Return the content of the file, after checking the model."""
    onnx = import_onnx()
    state, sample = model.state, one_sample(model, _sized(shape, 64), dtype)
    if state.dtype_name != "float32":
        raise ValueError(
            f"expected a model in float32, found one in {state.dtype_name}: save the model and "
            "load the file with cr.load(path, dtype='float32')"
        )
    if where := not_finite(model):
        raise DivergenceError(f"{where} holds NaN or infinity: the model is not written")
    numbers = sum(part.size for part in model._named(Stored).values())
    if 4 * numbers > LARGEST:
        raise ValueError("the model is too large: an ONNX file holds at most 2 GiB")
    y = model.forward(sample)[0]  # raises an error if the shape does not fit
    larger = one_sample(model, _sized(shape, 128), dtype)
    other = model.forward(larger)[0]  # differs from `y` in the axes that have no fixed size

    graph, names, outputs = Graph(model, writer), _names("input", sample), _names("output", y)
    graph.rows = not several(sample) and sample.ndim == 2
    converted = each(partial(_converted, graph), names, dtype, sample)
    result = graph.layer(model, converted)
    graph.finish(result.x if isinstance(result, Padded) else result, outputs)
    taken = {*graph.tensors, *(name for node in graph.nodes for name in node.output)}
    if clash := taken & {*named("", names).values()}:
        raise ValueError(
            f"the file uses the names {clash} for other values: choose other names for the inputs"
        )

    helper = onnx.helper
    inputs = each_shape(lambda axes, name, dtype: _declared(name, dtype, axes), shape, names, dtype)
    results = each(_output, outputs, y, other)
    tensors = list(graph.tensors.values())
    whole = helper.make_model(
        helper.make_graph(
            graph.nodes,
            "model",
            [*named("", inputs).values()],
            [*named("", results).values()],
            tensors,
        ),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="chainrule",
        producer_version=__version__,
    )
    onnx.checker.check_model(whole, full_check=True)
    data: bytes = whole.SerializeToString()
    return data


def _names(what: str, x: Arrays) -> Any:
    """Return the name of each input or output, in the same form as `x`."""
    if isinstance(x, dict):
        return {key: key if what == "input" else f"{what}_{key}" for key in x}
    return tuple(f"{what}_{i}" for i in range(len(x))) if several(x) else what


def _sized(shape: Shapes, size: int) -> Any:
    """Return the shape, with each named axis replaced by this size."""

    def sized(axes: Any) -> Any:
        if not isinstance(axes, tuple | list):
            return axes  # no shape: `one_sample` raises the error
        return tuple(size if isinstance(n, str) else n for n in axes)

    return each_shape(sized, shape)


def _output(name: str, y: Array, other: Array) -> Any:
    """Return the declaration of an output. Axes where `y` and `other` differ may have any size."""
    axes = [n if n == m else None for n, m in zip(y.shape[1:], other.shape[1:], strict=True)]
    return _declared(name, _dtype_of(y), axes)


def _declared(name: str, dtype: np.dtype[Any], axes: Sequence[int | str | None]) -> Any:
    """Return the declaration of an input or output. `axes` are the axes after the batch."""
    helper = import_onnx().helper
    kind = helper.np_dtype_to_tensor_dtype(dtype)
    return helper.make_tensor_value_info(name, kind, ["batch", *axes])


def _converted(graph: Graph, name: str, dtype: np.dtype[Any], x: Array) -> Value:
    """Return the name of an input after its conversion to the dtype of `x`."""
    if dtype == _dtype_of(x):
        return name
    return graph.node("Cast", name, to=import_onnx().TensorProto.FLOAT)


def _dtype_of(x: Array) -> np.dtype[Any]:
    return to_numpy(x).dtype
