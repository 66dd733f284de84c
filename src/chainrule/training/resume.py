"""Save a training run to a file, and resume it as if it had never stopped.

The file is a model file with additional content, so `chainrule.load` can read the model from it.
The additional content is JSON in the metadata entry ``training``, and tensors whose names start
with ``training/``.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from array_api_compat import is_array_api_obj

from ..backends.base import BackendLike
from ..backends.conversion import to_numpy
from ..callbacks import Callback
from ..checks import flag, optional, whole
from ..errors import DivergenceError, FileFormatError
from ..files.tensors import read_tensors, write_tensors
from ..layers import Layer, Sequential
from ..layers.loading import build
from ..layers.storage import TRAINING, contents
from .environment import differences, versions
from .state import Progress, TrainingState


def save_training(training: TrainingState, path: str | Path) -> None:
    """Write everything that is needed to resume a training run (see `Trainer.save`)."""
    model, done = training.model, training.progress
    tensors, metadata = contents(model)
    optimizer = training.optimizer.state()
    vectors = optimizer.pop("vectors")
    more = {f"optimizer/{name}": to_numpy(vector) for name, vector in vectors.items()}
    for name, vector in more.items():
        if not np.isfinite(vector).all():
            raise DivergenceError(
                f"the vector {name!r} holds NaN or infinity: the training run is not saved, "
                "because it could not be resumed"
            )
    more["step_losses"] = np.asarray(training.history.step_losses, dtype=np.float64)
    # `float` converts the NumPy numbers that callbacks add. The history becomes a tensor, because
    # metadata must be short.
    history = json.dumps(training.history.epochs, default=float)
    more["history"] = np.frombuffer(history.encode(), dtype=np.uint8)
    progress = None
    if done is not None:
        progress = {"rng": _described(done.rng), "batches": done.batches, "names": done.names}
        done.read(model.state)
        more["progress"] = np.asarray(done.rows, dtype=np.float64).reshape(-1, done.width)
    states = callback_states(training.listeners)
    for i, state in enumerate(states):
        values = state["values"]
        for name in [name for name, value in values.items() if isinstance(value, np.ndarray)]:
            more[f"callbacks/{i}/{name}"] = values.pop(name)
    described = {
        "versions": versions(),
        "seed": model.state.seed,
        "draws": model.state.draws,
        "optimizer": {**optimizer, "vectors": list(vectors)},
        "asked": training.asked,
        "rng": _described(training.rng.bit_generator.state),
        "began": training.began,
        "stopped": training.stopped,
        "compiled": training.compiled,
        "progress": progress,
        "callbacks": states,
    }
    tensors.update({TRAINING + name: array for name, array in more.items()})
    write_tensors(path, tensors, {**metadata, "training": json.dumps(described)})


@dataclass
class SavedTraining:
    """A training run that was read from a file.

    Attributes
    ----------
    path : str or Path
        The file.
    model : Sequential
        The model, with its saved weights.
    values : dict
        The metadata that `save_training` wrote.
    arrays : dict of str to array
        The tensors that do not belong to the model.
    """

    path: str | Path
    model: Sequential
    values: dict[str, Any]
    arrays: dict[str, np.ndarray]

    def restore(self, training: TrainingState) -> None:
        """Copy the saved state into a new training run of the model.

        Raises
        ------
        FileFormatError
            If the file does not contain a valid training run.
        """
        try:
            self._restore(training)
            found = differences(dict(self.values["versions"]), versions())
            given, training.asked = training.asked, dict(self.values["asked"])
            changed = _changed(training.asked, given)
        except (FileFormatError, MemoryError):  # too little memory is not the file's fault
            raise
        except Exception as error:  # a file can contain anything
            raise FileFormatError(f"{self.path}: no valid training run: {error!r}") from error
        if changed:
            warnings.warn(
                f"{self.path}: the training run continues with the optimizer options in the file, "
                f"not with the options passed now: {', '.join(changed)}",
                RuntimeWarning,
                stacklevel=3,
            )
        if found:
            warnings.warn(
                f"{self.path}: the training run continues in a different environment, so results "
                f"may differ in the last bits: {'; '.join(found)}",
                RuntimeWarning,
                stacklevel=3,
            )

    def _restore(self, training: TrainingState) -> None:
        saved, model = self.values, training.model
        names = saved["optimizer"]["vectors"]
        vectors = {name: self.arrays[f"optimizer/{name}"] for name in names}
        if bad := [name for name, vector in vectors.items() if not np.isfinite(vector).all()]:
            raise FileFormatError(f"{self.path}: expected finite numbers in {bad[0]!r}")
        try:
            training.optimizer.load_state({**saved["optimizer"], "vectors": vectors})
        except ValueError as error:
            raise FileFormatError(f"{self.path}: {error}") from error
        model.state.draws = whole("draws", saved["draws"], least=0)
        training.rng = _generator(saved["rng"])
        training.history.epochs = [
            dict(row) for row in json.loads(self.arrays["history"].tobytes())
        ]
        training.history.step_losses = self.arrays["step_losses"].tolist()
        training.began = whole("began", saved["began"], least=-1)
        training.stopped = bool(saved["stopped"])
        training.compiled = optional(flag)("compiled", saved["compiled"])
        if (progress := saved["progress"]) is not None:
            rng = _generator(progress["rng"]).bit_generator.state
            done = training.progress = Progress(rng, progress["batches"], progress["names"])
            table = self.arrays["progress"]
            if table.shape[1:] != (done.width,):
                raise ValueError(
                    f"expected {done.width} numbers per step, found an array of shape {table.shape}"
                )
            done.rows = [tuple(row) for row in table.tolist()]
        training.callback_states = []
        for i, state in enumerate(saved["callbacks"]):
            arrays = _below(f"callbacks/{i}/", self.arrays)
            values = {**state["values"], **arrays}
            training.callback_states.append({"callback": state["callback"], "values": values})


def read_training(
    path: str | Path,
    *,
    backend: BackendLike,
    device: Any,
    layers: Mapping[str, type[Layer]] | None,
) -> SavedTraining:
    """Read a file that `save_training` wrote (see `Trainer.resume`)."""
    tensors, metadata = read_tensors(path)
    if "training" not in metadata:
        raise FileFormatError(f"{path}: expected a training run, found a model: use cr.load")
    try:
        values = json.loads(metadata["training"])
        if (seed := int(values["seed"])) < 0:
            raise ValueError(f"a seed of {seed}")
    except Exception as error:  # a file can contain anything
        raise FileFormatError(f"{path}: no valid training run: {error!r}") from error
    model = build(path, tensors, metadata, seed=seed, backend=backend, device=device, layers=layers)
    return SavedTraining(path, model, values, _below(TRAINING, tensors))


def _changed(asked: Mapping[str, Any], given: Mapping[str, Any]) -> list[str]:
    """Return the hyperparameters of the new optimizer that differ from the file."""
    now = json.loads(json.dumps(given))  # JSON turns tuples into lists, as in the file
    return [f"{name}={given[name]!r}" for name in now if now[name] != asked[name]]


def callback_states(listeners: Iterable[Callback]) -> list[dict[str, Any]]:
    """Return the class name and the state of each callback, with arrays in host memory."""
    states: list[dict[str, Any]] = []
    for listener in listeners:
        values = listener.state()
        arrays = {name: to_numpy(v) for name, v in values.items() if is_array_api_obj(v)}
        states.append({"callback": type(listener).__name__, "values": {**values, **arrays}})
    return states


def begin(training: TrainingState, listeners: list[Callback], *, resume: bool) -> None:
    """Begin a new call to `fit`, or continue the previous one."""
    training.resuming = resume and training.began >= 0
    if training.resuming:
        if training.stopped:
            warnings.warn(
                f"a callback ended this training run after epoch {training.epochs_done}, so the "
                "run is not resumed: to train further, call fit without resume=True",
                RuntimeWarning,
                stacklevel=3,
            )
        training.expect_whole_steps()
        if training.callback_states is not None:  # these states come from a file
            hand_back(training.callback_states, listeners)
        else:
            old = [one for one in training.listeners if one not in listeners]
            new = [one for one in listeners if one not in training.listeners]
            hand_back(callback_states(old), new)
    else:
        if training.progress is not None and not training.progress.rows:
            # An epoch without a completed step does not count, so its order of batches is used
            # again.
            training.rng.bit_generator.state = training.progress.rng
        training.began, training.progress, training.stopped = training.epochs_done, None, False
        training.half_done = training.optimizer.moving = False
        training.compiled = None
    training.callback_states, training.listeners = None, listeners


def hand_back(states: list[dict[str, Any]], listeners: list[Callback]) -> None:
    """Restore callbacks from the states of earlier callbacks of the same class.

    Parameters
    ----------
    states : list of dict
        The states that `callback_states` returned or `save_training` wrote.
    listeners : list of Callback
        The callbacks to restore.

    Raises
    ------
    ValueError
        If there is no callback of the right class for a state that is not empty.
    """
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
                f"expected {name} among the callbacks (as in the interrupted training run), "
                f"found {found}; only callbacks without a state may be left out"
            )


def _below(place: str, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the arrays whose names start with `place`. Remove this prefix from the names."""
    return {n.removeprefix(place): a for n, a in arrays.items() if n.startswith(place)}


