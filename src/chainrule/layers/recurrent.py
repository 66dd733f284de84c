"""Recurrent layers, which differ in their cells."""

from __future__ import annotations

from functools import partial

import numpy as np

from .. import initializers
from ..cells import gru_cell, lstm_cell, relu_cell, tanh_cell
from ..checks import finite, one_of
from ..initializers import Initializer
from .recurrence import Recurrent


class RNN(Recurrent):
    """Recurrent layer with one gate, ``h = tanh(W_ih x + b_ih + W_hh h + b_hh)``.

    Source: J. Elman, "Finding structure in time", 1990.

    Parameters
    ----------
    input_size : int
        The number of features of ``x``, ``(batch, time, input_size)``. The input may also be padded
        sequences or contain states (see Notes).
    hidden_size : int
        The number of hidden units.
    num_layers : int, optional
        The number of layers. The input of each layer is the states of the previous layer.
    nonlinearity : {"tanh", "relu"}, optional
        The activation function.
    bias : bool, optional
        Whether to add biases.
    bidirectional : bool, optional
        Whether a second cell reads each sequence from its end to its beginning. The outputs of
        both directions are concatenated.
    dropout : float, optional
        The probability that an element is set to zero between two layers in training. There is no
        dropout after the last layer, so a single layer has none.
    output : {"all", "last"}, optional
        Whether to return the states of the last layer at all steps, ``(batch, time, hidden)``, or
        the last state only, ``(batch, hidden)``. With two directions, `hidden` is twice
        `hidden_size`: first the state of the forward direction, then the state of the backward
        direction.
    return_state : bool, optional
        Whether to return ``(output, h)`` with the last states of all layers and directions,
        ``(batch, num_layers * directions, hidden_size)``. The order is that of the parameters: both
        directions of the first layer, then those of the second layer.
    init : initializer, optional
        Initializer of the weights. By default, they are uniformly distributed between
        ``-1 / sqrt(hidden_size)`` and ``1 / sqrt(hidden_size)``.
    bias_init : initializer, optional
        Initializer of both biases, which are added. By default, the biases start at zero, unlike in
        PyTorch.

    Raises
    ------
    ShapeError
        In `forward`, if a shape does not fit.
    DataError
        In `forward`, if a length in host memory is below 1 or above the number of steps, or if an
        input has an unknown name.
    TypeError
        In `forward`, if the sequences or the states are integers.

    Notes
    -----
    For sequences of unequal length, the input is ``(x, lengths)`` with the padding on the right.
    Each sequence then ends at its own length, and its output is 0 in the padding. With
    ``output="all"``, the result is ``(output, lengths)``, so that the next layer knows the padding.
    With ``return_state=True``, the result has no lengths.

    By default, the initial states are 0. To pass other states, use a dict such as
    ``{"x": x, "h": h}``, which may also contain ``"lengths"``. To continue a sequence, pass the `h`
    that ``return_state=True`` returned. In a model, layers that treat each step separately, such as
    `Embedding` and `Linear`, pass the states on.

    The parameters have PyTorch's names, such as ``weight_ih_l0``. Unlike in PyTorch, the batch is
    always the first axis, even of the states. As in PyTorch, the product with the input is computed
    for all steps at once. Only the product with the state is computed step by step.

    Examples
    --------
    >>> y, backward = cr.RNN(3, 4).forward(np.ones((2, 5, 3), dtype="float32"))
    >>> y.shape, backward(y).shape
    ((2, 5, 4), (2, 5, 3))
    >>> last = cr.RNN(3, 4, output="last")
    >>> last.forward((np.ones((2, 5, 3), dtype="float32"), np.asarray([5, 2])))[0].shape
    (2, 4)
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        *,
        bias: bool = True,
        bidirectional: bool = False,
        dropout: float = 0.0,
        output: str = "all",
        return_state: bool = False,
        init: Initializer | None = None,
        bias_init: Initializer | None = None,
    ) -> None:
        self.nonlinearity = one_of("tanh", "relu")("nonlinearity", nonlinearity)
        self.cell = tanh_cell if nonlinearity == "tanh" else relu_cell
        super().__init__(
            input_size,
            hidden_size,
            num_layers,
            bias=bias,
            bidirectional=bidirectional,
            dropout=dropout,
            output=output,
            return_state=return_state,
            init=init,
            bias_init=bias_init,
        )


class LSTM(Recurrent):
    """Long short-term memory: a recurrent layer whose cell keeps a memory ``c``.

    With the gates ``i f g o``, each a row block of the weights, and ``a = W_ih x + b_ih + W_hh h +
    b_hh``::

        i, f, o = sigmoid(a_i), sigmoid(a_f), sigmoid(a_o)
        g = tanh(a_g)
        c = f * c + i * g
        h = o * tanh(c)

    Parameters
    ----------
    input_size, hidden_size, num_layers, bias, bidirectional, dropout, output, init, bias_init
        See `RNN`.
    return_state : bool, optional
        Whether to return ``(output, h, c)``. See `RNN`. If the input is a dict, it must contain
        both states or neither.
    forget_bias : float, optional
        A number that is added to the initial bias of the forget gate `f`. With the default of 1,
        the cell keeps most of its memory at the beginning of training. PyTorch adds nothing.
        Without biases, this number has no effect.

    Notes
    -----
    Sources: S. Hochreiter and J. Schmidhuber, "Long short-term memory", 1997; R. Jozefowicz et al.,
    "An empirical exploration of recurrent network architectures", 2015, on the forget gate's bias.

    Examples
    --------
    >>> y, _ = cr.LSTM(3, 4, bidirectional=True).forward(np.ones((2, 5, 3), dtype="float32"))
    >>> y.shape
    (2, 5, 8)
    """

    states = ("h", "c")
    gates = 4
    cell = staticmethod(lstm_cell)

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        *,
        bias: bool = True,
        forget_bias: float = 1.0,
        bidirectional: bool = False,
        dropout: float = 0.0,
        output: str = "all",
        return_state: bool = False,
        init: Initializer | None = None,
        bias_init: Initializer | None = None,
    ) -> None:
        self.forget_bias = finite("forget_bias", forget_bias)
        super().__init__(
            input_size,
            hidden_size,
            num_layers,
            bias=bias,
            bidirectional=bidirectional,
            dropout=dropout,
            output=output,
            return_state=return_state,
            init=init,
            bias_init=bias_init,
        )

    def _bias_init(self, name: str, init: Initializer | None) -> Initializer | None:
        if name != "bias_ih" or self.forget_bias == 0.0:
            return init
        return partial(_with_forget_bias, init or initializers.zeros(), self.forget_bias)


class GRU(Recurrent):
    """Gated recurrent unit: a recurrent layer with two gates and no separate memory.

    With the gates ``r z n``, each a row block of the weights, ``a = W_ih x + b_ih`` and ``b = W_hh
    h + b_hh``::

        r, z = sigmoid(a_r + b_r), sigmoid(a_z + b_z)
        n = tanh(a_n + r * b_n)
        h = (1 - z) * n + z * h

    Source: K. Cho et al., "Learning phrase representations using RNN encoder-decoder for
    statistical machine translation", 2014.

    Parameters
    ----------
    input_size, hidden_size, num_layers, bias, bidirectional, dropout, output, return_state
        See `RNN`.
    init, bias_init
        See `RNN`.

    Examples
    --------
    >>> y, _ = cr.GRU(3, 4, num_layers=2).forward(np.ones((2, 5, 3), dtype="float32"))
    >>> y.shape
    (2, 5, 4)
    """

    gates = 3
    _one_bias = False
    cell = staticmethod(gru_cell)


def _with_forget_bias(
    init: Initializer, forget_bias: float, rng: np.random.Generator, shape: tuple[int, ...]
) -> np.ndarray:
    """Draw the initial bias of an LSTM, and add a number to gate `f`, the second of four gates."""
    values = np.array(init(rng, shape))
    values[shape[0] // 4 : shape[0] // 2] += forget_bias
    return values
