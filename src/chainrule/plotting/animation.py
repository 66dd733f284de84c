"""Animations of training."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..callbacks import Callback
from ..callbacks.target import Target
from ..checks import whole
from ..errors import require
from ..files.atomic import usual_mode

if TYPE_CHECKING:
    from ..training import Trainer


class Animation(Callback):
    """Draw a frame every few epochs, and write the animation to a file when training ends.

    Two training runs cannot write to the same file at once. Each fit of an estimator writes its own
    file. If ``film.gif`` exists or is in use, the fit writes to ``film-2.gif``, ``film-3.gif`` and
    so on.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
        The figure to draw into.
    draw : callable
        A function ``draw(figure, trainer)`` that draws a frame. The figure is cleared before each
        call.
    path : str or Path
        The path of the file, with the extension ``.gif``, or ``.mp4`` if ffmpeg is installed.
    every : int, optional
        Number of epochs between two frames.
    fps : int, optional
        Frames per second.

    Attributes
    ----------
    path : Path
        The file of the current or most recent training run.

    Raises
    ------
    FileExistsError
        When training starts, if another training run is writing to this file.
    ValueError
        If the path ends in neither ``.gif`` nor ``.mp4``.
    RuntimeError
        If ffmpeg is needed but not installed.
    OSError
        If the file cannot be written.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> x, y = cr.datasets.spirals(60, classes=3)
    >>> trainer = cr.Trainer(cr.mlp([2, 8, 3]), loss=cr.CrossEntropyLoss(), optimizer=cr.Adam())
    >>> def draw(figure, trainer):
    ...     cr.plotting.plot_decision_boundary(trainer.model, x, y, ax=figure.subplots())
    >>> film = Animation(plt.figure(), draw, "film.gif")
    >>> history = trainer.fit(x, y, epochs=2, callbacks=[film], verbose=0)
    """

    writes = True

    def __init__(
        self,
        figure: Any,
        draw: Callable[[Any, Trainer], Any],
        path: str | Path,
        *,
        every: int = 1,
        fps: int = 10,
    ) -> None:
        animation = require("matplotlib.animation", what="plotting", extra="plot")

        self._target = Target(path)
        writers = {".gif": animation.PillowWriter, ".mp4": animation.FFMpegWriter}
        if self.path.suffix not in writers:
            raise ValueError(f"expected a path that ends in .gif or .mp4, found {str(path)!r}")
        every, fps = whole("every", every, least=1), whole("fps", fps, least=1)
        if not writers[self.path.suffix].isAvailable():
            raise RuntimeError(f"{self.path.suffix} needs the program ffmpeg; .gif does not")
        self.figure, self.draw, self.every = figure, draw, every
        self._writer = writers[self.path.suffix](fps=fps)

    @property
    def path(self) -> Path:
        return self._target.path

    def on_fit_start(self, trainer: Trainer) -> None:
        with self._target.taken(trainer, used=lambda: self.path.exists()):
            # Create the temporary file in the target's folder now, so that missing write permission
            # is reported before training.
            handle, name = tempfile.mkstemp(suffix=self.path.suffix, dir=self.path.parent)
            os.close(handle)
            self._temporary = Path(name)
            self._complete = False
            try:
                self._writer.setup(self.figure, str(self._temporary), dpi=80)
                self._frame(trainer)
            except BaseException:
                self.on_fit_end(trainer)
                raise

    def on_epoch_end(self, trainer: Trainer) -> None:
        if trainer.epoch % self.every == 0:
            self._frame(trainer)

    def _frame(self, trainer: Trainer) -> None:
        self._complete = False
        self.figure.clear()
        self.draw(self.figure, trainer)
        self._writer.grab_frame()
        self._complete = True

    def on_fit_end(self, trainer: Trainer) -> None:
        try:
            if self._complete:  # if drawing failed, keep the older file
                self._writer.finish()
                os.chmod(self._temporary, usual_mode(self.path))
                os.replace(self._temporary, self.path)
        finally:
            with contextlib.suppress(FileNotFoundError):
                self._temporary.unlink()
            self._target.release()