def _described(state: Mapping[str, Any]) -> dict[str, Any]:
    """Convert the state of a random generator to types that JSON supports."""
    described: dict[str, Any] = _plain(state)
    _generator(described)  # raises an error if the state could not be loaded
    return described


def _plain(state: Any) -> Any:
    """Convert the arrays and mappings of a state to numbers, lists and dicts."""
    if isinstance(state, Mapping):
        return {key: _plain(value) for key, value in state.items()}
    return state.tolist() if isinstance(state, np.ndarray | np.generic) else state


def _generator(state: dict[str, Any]) -> np.random.Generator:
    """Return a random generator with this state."""
    kind = state["bit_generator"]
    if kind not in ("PCG64", "PCG64DXSM", "MT19937", "Philox", "SFC64"):
        raise ValueError(f"expected a bit generator of NumPy, found {kind!r}")
    # NumPy does not check the position in the state. With an invalid position, NumPy would read
    # outside of an array.
    place, most = {
        "MT19937": (state["state"].get("pos"), 624),
        "Philox": (state.get("buffer_pos"), 4),
    }.get(kind, (0, 0))
    if not 0 <= place <= most:
        raise ValueError(f"expected a position of {kind} from 0 to {most}, found {place}")
    bits = getattr(np.random, kind)()
    inner = {
        k: np.asarray(v, np.uint64) if isinstance(v, list) else v for k, v in state["state"].items()
    }
    bits.state = {**state, "state": inner}
    return np.random.Generator(bits)
