"""Checkpoints: files from which a training can resume."""

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
    """Write checkpoints into a folder; a training can resume from each of these files.

    Files are named after the optimizer's steps, such as ``step-00001200.safetensors``;
    ``best.safetensors`` is the best checkpoint according to `monitor`. A checkpoint is also written
    when the training starts, so that missing write permission is reported before the first step.
    Another one is written when the training ends or is interrupted between two steps. A file is
    written completely or not at all. An older file is removed only after the newer file is on disk,
    so there is always a checkpoint to resume from.

    This callback is called after all others, so that the file holds their state at the same moment.

    A running training owns the folder: starting another training there is an error. If the process
    crashes or is killed, the folder is free at once. The fits of an estimator, for instance in a
    `GridSearchCV`, use separate folders: if ``folder`` has checkpoints or is in use, they write to
    ``folder-2``, ``folder-3`` and so on.

    Parameters
    ----------
    folder : str or Path
        The folder; it is created if it does not exist.
    every_epochs : int, optional
        Write a checkpoint every so many epochs; every epoch if neither this nor `every_steps` is
        given.
    every_steps : int, optional
        Write a checkpoint every so many steps of the optimizer.
    monitor : str, optional
        The column of the history that decides which checkpoint is the best; by default none is.
    mode : {"auto", "min", "max"}, optional
        Whether lower or higher is better, see `EarlyStopping`.
    keep_last : int or None, optional
        How many checkpoints to keep in addition to the best; all if None. Only files of this
        training are removed.

    Attributes
    ----------
    folder : Path
        The folder of the current or last training.

    Raises
    ------
    FileExistsError
        When the training starts, if another one is writing to the folder, or if the folder holds
        checkpoints of later steps, which belong to another training.
    DivergenceError
        If weights are NaN or infinite; no file is written then.
    OSError
        If a file cannot be written, for instance because the disk is full; older files stay
        unchanged.

    See Also
    --------
    latest_checkpoint

    Examples
    --------
    >>> import chainrule as cr, pathlib, tempfile
    >>> x = [[-1.0], [0.0], [1.0], [2.0]]
    >>> trainer = cr.Trainer(cr.mlp([1, 1]), loss=cr.MSELoss(), optimizer=cr.SGD(0.1))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     keep = Checkpoint(folder, keep_last=2, monitor="loss")
    ...     history = trainer.fit(x, x, epochs=5, callbacks=[keep], verbose=0)
    ...     files = sorted(path.name for path in pathlib.Path(folder).iterdir())
    ...     newest = latest_checkpoint(folder).name
    >>> files
    ['best.safetensors', 'step-00000004.safetensors', 'step-00000005.safetensors']
    >>> newest
    'step-00000005.safetensors'
    """

    last = True
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
        with self._target.taken(trainer, lambda: self._another_trainings(trainer)):
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

    def on_step_end(self, trainer: Training) -> None:
        if self.every_steps and trainer.optimizer.steps % self.every_steps == 0:
            self._write(trainer)

    def on_epoch_end(self, trainer: Training) -> None:
        if self.monitor is not None:
            value = self.monitor.read(trainer)
            # Write the best before the step file. After a crash between the two, the training
            # resumes from an earlier step and writes the best again.
            if self.monitor.better(value, than=self._best):
                trainer.save(self.folder / _BEST)
                self._best = value
        if self.every_epochs and trainer.epoch % self.every_epochs == 0:
            self._write(trainer)

    def on_fit_end(self, trainer: Training) -> None:
        # After an error in a step or in another callback, its work may be half done: do not save.
        try:
            if trainer.consistent and _moment(trainer) != self._saved:
                with contextlib.suppress(DivergenceError):  # it would hide the first error
                    self._write(trainer)
        finally:
            self._target.release()

    def _write(self, trainer: Training) -> None:
        step = trainer.optimizer.steps
        if self.keep_last is not None and step not in self._written:
            self._written.append(step)  # beforehand, because the file contains this list
        trainer.save(self.folder / _name(step))
        self._saved = _moment(trainer)
        while self.keep_last is not None and len(self._written) > self.keep_last:
            with contextlib.suppress(OSError):  # one file too many is no reason to stop
                (self.folder / _name(self._written[0])).unlink()
            del self._written[0]

    def _remove_unfinished(self) -> None:
        """Remove unfinished files of killed trainings; the lock excludes a running one."""
        for name in ("step-*", _BEST.removesuffix(".safetensors")):
            for unfinished in self.folder.glob(f".{name}.safetensors.*"):
                unfinished.unlink(missing_ok=True)

    def _another_trainings(self, trainer: Training) -> str | None:
        """The reason why this training must not write here, if there is one."""
        step = trainer.optimizer.steps
        found = [_name(n) for n in _steps(self.folder) if n > step]
        first = step == 0 and not trainer.resuming
        if first and self.monitor is not None and (self.folder / _BEST).exists():
            found.append(_BEST)
        if not found:
            return None
        return (
            f"{self.folder}: expected no checkpoints beyond step {step}, where this training "
            f"starts, found {found[-1]}: load it to resume from there, remove it, or choose "
            "another folder"
        )

    def state(self) -> dict[str, Any]:
        return {"written": list(self._written)}

    def load_state(self, state: Mapping[str, Any]) -> None:
        self._written = list(state.get("written", []))


def latest_checkpoint(folder: str | Path) -> Path | None:
    """Find the checkpoint with the highest step in a folder of `Checkpoint`.

    Parameters
    ----------
    folder : str or Path
        The folder.

    Returns
    -------
    Path or None
        The file; None if there is none, or if the folder does not exist.

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
    """The steps of the checkpoints in a folder, in order."""
    if not folder.is_dir():
        return []
    found = (_STEP.fullmatch(path.name) for path in folder.iterdir())
    return sorted(int(match[1]) for match in found if match)


def _moment(trainer: Training) -> tuple[int, int]:
    return trainer.optimizer.steps, trainer.epochs_done
