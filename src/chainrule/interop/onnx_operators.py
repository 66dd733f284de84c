"""The ONNX operators of each layer. `chainrule.interop.onnx` writes the file."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import layers
from ..layers import BatchNorm, Layer, LayerNorm, Linear, Sequential
from .onnx_graph import Graph, Operand, Value, Writer


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


def _linear(graph: Graph, layer: Linear, x: Value) -> Value:
    if graph.rows:
        return graph.node("Gemm", x, layer.weight, layer.bias, transB=1)
    y = graph.node("MatMul", x, graph.node("Transpose", layer.weight, perm=[1, 0]))
    return y if layer.bias is None else graph.node("Add", y, layer.bias)


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


OPERATORS: dict[type[Layer], Writer] = {
    Sequential: _sequential,
    Linear: _linear,
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
    layers.Flatten: _flatten,
    layers.Rescaling: _rescaling,
    BatchNorm: _batch_norm,
    LayerNorm: _layer_norm,
}
