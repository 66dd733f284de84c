"""A callback that writes the history for TensorBoard."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..checks import Checked, flag
from ..errors import require
from ..history import History
from .base import Callback, Training
from .target import Target


class TensorBoard(Callback):
    """Write the history for TensorBoard, one curve per column (needs tensorboardX).

    The command ``tensorboard --logdir runs`` shows the curves. When training resumes from a
    checkpoint, the callback writes the whole history again, and TensorBoard hides the earlier
    points. No point is lost or shown twice. Give each training run its own folder, because two runs
    cannot write to one folder at the same time. Each fit of an estimator, for instance in a
    `GridSearchCV`, uses its own folder. If ``logdir`` contains curves or is in use, the fit writes
    to ``logdir-2``, ``logdir-3`` and so on.

    Parameters
    ----------
    logdir : str or Path
        The path of the folder. The folder is created if it does not exist.
    step_losses : bool, optional
        Whether to also write the loss of each step, as ``step_loss``. Steps are counted from 0. The
        losses are written at the end of each epoch, so that no step has to wait for its loss.

    Attributes
    ----------
    logdir : Path
        The folder of the current or most recent training run.

    Raises
    ------
    FileExistsError
        When training starts, if another training run is writing to the folder.
    ImportError
        If tensorboardX is not installed. The message says how to install it.

    Examples
    --------
    >>> x = [[-1.0], [0.0], [1.0], [2.0]]
    >>> trainer = cr.Trainer(cr.mlp([1, 1]), loss=cr.MSELoss(), optimizer=cr.SGD(0.2))
    >>> history = trainer.fit(x, x, epochs=2, callbacks=[TensorBoard("runs/first")], verbose=0)
    """

    writes = True
    step_losses = Checked(flag)

    def __init__(self, logdir: str | Path, *, step_losses: bool = False) -> None:
        library = require("tensorboardX", what="TensorBoard", extra="tensorboard")
        self._target = Target(logdir, lock=".tensorboard.lock")
        self.step_losses = step_losses
        self._make_writer: Any = library.SummaryWriter
        self._writer: Any = None

    @property
    def logdir(self) -> Path:
        return self._target.path

    def on_fit_start(self, trainer: Training) -> None:
        history, resuming = trainer.history, trainer.resuming
        with self._target.taken(trainer, used=lambda: any(self.logdir.glob("events.*"))):
            # After resuming, write the whole history again.
            self._rows, self._steps = (
                (0, 0) if resuming else (len(history), len(history.step_losses))
            )
            self._writer = self._make_writer(
                str(self.logdir),
                purge_step=0 if resuming else None,
                # The file name holds the time in whole seconds, so two short calls of `fit` would
                # otherwise write to the same file.
                filename_suffix=f".{trainer.epochs_done}",
            )
            # The history may hold only the most recent steps, so compute the number of its first
            # step.
            kept = len(history.step_losses) + trainer.steps_done
            self._first = trainer.optimizer.steps - kept
            self._write(history)

    def on_epoch_end(self, trainer: Training) -> None:
        self._write(trainer.history)

    def on_fit_end(self, trainer: Training) -> None:
        try:
            self._writer.close()
        finally:
            self._writer = None  # the writer's open file would prevent copying the callback
            self._target.release()

    def _write(self, history: History) -> None:
        """Write the new rows of the history."""
        for row in history.epochs[self._rows :]:
            for name, value in row.items():
                if name != "epoch":
                    self._writer.add_scalar(name, value, int(row["epoch"]))
        if self.step_losses:
            for step in range(self._steps, len(history.step_losses)):
                loss = history.step_losses[step]
                self._writer.add_scalar("step_loss", loss, self._first + step)
        self._rows, self._steps = len(history), len(history.step_losses)
        self._writer.flush()
