"""Errors for arguments that `Trainer` or `Trainer.fit` does not have."""

from __future__ import annotations

from collections.abc import Callable
from inspect import signature
from typing import Any

from ..checks import no_argument

_HINTS = {
    "validation_split": "split the data, for instance with "
    "sklearn.model_selection.train_test_split, and pass validation_data=(x_val, y_val)",
    "class_weight": "pass the weights to the loss, as in cr.CrossEntropyLoss(weight=[1.0, 5.0])",
    "learning_rate": "pass the learning rate to the optimizer, as in cr.Adam(lr=1e-3)",
    "lr": "pass the learning rate to the optimizer, as in cr.Adam(lr=1e-3)",
}


def unknown_argument(
    name: str, function: Callable[..., Any], other: Callable[..., Any]
) -> TypeError:
    """Return the error for an argument that `function` does not have. `other` may have it."""
    known, others = (
        [p.name for p in signature(f).parameters.values() if p.kind is not p.VAR_KEYWORD]
        for f in (function, other)
    )
    hint = _HINTS.get(name)
    if name in others:
        hint = f"pass it to {other.__name__}"
    if hint is None:
        return no_argument(function.__name__, name, known)
    return TypeError(f"{function.__name__} has no argument {name!r}: {hint}")
