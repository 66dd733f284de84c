"""A training in a file, to go on with as if it had never stopped.

Such a file is a model's file with more in it: the weights stand under their names, so that
`chainrule.load` reads the model alone; all else is in ``training`` in the metadata (JSON) and in
tensors whose names start with ``training/``.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..callbacks import Callback
from ..errors import FileFormatError
from ..files.tensors import read_tensors, write_tensors
from ..layers.loading import build
from ..layers.storage import TRAINING, contents
from ..optimizers import Optimizer
from .environment import differences, versions

if TYPE_CHECKING:
    from .trainer import Trainer


@dataclass
class Progress:
    """What has been done of an epoch that is not at its end.

    Attributes
    ----------
    rng : dict
        The state of the generator of the batches when the epoch began.
    batches : dict
        What the batches are drawn from.
    losses, weights : list
        Of each step, numbers or 0-d arrays: its loss, and what the epoch's mean weighs it by.
    """

    rng: Mapping[str, Any]
    batches: dict[str, Any]
    losses: list[Any] = field(default_factory=list)
    weights: list[Any] = field(default_factory=list)

    def return_to_start(self, rng: np.random.Generator, batches: dict[str, Any]) -> None:
        """Let the generator draw the epoch's order once more, if it is of the same batches."""
        if batches != self.batches:
            raise ValueError(
                f"an epoch was interrupted after {len(self.losses)} steps of {self.batches}: "
                f"expected the same to go on with, found {batches}"
            )
        rng.bit_generator.state = self.rng


def save_training(trainer: Trainer, path: str | Path) -> None:
    """Write all that a training needs to go on, see `Trainer.save`."""
    model, optimizer, done = trainer.model, trainer.optimizer, trainer.progress
    tensors, metadata = contents(model)
    to_numpy = model.backend.to_numpy
    more = {f"optimizer/{name}": to_numpy(vector) for name, vector in optimizer._slots.items()}
    more["step_losses"] = np.asarray(trainer.history.step_losses, dtype=np.float64)
    history = json.dumps(trainer.history.epochs)  # no part of the header, which has to be short
    more["history"] = np.frombuffer(history.encode(), dtype=np.uint8)
    progress = None
    if done is not None:
        progress = {"rng": _plain(done.rng), "batches": done.batches}
        more["losses"], more["weights"] = trainer._read(done.losses, done.weights)
        done.losses, done.weights = more["losses"].tolist(), more["weights"].tolist()  # read once
    states = []
    for i, listener in enumerate(trainer.listeners):
        values: dict[str, Any] = {}
        for name, value in listener.state().items():
            if isinstance(value, np.ndarray | model.backend.array_type):
                host = value if isinstance(value, np.ndarray) else to_numpy(value)
                more[f"callbacks/{i}/{name}"] = host
            else:
                values[name] = value
        states.append({"callback": type(listener).__name__, "values": values})
    training = {
        "versions": versions(),
        "seed": model.state.seed,
        "draws": model.state.draws,
        "frozen": [name for name, p in model.named_parameters().items() if not p.trainable],
        "optimizer": _describe(optimizer),
        "rng": _plain(trainer.rng.bit_generator.state),
        "began": trainer.began,
        "stopped": trainer.stopped,
        "progress": progress,
        "callbacks": states,
    }
    tensors.update({TRAINING + name: array for name, array in more.items()})
    write_tensors(path, tensors, {**metadata, "training": json.dumps(training)})


def resume_training(
    kind: type[Trainer], path: str | Path, where: dict[str, Any], options: dict[str, Any]
) -> Any:
    """Make a trainer as it was when it was saved, see `Trainer.resume`."""
    tensors, metadata = read_tensors(path)
    if "training" not in metadata:
        raise FileFormatError(f"{path}: holds no training to go on with; cr.load reads a model")
    try:
        training = json.loads(metadata["training"])
        if (seed := int(training["seed"])) < 0:
            raise ValueError(f"a seed of {seed}")
    except Exception as error:  # what is in a file can be anything
        raise FileFormatError(f"{path}: no training to go on with: {error!r}") from error
    trainer = kind(build(path, tensors, metadata, seed=seed, **where), **options)
    more = {n.removeprefix(TRAINING): a for n, a in tensors.items() if n.startswith(TRAINING)}
    here = versions()
    try:
        _restore_optimizer(trainer, training["optimizer"], more)
        _restore(trainer, training, more)
        found = differences(dict(training["versions"]), here)
    except (FileFormatError, MemoryError):  # the device's memory, too
        raise
    except Exception as error:  # what is in a file can be anything
        raise FileFormatError(f"{path}: no training to go on with: {error!r}") from error
    if found:
        warnings.warn(
            f"{path}: this training goes on, but may differ in the last bits from what it would "
            f"have been, for it began elsewhere: {'; '.join(found)}",
            RuntimeWarning,
            stacklevel=3,
        )
    return trainer


