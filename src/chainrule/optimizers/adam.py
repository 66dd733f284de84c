"""Adam and AdamW."""

from __future__ import annotations

from functools import cache
from typing import Any

from ..checks import Checked, at_least_zero, below_one
from ..errors import shown
from ..types import Array, LearningRates, Rule
from .base import Optimizer
from .options import of_arrays


def _betas(name: str, betas: Any) -> tuple[float, float]:
    if not isinstance(betas, tuple | list) or len(betas) != 2:
        raise TypeError(f"expected {name} to be a pair of numbers, found {shown(betas)}")
    first, second = betas
    return below_one(f"{name}[0]", first), below_one(f"{name}[1]", second)


class Adam(Optimizer):
    """Adam: steps along the mean gradient, divided by the root of the mean squared gradient.

    At step t: ``mean = b1 * mean + (1 - b1) * grad``; ``square = b2 * square + (1 - b2) * grad^2``;
    ``value -= lr * mean / (1 - b1^t) / (sqrt(square / (1 - b2^t)) + eps)``. ``mean`` and ``square``
    start at zero, which makes them too small at first. The factors ``1 - b1^t`` and ``1 - b2^t``
    correct this bias.

    Source: D. Kingma and J. Ba, "Adam: a method for stochastic optimization", 2015.

    Parameters
    ----------
    lr : float, callable or dict, optional
        The learning rate. See `Optimizer` for this and the other options.
    betas : tuple of float, optional
        The decay rates: ``b1`` for ``mean``, and ``b2`` for ``square``.
    eps : float, optional
        A small number that avoids a division by zero.

    Examples
    --------
    >>> model = cr.mlp([1, 1])  # its bias starts at 0
    >>> optimizer = cr.Adam(lr=0.1).bind(model)
    >>> for _ in range(3):  # three steps with the same gradient
    ...     model[0].bias.add_grad(np.asarray([100.0], dtype="float32"))
    ...     optimizer.step()
    ...     print(np.round(model[0].bias.value, 4))
    [-0.1]
    [-0.2]
    [-0.3]
    """

    slots = ("mean", "square")
    squares_gradients = True
    betas = Checked(_betas)
    eps = Checked(at_least_zero)

    def __init__(
        self,
        lr: LearningRates = 1e-3,
        *,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        **options: Any,
    ) -> None:
        super().__init__(lr, **options)
        self.betas = betas
        self.eps = eps

    @staticmethod
    @cache
    def rule(xp: Any) -> Rule:
        sqrt = xp.sqrt

        def adam(
            value: Array,
            mean: Array,
            square: Array,
            grad: Array,
            rate: Array,
            unbias: Array,
            b1: Array,
            new1: Array,
            b2: Array,
            new2: Array,
            eps: Array,
        ) -> tuple[Array, ...]:
            mean = b1 * mean + new1 * grad
            square = b2 * square + new2 * grad * grad  # grad * grad alone could overflow
            return value - rate * mean / (unbias * sqrt(square) + eps), mean, square

        return adam

    @of_arrays
    def scalars(self, lr: float, step: int) -> tuple[float, ...]:
        b1, b2 = self.betas
        rate, unbias = lr / (1.0 - b1**step), (1.0 - b2**step) ** -0.5
        return rate, unbias, b1, 1.0 - b1, b2, 1.0 - b2, self.eps


class AdamW(Adam):
    """`Adam` with decoupled weight decay: each step starts with ``value *= 1 - lr * weight_decay``.

    Source: I. Loshchilov and F. Hutter, "Decoupled weight decay regularization", 2019. As in
    PyTorch, the weight decay is multiplied by the learning rate.

    Parameters
    ----------
    lr : float, callable or dict, optional
        The learning rate. See `Adam` for the other options.
    weight_decay : float, optional
        At each step, all values shrink by the fraction ``lr * weight_decay``.

    Examples
    --------
    >>> model = cr.Sequential(cr.Linear(1, 1, init=cr.initializers.constant(1.0)))
    >>> optimizer = cr.AdamW(lr=0.1, weight_decay=0.5).bind(model)
    >>> optimizer.step()  # the gradient is 0, so only the decay changes the weight
    >>> model[0].weight.value
    array([[0.95]], dtype=float32)
    """

    decoupled_decay = True

    def __init__(
        self, lr: LearningRates = 1e-3, *, weight_decay: float = 1e-2, **options: Any
    ) -> None:
        super().__init__(lr, weight_decay=weight_decay, **options)
