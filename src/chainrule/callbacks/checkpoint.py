"""Checkpoints: files from which training can resume."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..checks import Checked, at_least, optional
from ..errors import DivergenceError
from .base import Callback, Training
from .monitor import Monitor
from .target import Target

_BEST = "best.safetensors"
_STEP = re.compile(r"step-(\d{8,})\.safetensors")


class Checkpoint(Callback):
    """Write checkpoints to a folder. Training can resume from any of them.

    Files are named after the number of optimizer steps, such as ``step-00001200.safetensors``. The
    file ``best.safetensors`` is the best checkpoint according to `monitor`. A checkpoint is also
    written when training starts, so that missing write permission is reported before the first
    step. Another checkpoint is written when training ends or is interrupted between two steps. A
    file is written completely or not at all. An older file is removed only after the newer file is
    on disk, so there is always a checkpoint to resume from.

    This callback is called after all others, so that each file holds the states of all callbacks
    after the same step.

    Only one training run at a time can use a folder. Starting a second run in the same folder
    raises an error. If the process crashes or is killed, the folder is released immediately. Each
    fit of an estimator, for instance in a `GridSearchCV`, uses its own folder. If ``folder``
    contains checkpoints or is in use, the fit writes to ``folder-2``, ``folder-3`` and so on.

    Parameters
    ----------
    folder : str or Path
        The path of the folder. The folder is created if it does not exist.
    every_epochs : int, optional
        Number of epochs between two checkpoints. If neither `every_epochs` nor `every_steps` is
        given, a checkpoint is written after each epoch.
    every_steps : int, optional
        Number of optimizer steps between two checkpoints.
    monitor : str, optional
        The column of the history that decides which checkpoint is the best. By default, no
        checkpoint is kept as the best.
    mode : {"auto", "min", "max"}, optional
        Whether lower or higher values are better. See `EarlyStopping`.
    keep_last : int or None, optional
        Number of checkpoints to keep in addition to the best checkpoint. None keeps all
        checkpoints. Only files of this training run are removed.

    Attributes
    ----------
    folder : Path
        The folder of the current or most recent training run.

    Raises
    ------
    FileExistsError
        When training starts, if another training run is writing to the folder, or if the folder
        holds checkpoints from later steps of another run.
    DivergenceError
        If a weight is NaN or infinite. In this case, no file is written.
    OSError
        If a file cannot be written, for instance because the disk is full. Older files stay
        unchanged.

    See Also
    --------
    latest_checkpoint

    Examples
    --------
    >>> import os
    >>> x = [[-1.0], [0.0], [1.0], [2.0]]
    >>> trainer = cr.Trainer(cr.mlp([1, 1]), loss=cr.MSELoss(), optimizer=cr.SGD(0.1))
    >>> keep = Checkpoint("runs/first", keep_last=2, monitor="loss")
    >>> history = trainer.fit(x, x, epochs=5, callbacks=[keep], verbose=0)
    >>> sorted(os.listdir("runs/first"))
    ['best.safetensors', 'step-00000004.safetensors', 'step-00000005.safetensors']
    >>> latest_checkpoint("runs/first").name
    'step-00000005.safetensors'
    """

    last = True
    writes = True
    every_epochs = Checked(optional(at_least(1)))
    every_steps = Checked(optional(at_least(1)))
    keep_last = Checked(optional(at_least(1)))

    def __init__(
        self,
        folder: str | Path,
        *,
        every_epochs: int | None = None,
        every_steps: int | None = None,
        monitor: str | None = None,
        mode: str = "auto",
        keep_last: int | None = 3,
    ) -> None:
        self._target = Target(folder, lock=".checkpoint.lock")
        if every_epochs is None and every_steps is None:
            every_epochs = 1
        self.every_epochs = every_epochs
        self.every_steps = every_steps
        self.keep_last = keep_last
        self.monitor = None if monitor is None else Monitor(monitor, mode)
        self._written: list[int] = []
        self._saved = (0, 0)
        self._best: float | None = None

    @property
    def folder(self) -> Path:
        return self._target.path

    def on_fit_start(self, trainer: Training) -> None:
        if self.monitor is not None:
            self.monitor.start(trainer)
        before = self.folder
        with self._target.taken(trainer, used=lambda: bool(self._of_another_training(trainer))):
            if found := self._of_another_training(trainer):
                raise FileExistsError(
                    f"{self.folder}: expected no checkpoints beyond step "
                    f"{trainer.optimizer.steps} (the start of this training run), found "
                    f"{found[-1]}; resume from the checkpoint, remove it, or choose another folder"
                )
            if self.folder != before:
                self._written = []
            if self._target.locked:
                self._remove_unfinished()
            self._saved = _moment(trainer)
            self._best = None
            if self.monitor is not None and (self.folder / _BEST).exists():
                rows = [row for row in trainer.history.epochs if self.monitor.name in row]
                self._best = self.monitor.best([row[self.monitor.name] for row in rows])
            if not trainer.resuming or latest_checkpoint(self.folder) is None:
                self._write(trainer)

    @property
    def after_each_step(self) -> bool:
        return self.every_steps is not None

    def on_step_end(self, trainer: Training) -> None:
        if self.every_steps and trainer.optimizer.steps % self.every_steps == 0:
            self._write(trainer)

    def on_epoch_end(self, trainer: Training) -> None:
        if self.monitor is not None:
            value = self.monitor.read(trainer)
            # Write the best file before the step file. After a crash between the two writes,
            # training resumes from an earlier step and writes the best file again.
            if self.monitor.better(value, than=self._best):
                trainer.save(self.folder / _BEST)
                self._best = value
        if self.every_epochs and trainer.epoch % self.every_epochs == 0:
            self._write(trainer)

    def on_fit_end(self, trainer: Training) -> None:
        # After an error in a step or in another callback, do not save the half-updated state.
        try:
            if trainer.consistent and _moment(trainer) != self._saved:
                # A DivergenceError here would hide the error that ended training.
                with contextlib.suppress(DivergenceError):
                    self._write(trainer)
        finally:
            self._target.release()

    def _write(self, trainer: Training) -> None:
        step = trainer.optimizer.steps
        if self.keep_last is not None and step not in self._written:
            # Add the step to the list before saving, because the file contains the list.
            self._written.append(step)
        trainer.save(self.folder / _name(step))
        self._saved = _moment(trainer)
        while self.keep_last is not None and len(self._written) > self.keep_last:
            # Failing to remove an old file is no reason to stop training.
            with contextlib.suppress(OSError):
                (self.folder / _name(self._written[0])).unlink()
            del self._written[0]

    def _remove_unfinished(self) -> None:
        """Remove unfinished files of killed training runs. The lock rules out active runs."""
        for name in ("step-*", _BEST.removesuffix(".safetensors")):
            for unfinished in self.folder.glob(f".{name}.safetensors.*"):
                unfinished.unlink(missing_ok=True)

    def _of_another_training(self, trainer: Training) -> list[str]:
        """Return the checkpoints in the folder that must come from another training run."""
        step = trainer.optimizer.steps
        found = [_name(n) for n in _steps(self.folder) if n > step]
        first = step == 0 and not trainer.resuming
        if first and self.monitor is not None and (self.folder / _BEST).exists():
            found.append(_BEST)
        return found

    def state(self) -> dict[str, Any]:
        return {"written": list(self._written)}

    def load_state(self, state: Mapping[str, Any]) -> None:
        self._written = list(state.get("written", []))


def latest_checkpoint(folder: str | Path) -> Path | None:
    """Find the checkpoint with the highest step number in a folder.

    Parameters
    ----------
    folder : str or Path
        The folder.

    Returns
    -------
    Path or None
        The path of the checkpoint, or None if the folder has no checkpoint or does not exist.

    Examples
    --------
    >>> latest_checkpoint("no/such/folder") is None
    True
    """
    steps = _steps(Path(folder))
    return Path(folder) / _name(steps[-1]) if steps else None


def _name(step: int) -> str:
    return f"step-{step:08d}.safetensors"


def _steps(folder: Path) -> list[int]:
    """Return the step numbers of the checkpoints in a folder, in increasing order."""
    if not folder.is_dir():
        return []
    found = (_STEP.fullmatch(path.name) for path in folder.iterdir())
    return sorted(int(match[1]) for match in found if match)


def _moment(trainer: Training) -> tuple[int, int]:
    return trainer.optimizer.steps, trainer.epochs_done
