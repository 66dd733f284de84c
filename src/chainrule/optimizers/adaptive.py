"""Optimizers that divide the gradient by the root of past squared gradients."""

from __future__ import annotations

from functools import cache
from typing import Any

from ..checks import Checked, at_least_zero, below_one
from ..model_state import ModelState
from ..types import Array, LearningRates, Rule
from .base import Optimizer
from .options import same_each_step


class RMSprop(Optimizer):
    """RMSprop: steps along the gradient, divided by the root of the mean squared gradient.

    At each step: ``square = alpha * square + (1 - alpha) * grad^2``;
    ``value -= lr * grad / (sqrt(square) + eps)``.

    Source: G. Hinton, "Neural networks for machine learning", lecture 6e, 2012.

    Parameters
    ----------
    lr : float, callable or dict, optional
        The learning rate. See `Optimizer` for this and the other options.
    alpha : float, optional
        The decay rate of ``square``.
    eps : float, optional
        A small number that avoids a division by zero.

    Examples
    --------
    >>> model = cr.mlp([1, 1])  # its bias starts at 0
    >>> optimizer = cr.RMSprop(lr=0.1).bind(model)
    >>> for _ in range(3):  # three steps with the same gradient
    ...     model[0].bias.add_grad(np.asarray([1.0], dtype="float32"))
    ...     optimizer.step()
    ...     print(np.round(model[0].bias.value, 4))
    [-1.]
    [-1.7089]
    [-2.2891]
    """

    slots = ("square",)
    squares_gradients = True
    alpha = Checked(below_one)
    eps = Checked(at_least_zero)

    def __init__(
        self, lr: LearningRates = 1e-2, *, alpha: float = 0.99, eps: float = 1e-8, **options: Any
    ) -> None:
        super().__init__(lr, **options)
        self.alpha = alpha
        self.eps = eps

    @staticmethod
    @cache
    def rule(xp: Any) -> Rule:
        sqrt = xp.sqrt

        def rmsprop(
            value: Array, square: Array, grad: Array, lr: Array, keep: Array, new: Array, eps: Array
        ) -> tuple[Array, ...]:
            square = keep * square + new * grad * grad  # grad * grad alone could overflow
            return value - lr * grad / (sqrt(square) + eps), square

        return rmsprop

    @same_each_step
    def scalars(self, lr: float, step: int) -> tuple[float, ...]:
        return lr, self.alpha, 1.0 - self.alpha, self.eps


class Adagrad(Optimizer):
    """Adagrad: steps along the gradient, divided by the root of the sum of squared gradients.

    At each step: ``total += grad^2``; ``value -= lr * grad / (sqrt(total) + eps)``.

    Source: J. Duchi et al., "Adaptive subgradient methods for online learning and stochastic
    optimization", 2011.

    Parameters
    ----------
    lr : float, callable or dict, optional
        The learning rate. See `Optimizer` for this and the other options.
    initial_accumulator_value : float, optional
        The initial value of ``total``.
    eps : float, optional
        A small number that avoids a division by zero.

    Examples
    --------
    >>> model = cr.mlp([1, 1])  # its bias starts at 0
    >>> optimizer = cr.Adagrad(lr=0.1).bind(model)
    >>> for _ in range(3):  # three steps with the same gradient
    ...     model[0].bias.add_grad(np.asarray([1.0], dtype="float32"))
    ...     optimizer.step()
    ...     print(np.round(model[0].bias.value, 4))
    [-0.1]
    [-0.1707]
    [-0.2284]
    """

    slots = ("total",)
    squares_gradients = True
    initial_accumulator_value = Checked(at_least_zero)
    eps = Checked(at_least_zero)

    def __init__(
        self,
        lr: LearningRates = 1e-2,
        *,
        initial_accumulator_value: float = 0.0,
        eps: float = 1e-10,
        **options: Any,
    ) -> None:
        super().__init__(lr, **options)
        self.initial_accumulator_value = initial_accumulator_value
        self.eps = eps

    def _initial(self, name: str, state: ModelState) -> Array:
        return state.backend.xp.full_like(state.values, self.initial_accumulator_value)

    @staticmethod
    @cache
    def rule(xp: Any) -> Rule:
        sqrt = xp.sqrt

        def adagrad(
            value: Array, total: Array, grad: Array, lr: Array, eps: Array
        ) -> tuple[Array, ...]:
            total = total + grad * grad
            return value - lr * grad / (sqrt(total) + eps), total

        return adagrad

    @same_each_step
    def scalars(self, lr: float, step: int) -> tuple[float, ...]:
        return lr, self.eps
