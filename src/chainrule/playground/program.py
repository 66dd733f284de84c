"""A training run as objects, and a Python program that creates the same objects."""

from __future__ import annotations

import inspect
import textwrap
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np

import chainrule as cr

from .settings import Settings
from .sources import OWN, find

PROGRAM = """\
import numpy as np

import chainrule as cr

{data}
order = np.random.default_rng({seed}).permutation(len(x))
test, train = np.split(order, [max(1, len(x) * {test} // 100)])
{prepared}
model = cr.Sequential(
    {layers},
    seed={seed}, backend={backend!r},
)
trainer = cr.Trainer(
    model, loss={loss}, optimizer={optimizer},{metrics}
)
history = trainer.fit(
    x[train], y[train], validation_data=(x[test], y[test]),
    epochs={epochs}, batch_size=min({batch_size}, len(train)),{more}
)
print(trainer.evaluate(x[test], y[test]))
"""
SCALED = "x = (x - x[train].mean(axis=0)) / x[train].std(axis=0)\n"
COLUMN = "y = y.reshape(-1, 1)\n"
DROP_LAST = "\n    drop_last=True,  # batch normalisation needs more than one sample"
METRICS = '\n    metrics={"accuracy": cr.metrics.binary_accuracy(0.5)},'


@dataclass(frozen=True)
class Call:
    """A function call. `make` runs the call, and `str` writes it as code."""

    name: str
    arguments: tuple[Any, ...] = ()
    options: dict[str, Any] = field(default_factory=dict)

    def make(self) -> Any:
        """Run the call and return its result."""
        return find(self.name)(*self.arguments, **self.options)

    def __str__(self) -> str:
        options = (f"{name}={value!r}" for name, value in self.options.items())
        return f"{self.name}({', '.join([*map(repr, self.arguments), *options])})"


@dataclass(frozen=True)
class Experiment:
    """A trainer and its data."""

    trainer: cr.Trainer
    train: tuple[np.ndarray, np.ndarray]
    test: tuple[np.ndarray, np.ndarray]


def data(settings: Settings) -> Call:
    """Return the call that creates the inputs and the targets."""
    options = {name: getattr(settings, name) for name in settings.source.arguments}
    if "classes" in options:  # each class has the same number of samples
        options["samples"] -= settings.samples % settings.classes
    if settings.data == "blobs":  # the centres of the blobs have coordinates up to 10
        options["noise"] = 10 * settings.noise
    return Call(settings.source.name, (), options)


def layers(settings: Settings) -> list[list[Call]]:
    """Return the layers as lists, each with a linear layer and the layers that follow it."""
    rows = []
    for inputs, outputs in pairwise([settings.source.inputs, *settings.hidden]):
        row = [Call("cr.Linear", (inputs, outputs))]
        if settings.batch_norm == "yes":
            row.append(Call("cr.BatchNorm", (outputs,)))
        row.append(Call(f"cr.{settings.activation}"))
        if settings.dropout:
            row.append(Call("cr.Dropout", (settings.dropout,)))
        rows.append(row)
    inputs = [settings.source.inputs, *settings.hidden][-1]
    return [*rows, [Call("cr.Linear", (inputs, outputs_of(settings)))]]


def outputs_of(settings: Settings) -> int:
    """Return the number of outputs: one for two classes and for regression."""
    return settings.labels if settings.labels > 2 else 1


def optimizer(settings: Settings) -> Call:
    """Return the call that creates the optimizer."""
    options = {"lr": settings.lr}
    if settings.optimizer == "SGD" and settings.momentum:
        options["momentum"] = settings.momentum
    if settings.l1:
        options["l1"] = settings.l1
    if settings.l2 or settings.optimizer == "AdamW":  # AdamW decays weights by default
        options["weight_decay"] = settings.l2
    return Call(f"cr.{settings.optimizer}", (), options)


def is_scaled(settings: Settings) -> bool:
    """Return whether the inputs are scaled to mean 0 and standard deviation 1."""
    return settings.data != "drawn" and not settings.source.side


def needs_metrics(settings: Settings) -> bool:
    """Return whether the trainer needs metrics, because the loss has no accuracy by default."""
    return settings.loss == "MSELoss" and settings.labels == 2


def build(settings: Settings) -> Experiment:
    """Create the data, the model and the trainer. The program of `written` does the same."""
    x, y = data(settings).make()
    order = np.random.default_rng(settings.seed).permutation(len(x))
    test, train = np.split(order, [max(1, len(x) * settings.test // 100)])
    if is_scaled(settings):
        x = (x - x[train].mean(axis=0)) / x[train].std(axis=0)
    if outputs_of(settings) == 1:
        y = y.reshape(-1, 1)
    model = cr.Sequential(
        *(call.make() for row in layers(settings) for call in row),
        seed=settings.seed,
        backend=settings.backend,
    )
    accuracy: Any = cr.metrics.binary_accuracy(0.5)
    trainer = cr.Trainer(
        model,
        loss=Call(f"cr.{settings.loss}").make(),
        optimizer=optimizer(settings).make(),
        metrics={"accuracy": accuracy} if needs_metrics(settings) else None,
    )
    return Experiment(trainer, (x[train], y[train]), (x[test], y[test]))


def written(settings: Settings) -> str:
    """Return a Python program that trains the same model on the same data."""
    made = f"x, y = {data(settings)}"
    made = textwrap.fill(made, 96, subsequent_indent="    ", break_on_hyphens=False)
    if function := OWN.get(settings.source.name):
        made = f"\n{inspect.getsource(function)}\n\n{made}"
    parts = {
        "data": made,
        "prepared": SCALED * is_scaled(settings) + COLUMN * (outputs_of(settings) == 1),
        "layers": ",\n    ".join(", ".join(map(str, row)) for row in layers(settings)),
        "loss": Call(f"cr.{settings.loss}"),
        "optimizer": optimizer(settings),
        "metrics": METRICS * needs_metrics(settings),
        "more": DROP_LAST * (settings.batch_norm == "yes"),
    }
    return PROGRAM.format(**{**asdict(settings), **parts})
