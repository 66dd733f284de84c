"""The ONNX operators of each layer. `chainrule.interop.onnx` writes the file."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .. import layers
from ..layers import BatchNorm, Layer, LayerNorm, Linear, Sequential
from ..layers.windowed import Windowed
from .onnx_graph import Graph, Operand, Value, Writer, import_onnx
from .onnx_recurrent import recurrent


def writer(layer: Layer) -> Writer:
    """Return the function that adds a layer. A class that overrides `forward` needs `to_onnx`."""
    for kind in type(layer).__mro__:
        if "to_onnx" in vars(kind):
            return _custom
        if kind in OPERATORS:
            return OPERATORS[kind]
        if "forward" in vars(kind):
            break
    raise TypeError(
        f"{layer._label()}: no ONNX operators are known for this layer; define "
        "to_onnx(self, graph, x) in its class, see chainrule.to_onnx"
    )


def _operator(name: str, *operands: Operand, **attributes: Any) -> Writer:
    """Return the function that adds a layer as a single ONNX operator."""
    return lambda graph, layer, x: graph.node(name, x, *operands, **attributes)


def _sequential(graph: Graph, layer: Sequential, x: Value) -> Value:
    for inner in layer:
        x = graph.layer(inner, x)
    return x


def _custom(graph: Graph, layer: Any, x: Value) -> Value:
    graph.rows = False  # a custom layer may change the axes
    y: Value = layer.to_onnx(graph, x)
    graph.rows = False
    return y


def _nothing(graph: Graph, layer: Layer, x: Value) -> Value:
    return x


def _flatten(graph: Graph, layer: layers.Flatten, x: Value) -> Value:
    graph.rows = True
    return graph.node("Flatten", x, axis=1)


def _unflatten(graph: Graph, layer: layers.Unflatten, x: Value) -> Value:
    graph.rows = False
    before = graph.node("Shape", x, start=0, end=layer.dim)
    after = graph.node("Shape", x, start=layer.dim + 1)
    shape = graph.node("Concat", before, np.asarray(layer.sizes), after, axis=0)
    return graph.node("Reshape", x, shape)


def _linear(graph: Graph, layer: Linear, x: Value) -> Value:
    if graph.rows:
        return graph.node("Gemm", x, layer.weight, layer.bias, transB=1)
    y = graph.node("MatMul", x, graph.node("Transpose", layer.weight, perm=[1, 0]))
    return y if layer.bias is None else graph.node("Add", y, layer.bias)


def _embedding(graph: Graph, layer: layers.Embedding, x: Value) -> Value:
    graph.rows = False
    index = graph.node("Cast", x, to=import_onnx().TensorProto.INT64)
    return graph.node("Gather", layer.weight, index, axis=0)


def _pool_over_time(graph: Graph, layer: layers.PoolOverTime, x: Any) -> Value:
    x, *lengths = x if isinstance(x, tuple) else (x,)
    graph.rows, node, time = True, graph.node, np.asarray([1])
    if not lengths:
        if layer.mode == "last":
            return node("Gather", x, np.asarray(-1), axis=1)
        return node(_OVER_TIME[layer.mode], x, time, keepdims=0)
    length = node("Unsqueeze", lengths[0], time)
    length = node("Cast", length, to=import_onnx().TensorProto.INT64)
    if layer.mode == "last":
        return node("GatherND", x, node("Sub", length, np.asarray(1)), batch_dims=1)
    steps = node("Squeeze", node("Shape", x, start=1, end=2))
    steps = node("Range", np.asarray(0), steps, np.asarray(1))
    inside = node("Unsqueeze", node("Less", steps, length), np.asarray([2]))
    if layer.mode == "max":
        return node("ReduceMax", node("Where", inside, x, -math.inf), time, keepdims=0)
    total = node("ReduceSum", node("Where", inside, x, 0.0), time, keepdims=0)
    return node("Div", total, node("Cast", length, to=import_onnx().TensorProto.FLOAT))


_OVER_TIME = {"mean": "ReduceMean", "max": "ReduceMax"}


def _rescaling(graph: Graph, layer: layers.Rescaling, x: Value) -> Value:
    y = graph.node("Mul", x, layer.scale)
    return y if layer.offset == 0.0 else graph.node("Add", y, layer.offset)


def _leaky_relu(graph: Graph, layer: layers.LeakyReLU, x: Value) -> Value:
    return graph.node("LeakyRelu", x, alpha=layer.negative_slope)


def _silu(graph: Graph, layer: layers.SiLU, x: Value) -> Value:
    return graph.node("Mul", x, graph.node("Sigmoid", x))


def _batch_norm(graph: Graph, layer: BatchNorm, x: Value) -> Value:
    features, statistics = layer.features, (layer.running_mean, layer.running_var)
    weight = np.ones(features) if layer.weight is None else layer.weight
    bias = np.zeros(features) if layer.bias is None else layer.bias
    return graph.node("BatchNormalization", x, weight, bias, *statistics, epsilon=layer.eps)


def _layer_norm(graph: Graph, layer: LayerNorm, x: Value) -> Value:
    weight, bias = layer.weight, layer.bias
    return graph.node("LayerNormalization", x, weight, bias, axis=-1, epsilon=layer.eps)


def _group_norm(graph: Graph, layer: layers.GroupNorm, x: Value) -> Value:
    groups, shape = layer.num_groups, graph.node("Shape", x)
    y = graph.node("Reshape", x, np.asarray([0, groups, -1]))
    ones, zeros = np.ones(groups), np.zeros(groups)
    y = graph.node("InstanceNormalization", y, ones, zeros, epsilon=layer.eps)
    y = graph.node("Reshape", y, np.asarray([0, layer.num_channels, -1]))
    for operator, numbers in (("Mul", layer.weight), ("Add", layer.bias)):
        if numbers is not None:
            y = graph.node(operator, y, graph.node("Unsqueeze", numbers, np.asarray([1])))
    return graph.node("Reshape", y, shape)


def _convolution(graph: Graph, layer: layers.Conv2d, x: Value) -> Value:
    options = _places(layer, layer.padding) | {"group": layer.groups}
    return graph.node("Conv", x, layer.weight, layer.bias, **options)


def _conv_transpose(graph: Graph, layer: layers.ConvTranspose2d, x: Value) -> Value:
    if any(n >= s for n, s in zip(layer.output_padding, layer.stride, strict=True)):
        raise TypeError(
            f"{layer._label()}: for ONNX, expected output_padding to be less than the stride"
        )
    options = _places(layer, [(n, n) for n in layer.padding])
    options |= {"output_padding": layer.output_padding, "group": layer.groups}
    return graph.node("ConvTranspose", x, layer.weight, layer.bias, **options)


def _max_pool(graph: Graph, layer: layers.MaxPool2d, x: Value) -> Value:
    return graph.node("MaxPool", x, ceil_mode=_ceil_mode(layer), **_places(layer, layer.padding))


def _avg_pool(graph: Graph, layer: layers.AvgPool2d, x: Value) -> Value:
    options = _places(layer, layer.padding) | {"count_include_pad": int(layer.count_include_pad)}
    return graph.node("AveragePool", x, ceil_mode=_ceil_mode(layer), **options)


def _ceil_mode(layer: layers.MaxPool2d | layers.AvgPool2d) -> int:
    """Raise an error if the last window may begin beyond the image, where runtimes disagree."""
    reach = [d * (k - 1) + 1 for d, k in zip(layer.dilation, layer.kernel_size, strict=True)]
    axes = zip(layer.stride, layer.padding, reach, strict=True)
    if layer.ceil_mode and any(s + after > size for s, (_, after), size in axes):
        raise TypeError(
            f"{layer._label()}: for ONNX, expected stride + padding <= the size of a window, "
            "because ceil_mode=True"
        )
    return int(layer.ceil_mode)


def _places(layer: Windowed, padding: Any) -> dict[str, Any]:
    """Return the positions of windows as the attributes of an ONNX operator."""
    before, after = zip(*padding, strict=True)
    return {
        "kernel_shape": layer.kernel_size,
        "strides": layer.stride,
        "dilations": layer.dilation,
        "pads": (*before, *after),
    }


def _adaptive_avg_pool(graph: Graph, layer: layers.AdaptiveAvgPool2d, x: Value) -> Value:
    if layer.output_size == (1, 1):
        return graph.node("GlobalAveragePool", x)
    rows, columns = (_averaging(graph, x, i + 2, n) for i, n in enumerate(layer.output_size))
    x = graph.node("MatMul", rows, x)
    return graph.node("MatMul", x, graph.node("Transpose", columns, perm=[1, 0]))


def _averaging(graph: Graph, x: Value, axis: int, parts: int) -> Value:
    """Add the matrix that averages each part of an axis of `x`. The axis may have any length."""
    node, part = graph.node, np.arange(parts)[:, None]
    length = node("Squeeze", node("Shape", x, start=axis, end=axis + 1))
    first = node("Div", node("Mul", length, part), np.asarray(parts))
    end = node("Add", node("Mul", length, part + 1), np.asarray(parts - 1))
    end = node("Div", end, np.asarray(parts))  # rounded up
    place = node("Range", np.asarray(0), length, np.asarray(1))
    inside = node("And", node("GreaterOrEqual", place, first), node("Less", place, end))
    inside = node("Cast", inside, to=import_onnx().TensorProto.FLOAT)
    return node("Div", inside, node("ReduceSum", inside, np.asarray([1]), keepdims=1))


def _zero_pad(graph: Graph, layer: layers.ZeroPad2d, x: Value) -> Value:
    (top, bottom), (left, right) = layer.padding
    return graph.node("Pad", x, np.asarray([0, 0, top, left, 0, 0, bottom, right]))


OPERATORS: dict[type[Layer], Writer] = {
    Sequential: _sequential,
    Linear: _linear,
    layers.Embedding: _embedding,
    layers.PoolOverTime: _pool_over_time,
    layers.ReLU: _operator("Relu"),
    layers.LeakyReLU: _leaky_relu,
    layers.ReLU6: _operator("Clip", 0.0, 6.0),
    layers.ELU: lambda graph, layer, x: graph.node("Elu", x, alpha=layer.alpha),
    layers.PReLU: lambda graph, layer, x: graph.node("PRelu", x, layer.weight),
    layers.GELU: lambda graph, layer, x: graph.node("Gelu", x, approximate=layer.approximate),
    layers.SiLU: _silu,
    layers.Sigmoid: _operator("Sigmoid"),
    layers.Tanh: _operator("Tanh"),
    layers.Softplus: _operator("Softplus"),
    layers.Softmax: _operator("Softmax", axis=-1),
    layers.LogSoftmax: _operator("LogSoftmax", axis=-1),
    layers.Identity: _nothing,
    layers.Dropout: _nothing,
    layers.Dropout2d: _nothing,
    layers.Flatten: _flatten,
    layers.Unflatten: _unflatten,
    layers.Conv1d: _convolution,
    layers.Conv2d: _convolution,
    layers.ConvTranspose2d: _conv_transpose,
    layers.MaxPool1d: _max_pool,
    layers.MaxPool2d: _max_pool,
    layers.AvgPool1d: _avg_pool,
    layers.AvgPool2d: _avg_pool,
    layers.AdaptiveAvgPool2d: _adaptive_avg_pool,
    layers.ZeroPad2d: _zero_pad,
    layers.RNN: recurrent("RNN", gates=[0]),
    layers.LSTM: recurrent("LSTM", gates=[0, 3, 1, 2]),  # i o f g, instead of i f g o
    layers.GRU: recurrent("GRU", gates=[1, 0, 2], linear_before_reset=1),  # z r n
    layers.Rescaling: _rescaling,
    BatchNorm: _batch_norm,
    LayerNorm: _layer_norm,
    layers.GroupNorm: _group_norm,
}
