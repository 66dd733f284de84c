"""The base class of recurrent layers: one cell, applied to each step of a sequence."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, ClassVar

from .. import initializers
from ..cells import Cell
from ..checks import below_one, flag, one_of, whole
from ..errors import DataError, ShapeError
from ..forms import Padded, WithStates, fits, several, shape_of
from ..formulas import sum_over_batch
from ..initializers import Initializer
from ..parameter import Parameter
from ..types import Array, Arrays, Backward
from .base import Layer
from .dropout import Dropout
from .padded import present

States = tuple[Array, ...]
"""The states of a cell, each ``(batch, hidden)``: ``(h,)``, or ``(h, c)`` for an LSTM."""


class Recurrent(Layer):
    """Base class of `RNN`, `LSTM` and `GRU`, which differ in their cells."""

    takes_input_gradient = True
    takes_several = True

    states: ClassVar[tuple[str, ...]] = ("h",)
    """The names of the states."""

    gates: ClassVar[int] = 1
    """The number of gates. Each gate has one row of the weights per hidden unit."""

    _one_bias: ClassVar[bool] = True
    """Whether the cell uses only ``from_x + from_h``, so that both biases are added to `from_x`."""

    cell: Cell

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        *,
        bias: bool = True,
        bidirectional: bool = False,
        dropout: float = 0.0,
        output: str = "all",
        return_state: bool = False,
        init: Initializer | None = None,
        bias_init: Initializer | None = None,
    ) -> None:
        self.input_size = whole("input_size", input_size, least=1)
        self.hidden_size = whole("hidden_size", hidden_size, least=1)
        self.num_layers = whole("num_layers", num_layers, least=1)
        self.bidirectional = flag("bidirectional", bidirectional)
        self.dropout = below_one("dropout", dropout)
        self._dropout = Dropout(dropout)
        self.output = one_of("all", "last")("output", output)
        self.return_state = flag("return_state", return_state)
        bound = 1.0 / math.sqrt(self.hidden_size)
        init = initializers.uniform(-bound, bound) if init is None else init
        self._suffixes = [
            self._make(layer, direction, flag("bias", bias), init, bias_init)
            for layer in range(self.num_layers)
            for direction in self._directions
        ]

    @property
    def _directions(self) -> tuple[str, ...]:
        """The suffix of the parameter names for each direction."""
        return ("", "_reverse") if self.bidirectional else ("",)

    def _make(
        self,
        layer: int,
        direction: str,
        bias: bool,
        init: Initializer,
        bias_init: Initializer | None,
    ) -> str:
        """Create the parameters of one layer in one direction, and return their suffix."""
        suffix = f"_l{layer}{direction}"
        rows, hidden = self.gates * self.hidden_size, self.hidden_size
        inputs = self.input_size if layer == 0 else hidden * len(self._directions)
        setattr(self, f"weight_ih{suffix}", Parameter((rows, inputs), init=init))
        setattr(self, f"weight_hh{suffix}", Parameter((rows, hidden), init=init))
        for name in ("bias_ih", "bias_hh"):
            start = self._bias_init(name, bias_init)
            made = Parameter((rows,), init=start, decay=False) if bias else None
            setattr(self, f"{name}{suffix}", made)
        return suffix

    def _bias_init(self, name: str, init: Initializer | None) -> Initializer | None:
        """Return the initializer of a bias."""
        return init

    def forward(self, x: Arrays, *, training: bool = False) -> tuple[Arrays, Backward]:
        given, xp, width = x, self.xp, len(self._directions)
        x, lengths, before = self._inputs(x)
        mask = None
        if lengths is not None:
            mask = present(self, x, lengths)[:, :, None]
            x = xp.where(mask, x, 0.0)  # NaN in the padding would spread through products
            mask = _swapped(xp, mask)
        y, after, backs = _swapped(xp, x), list[States](), []
        for layer in range(self.num_layers):
            here = slice(layer * width, (layer + 1) * width)
            y, final, back = self._layer(self._suffixes[here], y, before[here], mask, training)
            after += final
            backs.append((here, back))
        if self.output == "all":
            result = _swapped(xp, y)
        else:
            result = xp.concat([states[0] for states in after[-width:]], axis=1)
        outputs: Arrays = result
        if self.return_state:
            outputs = WithStates((result, *self._stacked(after)))
        elif lengths is not None and self.output == "all":
            outputs = Padded(result, lengths)
        shape = shape_of(outputs)

        def backward(dy: Arrays, input_gradient: bool = True) -> Arrays | None:
            if not fits(dy, shape):
                raise ShapeError(
                    f"{self._label()}: expected a gradient of shape {shape}, found {shape_of(dy)}"
                )
            dresult, *others = dy if several(outputs) else (dy,)
            dfinal = others if self.return_state else [None for _ in self.states]
            dafter = self._by_direction(dfinal, x)
            dy = None
            if dresult is not None and self.output == "all":
                dy = _swapped(xp, dresult)
            elif dresult is not None:
                for states, part in zip(dafter[-width:], _parts(dresult, width), strict=True):
                    states[0] = states[0] + part
            dbefore = list[States]()
            for here, back in reversed(backs):
                dy, dfirst = back(dy, dafter[here], input_gradient or here.start > 0)
                dbefore = [*dfirst, *dbefore]
            if not input_gradient:
                return None
            return self._in_the_form_of(given, _swapped(xp, dy), dbefore)

        return outputs, backward

    def check_input(self, x: Arrays) -> None:
        inputs = self._by_name(x)
        if "lengths" in inputs:
            present(self, inputs["x"], inputs["lengths"])

    def _layer(
        self,
        suffixes: Sequence[str],
        x: Array,
        before: Sequence[States],
        mask: Array | None,
        training: bool,
    ) -> tuple[Array, list[States], Callable[..., Any]]:
        """Apply one layer in each direction. The outputs of both directions are concatenated.

        `x` has time as its first axis, here and in the following methods.
        """
        is_first = suffixes[0] == self._suffixes[0]
        x, back_through_dropout = self._dropout.forward(x, training=training and not is_first)
        pairs = zip(suffixes, before, strict=True)
        swept = [self._direction(suffix, x, states, mask) for suffix, states in pairs]
        outputs = [y for y, _, _ in swept]
        y = outputs[0] if len(suffixes) == 1 else self.xp.concat(outputs, axis=2)

        def backward(
            dy: Array | None, dafter: Sequence[States], input_gradient: bool
        ) -> tuple[Array | None, list[States]]:
            dys = [None for _ in suffixes] if dy is None else _parts(dy, len(suffixes))
            triples = zip(swept, dys, dafter, strict=True)
            results = [back(dy, d, input_gradient) for (_, _, back), dy, d in triples]
            dbefore = [d for _, d in results]
            if not input_gradient:
                return None, dbefore
            dxs = [dx for dx, _ in results]
            return back_through_dropout(sum(dxs[1:], dxs[0])), dbefore

        return y, [states for _, states, _ in swept], backward

    def _direction(
        self, suffix: str, x: Array, states: States, mask: Array | None
    ) -> tuple[Array, States, Callable[..., Any]]:
        """Apply the cell to all steps in one direction. The matrix products are computed here.

        Returns
        -------
        y : array
            ``(time, batch, hidden)``, the state `h` after each step, or 0 in the padding.
        states : tuple of array
            The states after the last step.
        backward : callable
            ``backward(dy, dstates, input_gradient)`` returns `dx`, and the gradients with respect
            to the states before the first step.
        """
        xp, matmul = self.xp, self.backend.matmul
        weight_ih, weight_hh, bias_ih, bias_hh = self._parameters_of(suffix)
        time, batch, features = x.shape
        x = xp.reshape(x, (time * batch, features))
        from_x = matmul(x, weight_ih.value.T)  # one product for all steps
        if bias_ih is not None:
            from_x += bias_ih.value + bias_hh.value if self._one_bias else bias_ih.value
        from_x = xp.reshape(from_x, (time, batch, -1))
        backwards = suffix.endswith("reverse")
        h = xp.empty((time + 1, batch, self.hidden_size), dtype=x.dtype, device=x.device)
        h[-1 if backwards else 0, ...] = states[0]
        y, h_before = (h[:-1, ...], h[1:, ...]) if backwards else (h[1:, ...], h[:-1, ...])
        after, back_through_steps = self._steps(suffix, from_x, y, states, mask, backwards)

        def backward(
            dy: Array | None, dstates: States, input_gradient: bool
        ) -> tuple[Array | None, States]:
            dsums, dstates = back_through_steps(dy, dstates)
            d_from_x, d_from_h = dsums[0], dsums[-1]
            weight_ih.add_grad_matmul(d_from_x.T, x)
            weight_hh.add_grad_matmul(d_from_h.T, xp.reshape(h_before, (time * batch, -1)))
            if bias_ih is not None:
                totals = [self.backend.kernel(sum_over_batch)(d) for d in dsums]
                bias_ih.add_grad(totals[0])
                bias_hh.add_grad(totals[-1])
            if not input_gradient:
                return None, dstates
            dx = matmul(d_from_x, weight_ih.value)
            return xp.reshape(dx, (time, batch, features)), dstates

        return y if mask is None else xp.where(mask, y, 0.0), after, backward

    def _steps(
        self,
        suffix: str,
        from_x: Array,
        y: Array,
        states: States,
        mask: Array | None,
        backwards: bool,
    ) -> tuple[States, Callable[..., Any]]:
        """Apply the cell step by step. The backward pass goes through the steps in reverse order.

        A sequence keeps its states in the padding, so a sequence that is read backwards starts at
        its own end. The state `h` after each step is written to `y`, even in the padding.
        """
        xp, matmul, cell = self.xp, self.backend.matmul, self.backend.kernel(self.cell)
        _, weight_hh, _, bias_hh = self._parameters_of(suffix)
        weight = weight_hh.value
        time, batch, _ = from_x.shape

        def chosen(t: int, new: Iterable[Array], old: Iterable[Array]) -> States:
            if mask is None:
                return tuple(new)
            return tuple(map(partial(xp.where, mask[t, ...]), new, old))

        taken = []
        for t in range(time)[:: -1 if backwards else 1]:
            from_h = matmul(states[0], weight.T)
            if bias_hh is not None and not self._one_bias:
                from_h += bias_hh.value
            new, back = cell(from_x[t, ...], from_h, *states)
            states = chosen(t, new, states)
            y[t, ...] = states[0]
            taken.append((t, back))

        def backward(dy: Array | None, dstates: States) -> tuple[list[Array], States]:
            if dy is not None and mask is not None:
                dy = xp.where(mask, dy, 0.0)
            dsums = [xp.empty_like(from_x) for _ in range(1 if self._one_bias else 2)]
            for t, back in reversed(taken):
                if dy is not None:
                    dstates = dstates[0] + dy[t, ...], *dstates[1:]
                da = [d[t, ...] for d in dsums]
                dh, *others = back(*da, *dstates)
                if mask is not None:
                    for d in da:
                        d[...] = xp.where(mask[t, ...], d, 0.0)
                through = matmul(da[-1], weight)
                dstates = chosen(t, (through if dh is None else through + dh, *others), dstates)
            return [xp.reshape(d, (time * batch, -1)) for d in dsums], dstates

        return states, backward

    def _parameters_of(self, suffix: str) -> list[Any]:
        names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        return [getattr(self, f"{name}{suffix}") for name in names]

    def _inputs(self, given: Arrays) -> tuple[Array, Array | None, list[States]]:
        """Check the input. Return `x`, the lengths or None, and the states of each direction."""
        inputs = self._by_name(given)
        x = inputs["x"]
        right = x.ndim == 3 and x.shape[2] == self.input_size and min(x.shape) > 0
        self.expect(right, ("batch", "time", self.input_size), x)
        self._expect_floats(x)
        states = [inputs.get(name) for name in self.states]
        for name, state in zip(self.states, states, strict=True):
            if state is not None:
                self._check_state(name, state, x)
        return x, inputs.get("lengths"), self._by_direction(states, x)

    def _by_name(self, given: Arrays) -> dict[str, Array]:
        """Return the inputs as a dict, for any form of the input."""
        if isinstance(given, tuple):
            if len(given) != 2:
                raise ShapeError(
                    f"{self._label()}: expected (x, lengths), found a tuple of {len(given)} arrays"
                )
            return dict(zip(("x", "lengths"), given, strict=True))
        inputs = given if isinstance(given, dict) else {"x": given}
        unknown = inputs.keys() - {"x", "lengths", *self.states}
        if unknown or "x" not in inputs:
            known = ", ".join(map(repr, ("x", "lengths", *self.states)))
            raise DataError(
                f"{self._label()}: expected inputs named {known}, of which only 'x' is required, "
                f"found {', '.join(map(repr, inputs))}"
            )
        states = [name for name in self.states if name in inputs]
        if states and len(states) < len(self.states):
            raise DataError(
                f"{self._label()}: expected all states or none, {', '.join(map(repr, self.states))}"
                f", found only {states[0]!r}"
            )
        return inputs

    def _check_state(self, name: str, state: Array, x: Array) -> None:
        """Raise an error if an initial state does not fit the sequences `x`."""
        expected = x.shape[0], len(self._suffixes), self.hidden_size
        if tuple(state.shape) != expected:
            raise ShapeError(
                f"{self._label()}: expected the state {name!r} of shape {expected} (batch, layers "
                f"and directions, hidden_size), found {tuple(state.shape)}"
            )
        self._expect_floats(state)
        if state.dtype != x.dtype:
            raise TypeError(
                f"{self._label()}: expected the state {name!r} in the dtype of x, {x.dtype}, found "
                f"{state.dtype}"
            )

    def _by_direction(self, states: Sequence[Array | None], x: Array) -> list[Any]:
        """Divide states into a list for each direction of each layer. None stands for 0.

        The shape of the states is ``(batch, layers and directions, hidden)``.
        """
        zeros = self.xp.zeros((x.shape[0], self.hidden_size), dtype=x.dtype, device=x.device)
        return [
            [zeros if state is None else state[:, i, :] for state in states]
            for i in range(len(self._suffixes))
        ]

    def _stacked(self, states: Sequence[States]) -> list[Array]:
        """Join the states of all layers and directions (see `_by_direction`)."""
        return [self.xp.stack(of_all, axis=1) for of_all in zip(*states, strict=True)]

    def _in_the_form_of(self, given: Arrays, dx: Array, dbefore: Sequence[States]) -> Arrays:
        """Return the gradient in the same form as the input."""
        if isinstance(given, tuple):
            return dx, None
        if not isinstance(given, dict):
            return dx
        found = {"x": dx, "lengths": None}
        found |= dict(zip(self.states, self._stacked(dbefore), strict=True))
        return {name: found[name] for name in given}


def _swapped(xp: Any, x: Array) -> Array:
    """Swap the axes of batch and time."""
    return xp.permute_dims(x, (1, 0, 2))


def _parts(x: Array, count: int) -> list[Array]:
    """Divide the last axis into equal parts."""
    width = x.shape[-1] // count
    return [x[..., i * width : (i + 1) * width] for i in range(count)]
