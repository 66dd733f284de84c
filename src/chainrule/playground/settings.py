"""The settings of a training run, with their defaults and bounds.

All settings that a page sends pass through `checked`, and `described` tells the page the bounds.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from ..backends import available_backends
from ..errors import shown
from .sources import Source, available_sources

PLANE = 3.0
"""The page shows the plane from -PLANE to PLANE in both directions."""


@dataclass(frozen=True)
class Choice:
    """One of several values."""

    choices: tuple[Any, ...]

    def check(self, name: str, value: Any) -> Any:
        """Return the value, or raise a ValueError."""
        _expect(value in self.choices, name, f"one of {', '.join(map(str, self.choices))}", value)
        return value


@dataclass(frozen=True)
class Number:
    """A number from `least` to `most`."""

    least: float
    most: float
    whole: bool = False

    def check(self, name: str, value: Any) -> Any:
        """Return the value as int or float, or raise a ValueError."""
        number = int if self.whole else (int, float)
        fits = isinstance(value, number) and not isinstance(value, bool)
        what = "a whole number" if self.whole else "a number"
        inside = fits and self.least <= value <= self.most
        _expect(inside, name, f"{what} from {self.least} to {self.most}", value)
        return value if self.whole else float(value)


@dataclass(frozen=True)
class Row:
    """A fixed number of values, each with its own check."""

    fields: tuple[Number, ...]

    def check(self, name: str, value: Any) -> tuple[Any, ...]:
        """Return the values as a tuple, or raise a ValueError."""
        fits = isinstance(value, list | tuple) and len(value) == len(self.fields)
        _expect(fits, name, f"rows of {len(self.fields)} numbers", value)
        return tuple(
            field.check(name, item) for field, item in zip(self.fields, value, strict=True)
        )


@dataclass(frozen=True)
class Several:
    """A list of at most `most` values."""

    field: Number | Row
    most: int

    def check(self, name: str, value: Any) -> tuple[Any, ...]:
        """Return the values as a tuple, or raise a ValueError."""
        fits = isinstance(value, list | tuple) and len(value) <= self.most
        _expect(fits, name, f"a list of at most {self.most} values", value)
        return tuple(self.field.check(name, item) for item in value)


def _expect(fits: bool, name: str, what: str, found: Any) -> None:
    if not fits:
        raise ValueError(f"expected {name} to be {what}, found {shown(found)}")


LOSSES = {
    "two classes": ("BCEWithLogitsLoss", "MSELoss"),
    "several classes": ("CrossEntropyLoss",),
    "regression": ("MSELoss", "L1Loss", "HuberLoss"),
}
"""The losses that fit each kind of data. The first one is the default."""

ACTIVATIONS = ("Tanh", "ReLU", "Sigmoid", "GELU", "SiLU", "Identity")
OPTIMIZERS = ("Adam", "AdamW", "SGD", "RMSprop", "Adagrad")
_ANY_LOSS = ("", *(loss for losses in LOSSES.values() for loss in losses))
_POINT = Row((Number(-PLANE, PLANE), Number(-PLANE, PLANE), Number(0, 5, whole=True)))


def _setting(default: Any, field: Choice | Number | Several) -> Any:
    return dataclasses.field(default=default, metadata={"field": field})


@dataclass(frozen=True)
class Settings:
    """The settings of a training run."""

    data: str = _setting("spirals", Choice(tuple(available_sources())))
    samples: int = _setting(400, Number(20, 5000, whole=True))
    classes: int = _setting(2, Number(2, 6, whole=True))
    noise: float = _setting(0.1, Number(0, 1))
    test: int = _setting(50, Number(10, 80, whole=True))
    hidden: tuple[int, ...] = _setting((8, 8), Several(Number(1, 16, whole=True), most=6))
    activation: str = _setting("Tanh", Choice(ACTIVATIONS))
    batch_norm: str = _setting("no", Choice(("no", "yes")))
    dropout: float = _setting(0.0, Number(0, 0.9))
    loss: str = _setting("", Choice(_ANY_LOSS))
    optimizer: str = _setting("Adam", Choice(OPTIMIZERS))
    momentum: float = _setting(0.0, Number(0, 0.99))
    lr: float = _setting(0.003, Number(0.00001, 100))
    batch_size: int = _setting(20, Number(1, 512, whole=True))
    l1: float = _setting(0.0, Number(0, 1))
    l2: float = _setting(0.0, Number(0, 1))
    epochs: int = _setting(1000, Number(1, 5000, whole=True))
    seed: int = _setting(0, Number(0, 9999, whole=True))
    backend: str = _setting("numpy", Choice(tuple(available_backends())))
    points: tuple[tuple[float, float, int], ...] = _setting((), Several(_POINT, most=300))

    @property
    def source(self) -> Source:
        """The source of the data."""
        return available_sources()[self.data]

    @property
    def labels(self) -> int:
        """The number of classes of the data, or 0 if the data is a regression problem."""
        fixed = self.source.classes
        return self.classes if fixed is None else fixed

    @property
    def losses(self) -> tuple[str, ...]:
        """The losses that fit the data."""
        kinds = {0: "regression", 2: "two classes"}
        return LOSSES[kinds.get(self.labels, "several classes")]


FIELDS = {field.name: field.metadata["field"] for field in dataclasses.fields(Settings)}


def checked(values: Any) -> Settings:
    """Return the settings with these values, and defaults for all others.

    Raises
    ------
    ValueError
        If a name is unknown, a value is out of its bounds, or two values do not fit together.
    """
    if not isinstance(values, Mapping):
        raise ValueError(f"expected the settings as an object, found {shown(values)}")
    for name in values:
        if name not in FIELDS:
            raise ValueError(f"expected the name of a setting, found {shown(name)}")
    settings = Settings(**{name: FIELDS[name].check(name, value) for name, value in values.items()})
    loss = settings.loss or settings.losses[0]
    if loss not in settings.losses:
        fitting = ", ".join(settings.losses)
        raise ValueError(f"expected the loss of {settings.data} to be {fitting}; found {loss}")
    if settings.data == "drawn":
        if len(settings.points) < 4:
            raise ValueError("draw at least four points in the plane")
        if max(label for *_, label in settings.points) >= settings.classes:
            raise ValueError(f"expected points of {settings.classes} classes, found more classes")
    return replace(settings, loss=loss)


def described() -> dict[str, Any]:
    """Return what the page has to know about the settings, as JSON."""
    sources = available_sources().items()
    return {
        "fields": {name: asdict(field) for name, field in FIELDS.items()},
        "defaults": asdict(Settings()),
        "losses": LOSSES,
        "sources": {name: {**asdict(s), "arguments": s.arguments} for name, s in sources},
        "plane": PLANE,
    }
