"""The ONNX operators of recurrent layers.

In ONNX, time is the first axis, the weights of both directions are stacked, and the two biases are
concatenated. The states are ``(directions, batch, hidden)``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..forms import Padded, WithStates
from ..layers.recurrence import Recurrent
from ..layers.recurrent import RNN
from ..parameter import Parameter
from .onnx_graph import Graph, Operand, Value, Writer, import_onnx


def recurrent(operator: str, gates: Sequence[int], **attributes: Any) -> Writer:
    """Return the function that adds a recurrent layer, with one ONNX operator per inner layer.

    `gates` lists the gates in the order of the operator, each as its index in chainrule's order.
    """

    def write(graph: Graph, layer: Recurrent, x: Any) -> Any:
        inputs = _by_name(x)
        y, lengths = _swapped(graph, inputs["x"]), _lengths(graph, inputs)
        before = {name: _swapped(graph, inputs[name]) for name in layer.states if name in inputs}
        after, width = [], len(layer._directions)
        for i in range(0, len(layer._suffixes), width):
            here = np.arange(i, i + width)
            first = {name: graph.node("Gather", h, here, axis=0) for name, h in before.items()}
            y, *last = graph.several(
                1 + len(layer.states),
                operator,
                y,
                *_weights(graph, layer, layer._suffixes[i : i + width], gates),
                lengths,
                *map(first.get, layer.states),
                **_attributes(layer),
                **attributes,
            )
            y = _joined(graph, graph.node("Transpose", y, perm=[0, 2, 1, 3]), axes=2)
            after.append(last)
        y = _swapped(graph, y)
        if layer.output == "last":
            y = _joined(graph, _swapped(graph, after[-1][0]), axes=1)
        graph.rows = layer.output == "last" and not layer.return_state
        if not layer.return_state:
            keeps_lengths = layer.output == "all" and "lengths" in inputs
            return Padded(y, inputs["lengths"]) if keeps_lengths else y
        states = [graph.node("Concat", *of_all, axis=0) for of_all in zip(*after, strict=True)]
        return WithStates([y, *(_swapped(graph, h) for h in states)])

    return write


def _by_name(x: Any) -> dict[str, Value]:
    """Return the inputs as a dict with the keys "x", "lengths" and the names of states."""
    if isinstance(x, tuple):
        return dict(zip(("x", "lengths"), x, strict=True))
    return x if isinstance(x, dict) else {"x": x}


def _lengths(graph: Graph, inputs: dict[str, Value]) -> Value | None:
    """Return the lengths as int32, or None if there are no lengths."""
    if "lengths" not in inputs:
        return None
    return graph.node("Cast", inputs["lengths"], to=import_onnx().TensorProto.INT32)


def _weights(
    graph: Graph, layer: Recurrent, suffixes: Sequence[str], gates: Sequence[int]
) -> list[Value | None]:
    """Return the weights of the input and of the state, and the biases, of one inner layer."""
    units = np.arange(layer.hidden_size)
    rows = np.concatenate([gate * layer.hidden_size + units for gate in gates])

    def ordered(parameter: Parameter | None) -> Value | None:
        return None if parameter is None else graph.node("Gather", parameter, rows, axis=0)

    def stacked(parts: Sequence[Operand]) -> Value:
        each = [graph.node("Unsqueeze", part, np.asarray([0])) for part in parts]
        return graph.node("Concat", *each, axis=0)

    of_directions = [map(ordered, layer._parameters_of(suffix)) for suffix in suffixes]
    weight_ih, weight_hh, *biases = zip(*of_directions, strict=True)
    if None in biases[0]:
        return [stacked(weight_ih), stacked(weight_hh), None]
    pairs = [graph.node("Concat", *pair, axis=0) for pair in zip(*biases, strict=True)]
    return [stacked(weight_ih), stacked(weight_hh), stacked(pairs)]


def _attributes(layer: Recurrent) -> dict[str, Any]:
    attributes: dict[str, Any] = {
        "hidden_size": layer.hidden_size,
        "direction": "bidirectional" if layer.bidirectional else "forward",
    }
    if isinstance(layer, RNN):
        attributes["activations"] = [layer.nonlinearity.capitalize()] * len(layer._directions)
    return attributes


def _swapped(graph: Graph, x: Value) -> Value:
    """Swap the first two axes of an array with three axes."""
    return graph.node("Transpose", x, perm=[1, 0, 2])


def _joined(graph: Graph, x: Value, *, axes: int) -> Value:
    """Join all axes of `x` after the first `axes` into one."""
    return graph.node("Reshape", x, np.asarray([0] * axes + [-1]))
