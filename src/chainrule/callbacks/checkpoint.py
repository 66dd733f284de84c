"""Files to go on from, written while the training runs."""

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
    """Writes checkpoints into a folder, each a complete file from which a training goes on.

    They are called ``step-00001200.safetensors`` by the optimizer's steps; the one that is best by
    `monitor` is also ``best.safetensors``. Besides those asked for, one is written when the
    training starts, so that a folder that cannot be written to is known before the first step, and
    one when it ends or is interrupted between two steps. A file is there completely or not at all,
    and an older one is removed only after the newer one is on disk: there is always one to go on
    from.

    It is called after all other callbacks, so that their state in the file is that of the same
    moment.

    While it trains, a training has the folder for itself: another one that is started there is an
    error, and after a crash or a kill the folder is free at once. The fits of an estimator, of
    which a search such as `GridSearchCV` makes many, each write to a folder of their own: where
    ``folder`` has checkpoints already, or is in use, to ``folder-2``, ``folder-3`` and so on.

    Parameters
    ----------
    folder : str or Path
        Where; it is made if it is not there.
    every_epochs : int, optional
        Write one after so many epochs; after each one if neither this nor `every_steps` is given.
    every_steps : int, optional
        Write one after so many steps of the optimizer.
    monitor : str, optional
        The column of the history by which to keep the best; none if not given.
    mode : {"auto", "min", "max"}, optional
        Whether lower or higher is better, see `EarlyStopping`.
    keep_last : int or None, optional
        How many to keep beside the best; all if None. Only files that this training wrote are
        removed.

    Attributes
    ----------
    folder : Path
        Where it writes, or wrote last.

    Raises
    ------
    FileExistsError
        When the training starts, if another one is writing to the folder, or if it holds
        checkpoints of another one: of steps that are still to come.
    DivergenceError
        Instead of writing weights that are NaN or infinite.
    OSError
        If a file cannot be written, as on a full disk; the older ones are as they were.

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
            # First, so that a training that goes on from the other file writes this one again.
            if self.monitor.better(value, than=self._best):
                trainer.save(self.folder / _BEST)
                self._best = value
        if self.every_epochs and trainer.epoch % self.every_epochs == 0:
            self._write(trainer)

    def on_fit_end(self, trainer: Training) -> None:
        # Not after an error in a step, or in another callback: they may have done half of it.
        try:
            if trainer.consistent and _moment(trainer) != self._saved:
                with contextlib.suppress(DivergenceError):  # it would hide the training's own
                    self._write(trainer)
        finally:
            self._target.release()

    def _write(self, trainer: Training) -> None:
        step = trainer.optimizer.steps
        if self.keep_last is not None and step not in self._written:
            self._written.append(step)  # before it is written, as the file is to say so
        trainer.save(self.folder / _name(step))
        self._saved = _moment(trainer)
        while self.keep_last is not None and len(self._written) > self.keep_last:
            with contextlib.suppress(OSError):  # one file too many is no reason to stop
                (self.folder / _name(self._written[0])).unlink()
            del self._written[0]

    def _remove_unfinished(self) -> None:
        """Remove what trainings that were killed were writing: none is writing now."""
        for name in ("step-*", _BEST.removesuffix(".safetensors")):
            for unfinished in self.folder.glob(f".{name}.safetensors.*"):
                unfinished.unlink(missing_ok=True)

    def _another_trainings(self, trainer: Training) -> str | None:
        """Why this training is not to write here."""
        step = trainer.optimizer.steps
        found = [_name(n) for n in _steps(self.folder) if n > step]
        anew = step == 0 and not trainer.resuming
        if anew and self.monitor is not None and (self.folder / _BEST).exists():
            found.append(_BEST)
        if not found:
            return None
        return (
            f"{self.folder}: expected no checkpoints beyond step {step}, where this training "
            f"starts, found {found[-1]}: load it to go on from there, remove it, or choose "
            "another folder"
        )

    def state(self) -> dict[str, Any]:
        return {"written": list(self._written)}

    def load_state(self, state: Mapping[str, Any]) -> None:
        self._written = list(state.get("written", []))


def latest_checkpoint(folder: str | Path) -> Path | None:
    """The checkpoint of the highest step that `Checkpoint` wrote into a folder.

    Parameters
    ----------
    folder : str or Path
        The folder.

    Returns
    -------
    Path or None
        The file; None if there is none, or no such folder.

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
    """The steps of which there is a file, in order."""
    if not folder.is_dir():
        return []
    found = (_STEP.fullmatch(path.name) for path in folder.iterdir())
    return sorted(int(match[1]) for match in found if match)


def _moment(trainer: Training) -> tuple[int, int]:
    return trainer.optimizer.steps, trainer.epochs_done
