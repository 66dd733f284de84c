"""Dropout, with the same masks on every backend."""

from __future__ import annotations

from ..checks import Checked, below_one
from ..formulas import masked
from ..masks import keep_mask
from ..types import Array, Backward
from .base import Layer


class Dropout(Layer):
    """In training, sets each element to zero with probability `p` and scales up all others.

    In training, ``y = x * mask / (1 - p)``, so that the expected value of ``y`` is ``x``. In
    inference, ``y = x``. Each element of the mask is a hash of the seed, the number of the mask and
    the index of the element. So every backend computes exactly the same masks, without a random
    generator.

    Source: N. Srivastava et al., "Dropout: a simple way to prevent neural networks from
    overfitting", 2014.

    Parameters
    ----------
    p : float
        The probability that an element is set to zero, 0 <= p < 1.
    """

    keeps_arguments = True
    p = Checked(below_one)

    def __init__(self, p: float = 0.5) -> None:
        self.p = p

    def forward(self, x: Array, *, training: bool = False) -> tuple[Array, Backward]:
        if not training or self.p == 0.0:
            return x, lambda dy: dy
        state, kernel = self.state, self.backend.kernel
        kept = kernel(keep_mask)(x.shape, 1.0 - self.p, state.next_key(), x.device)
        factor = 1.0 / (1.0 - self.p)
        return kernel(masked)(x, kept, factor), lambda dy: kernel(masked)(dy, kept, factor)
