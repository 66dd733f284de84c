"""The weights of a model under scikit-learn's names."""

from __future__ import annotations

from typing import Any

from sklearn.base import BaseEstimator

from ..layers import Sequential
from ..parameter import Parameter
from .network import linear_layers


class ShownWeights(BaseEstimator):  # type: ignore[misc]
    """Base class with `coefs_` and `intercepts_`, two lists of views into the weights.

    Weights have shape ``(in, out)``, and biases ``(out,)``. Writing to a view changes the model.
    Replacing a view with another array also changes the model.
    """

    def _show_weights(self) -> None:
        weights, biases = _parameters(self.model_)
        self._shown = [p.value.T for p in weights], [p.value for p in biases]
        self.coefs_, self.intercepts_ = map(list, self._shown)

    def _model(self) -> Sequential:
        """Return the model, after copying any array that has replaced a view into the model."""
        model: Sequential = self.model_
        changed = False
        shown = zip(("coefs_", "intercepts_"), _parameters(model), self._shown, strict=True)
        for name, parameters, views in shown:
            arrays = getattr(self, name)
            if len(arrays) != len(views):
                raise ValueError(f"expected {len(views)} arrays in {name}, found {len(arrays)}")
            for p, array, view in zip(parameters, arrays, views, strict=True):
                if array is not view:
                    _put(p, model.backend.asarray(array, dtype=model.state.dtype))
                    changed = True
        if changed:
            self._show_weights()
        return model

    def __getstate__(self) -> dict[str, Any]:
        """Omit the views, because `__setstate__` creates new views."""
        state: dict[str, Any] = super().__getstate__()
        if hasattr(self, "model_"):
            self._model()
            state = {k: v for k, v in state.items() if k not in _VIEWS}
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        if hasattr(self, "model_"):
            self._show_weights()


_VIEWS = ("_shown", "coefs_", "intercepts_")


def _parameters(model: Sequential) -> tuple[list[Parameter], list[Parameter]]:
    layers = linear_layers(model)
    return [layer.weight for layer in layers], [layer.bias for layer in layers if layer.bias]


def _put(parameter: Parameter, array: Any) -> None:
    expected, found = parameter.shape[::-1], tuple(array.shape)
    if found != expected:
        raise ValueError(f"expected weights of shape {expected}, found {found}")
    parameter.value[...] = array.T if array.ndim == 2 else array
