"""The history as curves in TensorBoard."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..checks import Checked, flag
from ..errors import to_install
from ..history import History
from .base import Callback, Training
from .target import Target, seeks


class TensorBoard(Callback):
    """Writes the history for TensorBoard: a curve a column, a point an epoch (needs tensorboardX).

    ``tensorboard --logdir runs`` shows them. A training that goes on from a checkpoint writes its
    curves anew from its history, and TensorBoard hides the points from before: so none is lost, and
    none is there twice. Give each training a folder of its own: two at once in one are an error.
    The fits of an estimator, of which a search such as `GridSearchCV` makes many, take one each:
    where ``logdir`` has curves already, or is in use, ``logdir-2``, ``logdir-3`` and so on.

    Parameters
    ----------
    logdir : str or Path
        The folder, made if it is not there.
    step_losses : bool, optional
        Whether to write the loss of each step too, as ``step_loss``, by its number counted from 0.
        They are written when their epoch ends, which costs no waiting for the device.

    Attributes
    ----------
    logdir : Path
        Where it writes, or wrote last.

    Raises
    ------
    FileExistsError
        When the training starts, if another one is writing to the folder.
    ImportError
        If tensorboardX is not installed: it says how to install it.
    """

    step_losses = Checked(flag)

    def __init__(self, logdir: str | Path, *, step_losses: bool = False) -> None:
        try:
            from tensorboardX import SummaryWriter
        except ImportError as error:
            raise ImportError(
                f"TensorBoard needs tensorboardX: {to_install('tensorboard')}"
            ) from error
        self._target = Target(logdir, lock=".tensorboard.lock")
        self.step_losses = step_losses
        self._make_writer: Any = SummaryWriter
        self._writer: Any = None

    @property
    def logdir(self) -> Path:
        return self._target.path

    def on_fit_start(self, trainer: Training) -> None:
        history, resuming = trainer.history, trainer.resuming
        with self._target.taken(trainer, lambda: self._another_trainings(trainer)):
            # A resumed training writes all of its history once more.
            self._rows, self._steps = (
                (0, 0) if resuming else (len(history), len(history.step_losses))
            )
            self._writer = self._make_writer(
                str(self.logdir),
                purge_step=0 if resuming else None,
                # Files are named by the second: a short call of fit before this one has its own.
                filename_suffix=f".{trainer.epochs_done}",
            )
            # Of a stream's history only the end may be left.
            kept = len(history.step_losses) + trainer.steps_done
            self._first = trainer.optimizer.steps - kept
            self._write(history)

    def on_epoch_end(self, trainer: Training) -> None:
        self._write(trainer.history)

    def on_fit_end(self, trainer: Training) -> None:
        try:
            self._writer.close()
        finally:
            self._writer = None  # it holds an open file, with which the callback cannot be copied
            self._target.release()

    def _another_trainings(self, trainer: Training) -> str | None:
        """Why this training, one of an estimator's, is not to write here."""
        taken = seeks(trainer) and any(self.logdir.glob("events.*"))
        return f"{self.logdir} has curves already" if taken else None

    def _write(self, history: History) -> None:
        """What the history has more than before."""
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
