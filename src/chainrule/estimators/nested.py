"""Hyperparameters of the optimizer as parameters of the estimator."""

from __future__ import annotations

from typing import Any, Self

from sklearn.base import BaseEstimator

from ..optimizers import Optimizer

_PREFIX = "optimizer__"


class OptimizerParameters(BaseEstimator):  # type: ignore[misc]
    """Base class with parameters such as ``optimizer__lr`` in `get_params` and `set_params`."""

    optimizer: Any

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return a dict from names to parameters.

        Parameters
        ----------
        deep : bool, optional
            Whether to include the hyperparameters of `optimizer`, such as ``optimizer__lr``.

        Returns
        -------
        dict
            The parameters.
        """
        parameters: dict[str, Any] = super().get_params(deep=deep)
        if deep and isinstance(self.optimizer, Optimizer):
            options = self.optimizer._options()
            parameters.update({_PREFIX + name: value for name, value in options.items()})
        return parameters

    def set_params(self, **parameters: Any) -> Self:
        """Set parameters. For example, ``optimizer__lr`` sets `lr` of the optimizer.

        The optimizer is replaced by a copy with the new values, so the original optimizer does not
        change.

        Parameters
        ----------
        **parameters
            New values.

        Returns
        -------
        self
            The estimator.

        Raises
        ------
        ValueError
            If a name is unknown, or if a name starts with ``optimizer__`` but `optimizer` is None.
        """
        names = [name for name in parameters if name.startswith(_PREFIX)]
        options = {name.removeprefix(_PREFIX): parameters.pop(name) for name in names}
        super().set_params(**parameters)
        if options:
            self.optimizer = self._changed_optimizer(options)
        return self

    def _changed_optimizer(self, options: dict[str, Any]) -> Optimizer:
        """Return a copy of the optimizer with new hyperparameters."""
        kind = type(self).__name__
        if not isinstance(self.optimizer, Optimizer):
            raise ValueError(
                f"expected {kind}(optimizer=...) with an optimizer such as cr.Adam() to set "
                f"{_PREFIX}{next(iter(options))}, found optimizer={self.optimizer!r}. The solver's "
                "own optimizer is set by learning_rate_init, momentum, beta_1 and so on"
            )
        optimizer = self.optimizer.copy()
        known = optimizer._options()
        for name, value in options.items():
            if name not in known:
                raise ValueError(
                    f"invalid parameter {_PREFIX + name!r} of {kind}: expected one of "
                    f"{', '.join(_PREFIX + other for other in known)}"
                )
            setattr(optimizer, name, value)
        return optimizer
