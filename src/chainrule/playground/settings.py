"""The settings of a training run, with their defaults and bounds.

All settings that a page sends pass through `checked`, and `described` tells the page the bounds.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from ..backends import available_backends
from ..errors import shown
from .sources import Source, available_sources

PLANE = 3.0
"""The page shows the plane from -PLANE to PLANE in both directions."""


Field = Mapping[str, Any]
"""The values that a setting can have, in a form that the page reads as JSON."""


def choice(*choices: Any) -> Field:
    """Return a field for one of several values."""
    return {"choices": choices}


def number(least: float, most: float) -> Field:
    """Return a field for a number within these bounds."""
    return {"least": least, "most": most, "whole": False}


def whole(least: int, most: int) -> Field:
    """Return a field for a whole number within these bounds."""
    return {"least": least, "most": most, "whole": True}


def several(item: Field, most: int) -> Field:
    """Return a field for a list of at most `most` values."""
    return {"item": item, "most": most}


def check(name: str, field: Field, value: Any) -> Any:
    """Return the value if it fits the field, with tuples instead of lists.

    Raises
    ------
    ValueError
        If the value does not fit the field.
    """
    size = len(value) if isinstance(value, list | tuple) else math.inf
    match field:
        case {"choices": choices}:
            if value in choices:
                return value
            expected = f"one of {', '.join(map(str, choices))}"
        case {"item": item, "most": most}:
            if size <= most:
                return tuple(check(name, item, part) for part in value)
            expected = f"a list of at most {most} values"
        case {"row": fields}:
            if size == len(fields):
                return tuple(check(name, part, x) for part, x in zip(fields, value, strict=True))
            expected = f"rows of {len(fields)} numbers"
        case {"least": least, "most": most, "whole": is_whole}:
            kinds = int if is_whole else (int, float)
            if isinstance(value, kinds) and not isinstance(value, bool) and least <= value <= most:
                return value if is_whole else float(value)
            expected = f"a {'whole ' * is_whole}number from {least} to {most}"
    raise ValueError(f"expected {name} to be {expected}, found {shown(value)}")


LOSSES = {
    "two classes": ("BCEWithLogitsLoss", "MSELoss"),
    "several classes": ("CrossEntropyLoss",),
    "regression": ("MSELoss", "L1Loss", "HuberLoss"),
}
"""The losses that fit each kind of data. The first one is the default."""

ACTIVATIONS = ("Tanh", "ReLU", "Sigmoid", "GELU", "SiLU", "Identity")
OPTIMIZERS = ("Adam", "AdamW", "SGD", "RMSprop", "Adagrad")
_ANY_LOSS = ("", *(loss for losses in LOSSES.values() for loss in losses))
_POINT = {"row": (number(-PLANE, PLANE), number(-PLANE, PLANE), whole(0, 5))}


def _setting(default: Any, field: Field) -> Any:
    return dataclasses.field(default=default, metadata={"field": field})


@dataclass(frozen=True)
class Settings:
    """The settings of a training run."""

    data: str = _setting("spirals", choice(*available_sources()))
    samples: int = _setting(400, whole(20, 5000))
    classes: int = _setting(3, whole(2, 6))
    noise: float = _setting(0.1, number(0, 1))
    test: int = _setting(50, whole(10, 80))
    hidden: tuple[int, ...] = _setting((8, 8), several(whole(1, 16), most=6))
    activation: str = _setting("Tanh", choice(*ACTIVATIONS))
    batch_norm: str = _setting("no", choice("no", "yes"))
    dropout: float = _setting(0.0, number(0, 0.9))
    loss: str = _setting("", choice(*_ANY_LOSS))
    optimizer: str = _setting("Adam", choice(*OPTIMIZERS))
    momentum: float = _setting(0.0, number(0, 0.99))
    lr: float = _setting(0.01, number(0.00001, 100))
    batch_size: int = _setting(20, whole(1, 512))
    l1: float = _setting(0.0, number(0, 1))
    l2: float = _setting(0.0, number(0, 1))
    epochs: int = _setting(1000, whole(1, 5000))
    seed: int = _setting(0, whole(0, 9999))
    backend: str = _setting("numpy", choice(*available_backends()))
    points: tuple[tuple[float, float, int], ...] = _setting((), several(_POINT, most=300))

    @property
    def source(self) -> Source:
        """The source of the data."""
        return available_sources()[self.data]

    @property
    def labels(self) -> int:
        """The number of classes of the data, or 0 for regression."""
        fixed = self.source.classes
        return self.classes if fixed is None else fixed

    @property
    def losses(self) -> tuple[str, ...]:
        """The losses that fit the data."""
        kinds = {0: "regression", 2: "two classes"}
        return LOSSES[kinds.get(self.labels, "several classes")]


FIELDS: dict[str, Field] = {f.name: f.metadata["field"] for f in dataclasses.fields(Settings)}


def checked(values: Any) -> Settings:
    """Return the settings with these values, and defaults for all others.

    Raises
    ------
    ValueError
        If a name is unknown, a value is out of bounds, or two values do not fit together.
    """
    if not isinstance(values, Mapping):
        raise ValueError(f"expected the settings as an object, found {shown(values)}")
    for name in values:
        if name not in FIELDS:
            raise ValueError(f"expected the name of a setting, found {shown(name)}")
    settings = Settings(**{name: check(name, FIELDS[name], values[name]) for name in values})
    loss = settings.loss or settings.losses[0]
    if loss not in settings.losses:
        fitting = ", ".join(settings.losses)
        raise ValueError(f"expected the loss of {settings.data} to be {fitting}; found {loss}")
    if settings.batch_norm == "yes" and settings.batch_size == 1:
        raise ValueError("expected batches of at least 2 samples, because of batch normalisation")
    if settings.data == "drawn":
        if len(settings.points) < 4:
            raise ValueError("draw at least four points in the plane")
        if max(label for *_, label in settings.points) >= settings.classes:
            raise ValueError(f"expected points of {settings.classes} classes, found more classes")
    return replace(settings, loss=loss)


def described() -> dict[str, Any]:
    """Return what the page needs to know about the settings, as JSON values."""
    sources = available_sources().items()
    return {
        "fields": FIELDS,
        "defaults": asdict(Settings()),
        "losses": LOSSES,
        "sources": {name: {**asdict(s), "arguments": s.arguments} for name, s in sources},
        "plane": PLANE,
    }
