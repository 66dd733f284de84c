"""An ONNX graph under construction."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from ..errors import require, shown
from ..forms import Padded, WithStates, each, named, several
from ..layers import Layer
from ..parameter import Stored

Value: TypeAlias = str
"""The name of an operator's input or output."""

Operand: TypeAlias = Value | Stored | float | np.ndarray | None

Writer: TypeAlias = "Callable[[Graph, Any, Value], Value]"
"""A function of a graph, a layer and the name of its input. It returns the name of the output."""


class Graph:
    """The operators of a model, in the order of computation.

    Parameters
    ----------
    model : Layer
        The model to export.
    writer : callable
        A function that takes a layer and returns the `Writer` for this layer.

    Attributes
    ----------
    rows : bool
        Whether the next layer's input is known to have shape ``(batch, features)``.
    """

    def __init__(self, model: Layer, writer: Callable[[Layer], Writer]) -> None:
        self._writer = writer
        self.rows = False
        self.nodes: list[Any] = []
        self.tensors: dict[str, Any] = {}
        self._onnx = import_onnx()
        self._to_numpy = model.backend.to_numpy
        self._names = {id(part): name for name, part in model._named(Stored).items()}
        self._place = ""
        self._taken: set[str] = set()

    def node(self, operator: str, *operands: Operand, **attributes: Any) -> Value:
        """Add an ONNX operator.

        Parameters
        ----------
        operator : str
            The operator's name, see https://onnx.ai/onnx/operators.
        *operands : str, Parameter, Buffer, float, array or None
            The operator's inputs: outputs of other operators, weights, numbers, or None to leave
            out an optional input. Integer arrays are written as int64. All other numbers are
            written as float32.
        **attributes
            The operator's attributes.

        Returns
        -------
        str
            The name of the operator's first output.
        """
        return self.several(1, operator, *operands, **attributes)[0]

    def several(
        self, outputs: int, operator: str, *operands: Operand, **attributes: Any
    ) -> list[Value]:
        """Add an ONNX operator as `node` does, and return the names of its first outputs."""
        inputs = [self._operand(operand) for operand in operands]
        names = [self._name(operator) for _ in range(outputs)]
        node = self._onnx.helper.make_node(operator, inputs, names, name=names[0], **attributes)
        self.nodes.append(node)
        return names

    def layer(self, layer: Layer, x: Any) -> Any:
        """Add a layer with the input `x`. Custom layers call this method to add inner layers.

        Several inputs or outputs are a tuple or a dict of names, in the same form as the layer's
        own inputs and outputs.
        """
        write = self._writer(layer)
        outside, self._place = self._place, layer._names[-1]
        y: Any
        if not (layer.per_step and several(x)):
            y = write(self, layer, x)
        elif isinstance(x, dict):  # sequences with lengths or states, which are passed on
            y = {**x, "x": write(self, layer, x["x"])}
        else:
            made = WithStates if isinstance(x, WithStates) else Padded._make
            y = made((write(self, layer, x[0]), *x[1:]))
        self._place = outside
        if not all(isinstance(name, str) for name in named("y", y).values()):
            raise TypeError(f"{layer!r}: expected to_onnx to return a name, found {shown(y)}")
        return y

    def finish(self, y: Any, outputs: Any) -> None:
        """Make `y` the output of the model, named `outputs`. Both have the same form."""
        if named("", y).keys() != named("", outputs).keys():
            raise TypeError(f"expected to_onnx to return names in a form like {outputs}, found {y}")
        if not several(y) and self.nodes and self.nodes[-1].output[0] == y:
            self.nodes[-1].output[0] = outputs
            return
        each(self._identity, y, outputs)

    def _identity(self, value: Value, name: str) -> None:
        self.nodes.append(self._onnx.helper.make_node("Identity", [value], [name]))

    def _operand(self, operand: Operand) -> Value:
        if operand is None:
            return ""
        if isinstance(operand, str):
            return operand
        if isinstance(operand, Stored):
            name = self._names[id(operand)]
            if name not in self.tensors:
                self._add(name, self._to_numpy(operand.value))
            return name
        number = np.asarray(operand)
        whole = isinstance(operand, np.ndarray) and number.dtype.kind in "iu"
        return self._add(self._name("constant"), number.astype("int64" if whole else "float32"))

    def _add(self, name: str, array: np.ndarray) -> Value:
        self.tensors[name] = self._onnx.numpy_helper.from_array(array, name)
        return name

    def _name(self, what: str) -> str:
        """Return an unused name for a part of the layer that is being added."""
        name = first = f"{self._place}/{what}".removeprefix("/")
        count = 1
        while name in self._taken:
            count += 1
            name = f"{first}_{count}"
        self._taken.add(name)
        return name


def import_onnx() -> Any:
    return require("onnx", what="an ONNX file", extra="onnx")
