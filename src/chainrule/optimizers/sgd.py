"""Gradient descent."""

from __future__ import annotations

from typing import Any

from ..checks import Checked, below_one, flag
from ..types import Array, LearningRates, Rule
from .base import Optimizer
from .options import same_each_step


class SGD(Optimizer):
    """Stochastic gradient descent, ``value -= lr * grad``, with optional momentum.

    With momentum, each step first computes ``velocity = momentum * velocity + grad`` and then
    ``value -= lr * velocity``. With Nesterov's correction, the second formula is
    ``value -= lr * (grad + momentum * velocity)``.

    Source: I. Sutskever et al., "On the importance of initialization and momentum in deep
    learning", 2013. As in PyTorch, the velocity does not contain the learning rate.

    Parameters
    ----------
    lr : float, callable or dict
        The learning rate. See `Optimizer` for this and the other options.
    momentum : float, optional
        The decay rate of the velocity, 0 <= momentum < 1. If it is 0, there is no velocity vector.
    nesterov : bool, optional
        Whether to use Nesterov's correction, which needs a momentum above 0.

    Examples
    --------
    >>> model = cr.mlp([1, 1])  # its bias starts at 0
    >>> optimizer = cr.SGD(lr=0.1, momentum=0.9).bind(model)
    >>> for _ in range(3):  # three steps with the same gradient
    ...     model[0].bias.add_grad(np.asarray([1.0], dtype="float32"))
    ...     optimizer.step()
    ...     print(np.round(model[0].bias.value, 4))
    [-0.1]
    [-0.29]
    [-0.561]
    """

    momentum = Checked(below_one)
    nesterov = Checked(flag)

    def __init__(
        self, lr: LearningRates, *, momentum: float = 0.0, nesterov: bool = False, **options: Any
    ) -> None:
        super().__init__(lr, **options)
        self.momentum = momentum
        self.nesterov = nesterov
        if nesterov and momentum == 0.0:
            raise ValueError("nesterov=True needs a momentum above 0")

    @property
    def slots(self) -> tuple[str, ...]:  # type: ignore[override]
        return ("velocity",) if self.momentum else ()

    @property
    def structure(self) -> tuple[Any, ...]:
        return *super().structure, self.nesterov

    def rule(self, xp: Any) -> Rule:
        if not self.momentum:
            return self._plain
        return self._nesterov if self.nesterov else self._heavy_ball

    @staticmethod
    def _plain(value: Array, grad: Array, lr: Array) -> tuple[Array, ...]:
        return (value - lr * grad,)

    @staticmethod
    def _heavy_ball(
        value: Array, velocity: Array, grad: Array, lr: Array, momentum: Array
    ) -> tuple[Array, ...]:
        velocity = momentum * velocity + grad
        return value - lr * velocity, velocity

    @staticmethod
    def _nesterov(
        value: Array, velocity: Array, grad: Array, lr: Array, momentum: Array
    ) -> tuple[Array, ...]:
        velocity = momentum * velocity + grad
        return value - lr * (grad + momentum * velocity), velocity

    @same_each_step
    def scalars(self, lr: float, step: int) -> tuple[float, ...]:
        return (lr, self.momentum) if self.momentum else (lr,)