def _restore(trainer: Trainer, training: dict[str, Any], more: dict[str, np.ndarray]) -> None:
    model = trainer.model
    model.state.draws = training["draws"]
    for name, parameter in model.named_parameters().items():
        parameter.trainable = name not in training["frozen"]
    trainer.rng = _generator(training["rng"])
    trainer.history.epochs = json.loads(more["history"].tobytes())
    trainer.history.step_losses = more["step_losses"].tolist()
    trainer.began, trainer.stopped = training["began"], training["stopped"]
    if (progress := training["progress"]) is not None:
        rng = _generator(progress["rng"]).bit_generator.state
        losses, weights = more["losses"].tolist(), more["weights"].tolist()
        trainer.progress = Progress(rng, progress["batches"], losses, weights)
    trainer.callback_states = []
    for i, state in enumerate(training["callbacks"]):
        place = f"callbacks/{i}/"
        arrays = {n.removeprefix(place): a for n, a in more.items() if n.startswith(place)}
        trainer.callback_states.append({**state, "values": {**state["values"], **arrays}})


def _restore_optimizer(
    trainer: Trainer, saved: dict[str, Any], more: dict[str, np.ndarray]
) -> None:
    optimizer, backend = trainer.optimizer, trainer.model.backend
    found = _describe(optimizer)
    same = all(found[key] == saved[key] for key in ("name", "slots", "schedules"))
    if not same or found["numbers"].keys() != saved["numbers"].keys():
        raise FileFormatError(
            f"expected the optimizer of the training, {saved['name']!r} with the vectors "
            f"{saved['slots']!r} and schedules for {saved['schedules'] or 'nothing'!r}; found "
            f"{optimizer!r}"
        )
    for name, number in saved["numbers"].items():
        setattr(optimizer, name, tuple(number) if isinstance(number, list) else number)
    optimizer.steps = saved["steps"]
    for name, vector in optimizer._slots.items():
        kept = more[f"optimizer/{name}"]
        if kept.shape != vector.shape:
            raise FileFormatError(f"{name}: expected shape {vector.shape}, found {kept.shape}")
        vector[...] = backend.asarray(kept, dtype=vector.dtype)


def _describe(optimizer: Optimizer) -> dict[str, Any]:
    options = {k: v for k, v in vars(optimizer).items() if k[0] != "_"}
    steps, slots = options.pop("steps"), list(optimizer.slots)
    options.pop("slots", None)
    return {
        "name": type(optimizer).__name__,
        "steps": steps,
        "slots": slots,
        "schedules": [name for name, option in options.items() if callable(option)],
        "numbers": {name: option for name, option in options.items() if not callable(option)},
    }


def hand_back(states: list[dict[str, Any]] | None, listeners: list[Callback]) -> None:
    """Give callbacks the state that they had, if they are those of the file."""
    if states is None:  # nothing was read from a file: they know it themselves
        return
    left = list(listeners)
    for state in states:
        name = state["callback"]
        listener = next((one for one in left if type(one).__name__ == name), None)
        if listener is not None:
            left.remove(listener)
            listener.load_state(state["values"])
        elif state["values"]:
            found = [type(one).__name__ for one in listeners]
            raise ValueError(
                f"expected the callbacks of the interrupted training, {name} among them, found "
                f"{found}; only those that keep nothing may be left out"
            )


def _plain(state: Any) -> Any:
    """The state of a generator in what JSON has."""
    if isinstance(state, Mapping):
        return {key: _plain(value) for key, value in state.items()}
    return state.tolist() if isinstance(state, np.ndarray | np.generic) else state


def _generator(state: dict[str, Any]) -> np.random.Generator:
    """A generator in this state."""
    kind = state["bit_generator"]
    if kind not in ("PCG64", "PCG64DXSM", "MT19937", "Philox", "SFC64"):
        raise KeyError(f"no bit generator {kind!r}")
    bits = getattr(np.random, kind)()
    inner = {
        k: np.asarray(v, np.uint64) if isinstance(v, list) else v for k, v in state["state"].items()
    }
    bits.state = {**state, "state": inner}
    return np.random.Generator(bits)
