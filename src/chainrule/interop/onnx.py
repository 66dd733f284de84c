"""Export to ONNX, a file format for graphs of operators that other runtimes can execute.

Weights keep their names. Each weight is stored only once, so a layer that is used twice becomes two
nodes that share weights.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ..checks import instance
from ..errors import DivergenceError
from ..files.atomic import write_atomically
from ..layers import Layer
from ..layers.finite import not_finite
from ..layers.model import sample_shape
from ..parameter import Stored
from ..version import __version__
from .onnx_graph import Graph, import_onnx
from .onnx_operators import writer

OPSET = 20  # the first opset with Gelu
IR_VERSION = 9  # the file format released with opset 20
LARGEST = 2**31 - 2**20  # bytes of weights: protobuf's limit, minus room for the rest of the file


def to_onnx(
    model: Layer,
    path: str | Path,
    *,
    input_shape: tuple[int, ...] | None = None,
    input_dtype: str | None = None,
) -> None:
    """Write a model in inference mode to an ONNX file (needs onnx).

    The exported model has one input, ``"input"``, and one output, ``"output"``. Batches of any size
    are accepted. The file uses opset 20, which onnxruntime supports since version 1.17. The
    metadata names chainrule and its version. Before the file is written, ``onnx.checker`` checks
    the exported model.

    Parameters
    ----------
    model : Sequential
        The model, on any backend.
    path : str or Path
        The path of the file. The file is written completely or not at all.
    input_shape : tuple of int, optional
        The shape of one sample, such as ``(28, 28)``. By default, a sample is a vector. The first
        `Linear`, `BatchNorm` or `LayerNorm` determines the length of this vector.
    input_dtype : str, optional
        The dtype of the input. The default is float32. With another dtype, such as ``"uint8"``, the
        exported model first converts the input to float32.

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
    >>> model = cr.mlp([4, 20, 3], activation="gelu")
    >>> cr.to_onnx(model, "model.onnx")  # doctest: +SKIP
    >>> session = onnxruntime.InferenceSession("model.onnx")  # doctest: +SKIP
    >>> x = np.ones((5, 4), dtype="float32")
    >>> (y,) = session.run(None, {"input": x})  # doctest: +SKIP
    >>> np.allclose(y, model.predict(x), rtol=1e-5)  # doctest: +SKIP
    True
    """
    write_atomically(path, _file(model, _sample_shape(model, input_shape), input_dtype))


def _file(model: Layer, shape: tuple[int, ...], input_dtype: str | None) -> bytes:
    """Return the content of the file, after checking the model."""
    onnx = import_onnx()
    state, dtype = model.state, _input_dtype(input_dtype or "float32")
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
    zeros = state.backend.xp.zeros((1, *shape), dtype=state.dtype, device=state.backend.device)
    output_shape = model.forward(zeros)[0].shape[1:]  # raises an error if the shape does not fit

    graph = Graph(model, writer, rows=len(shape) == 1)
    float32 = onnx.TensorProto.FLOAT
    converted = "input" if dtype == np.float32 else graph.node("Cast", "input", to=float32)
    graph.finish(graph.layer(model, converted))

    helper = onnx.helper
    input_type = helper.np_dtype_to_tensor_dtype(dtype)
    source = helper.make_tensor_value_info("input", input_type, ["batch", *shape])
    output = helper.make_tensor_value_info("output", float32, ["batch", *output_shape])
    whole = helper.make_model(
        helper.make_graph(graph.nodes, "model", [source], [output], list(graph.tensors.values())),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="chainrule",
        producer_version=__version__,
    )
    onnx.checker.check_model(whole, full_check=True)
    data: bytes = whole.SerializeToString()
    return data


def _input_dtype(name: str) -> np.dtype[Any]:
    try:
        dtype = np.dtype(name)
    except TypeError:
        dtype = np.dtype(object)  # NumPy has no dtype of this name
    if dtype.kind not in "biuf":
        raise ValueError(f"expected input_dtype to be a dtype of real numbers, found {name!r}")
    return dtype


def _sample_shape(model: Layer, shape: tuple[int, ...] | None) -> tuple[int, ...]:
    """Return the shape of one sample: the given shape, or the shape that the layers require."""
    instance(Layer, model, "a Sequential")
    if shape is not None:
        if np.ndim(shape) != 1 or not all(isinstance(n, int | np.integer) and n > 0 for n in shape):
            raise ValueError(
                "expected input_shape to be the shape of one sample, such as (28, 28), found "
                f"{shape!r}"
            )
        return tuple(map(int, shape))
    return sample_shape(model, "to_onnx")
