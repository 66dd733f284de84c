"""The training run of one page, in its own thread."""

from __future__ import annotations

import contextlib
import math
import queue
import threading
import time
import traceback
from collections.abc import Callable
from typing import Any

import numpy as np

from ..callbacks import Callback
from ..errors import shown
from .program import build, written
from .settings import Field, check, checked, choice, number, several, whole
from .view import View, packed

FRAME_SECONDS = 1 / 30
SPEEDS = (0, 1, 10, 100, 300, 1000)
"""The speeds that a page may choose, in steps per second. With 0, there is no limit."""

MOST_COMMANDS = 100
NOTHING = choice(None)
COMMANDS: dict[str, Field] = {
    "start": NOTHING,
    "pause": NOTHING,
    "step": NOTHING,
    "epoch": NOTHING,
    "next": NOTHING,
    "speed": choice(*SPEEDS),
    "image": several(number(0, 1), most=784),
}
"""A dict from the commands of a page (except "settings") to the values that they accept."""


class Replaced(Exception):  # noqa: N818  (ends a training run, and users never see it)
    """The page has chosen other settings, or was closed."""


class Session(threading.Thread):
    """Trains the network that a page asks for, and sends frames to the page.

    A page receives a frame only after it has asked for one, so frames never pile up.

    Parameters
    ----------
    send : callable
        A function that sends bytes to the page. The training thread calls the function.
    """

    def __init__(self, send: Callable[[bytes], Any]) -> None:
        super().__init__(name="playground session", daemon=True)
        self.send = send
        self.commands: queue.Queue[tuple[str, Any]] = queue.Queue()
        self.closed = False
        self.settings: Any = None
        self.run_number = 0
        self.seconds_per_step = 0.0
        self._begin()

    def _begin(self) -> None:
        """Forget the last training run."""
        self.view: View | None = None
        self.finished = False
        self.last_step: float = 0  # the page wants to train up to this step,
        self.last_epoch: float = math.inf  # and up to this epoch
        self.wanted, self.shown_step = True, -1  # the page wants a frame that shows a later step
        self.next_step = self.next_frame = 0.0  # when the next step and frame are due

    def receive(self, message: Any) -> None:
        """Check a command from the page, and keep it for the training thread.

        Raises
        ------
        ValueError
            If the message is malformed. The training run continues as before.
        """
        if not isinstance(message, dict):
            raise ValueError(f"expected an object, found {shown(message)}")
        do: Any = message.get("do")
        value = message.get("value")
        if do == "settings":
            value = checked(value), check("run", whole(0, 2**31), message.get("run"))
            with self.commands.mutex:  # the new settings replace all that waits
                self.commands.queue.clear()
        else:
            check("the command", choice("settings", *COMMANDS), do)
            value = check(do, COMMANDS[do], value)
        if self.commands.qsize() >= MOST_COMMANDS:
            raise ValueError("expected fewer commands at a time")
        self.commands.put((do, value))

    def close(self) -> None:
        """End the training run after the current step."""
        self.commands.put(("close", None))

    def run(self) -> None:
        """Train with the newest settings until the page is closed."""
        while not self.closed:
            try:
                if self.settings is not None:
                    self._train()
                while True:
                    self._obey(*self.commands.get())
            except Replaced:
                self._begin()

    def _train(self) -> None:
        try:
            with np.errstate(all="ignore"):  # if the loss diverges, the page shows the error
                experiment = build(self.settings)
                self.view = View(self.settings, experiment)
                self._send("start", code=written(self.settings), **self.view.start())
                experiment.trainer.fit(
                    *experiment.train,
                    epochs=self.settings.epochs,
                    batch_size=min(self.settings.batch_size, len(experiment.train[0])),
                    validation_data=experiment.test,
                    drop_last=self.settings.batch_norm == "yes",
                    callbacks=[_Gate(self)],
                    verbose=0,
                )
                self.finished = True
                self.pass_gate()
        except Replaced:
            raise
        except Exception as error:  # no error may end the session
            if not isinstance(error, ArithmeticError | ValueError):
                traceback.print_exc()
            self._send("stopped", text=str(error))

    def _send(self, kind: str, **content: Any) -> None:
        self.send(packed({"kind": kind, "run": self.run_number, **content}))

    def _obey(self, do: str, value: Any) -> None:
        steps, epochs = self.progress
        match do:
            case "close":
                self.closed = True
                raise Replaced
            case "settings":
                self.settings, self.run_number = value
                raise Replaced
            case "start":
                self.last_step = self.last_epoch = math.inf
            case "pause":
                self.last_step, self.shown_step = steps, -1  # a frame says that training is paused
            case "step":
                self.last_step, self.last_epoch = steps + 1, math.inf
            case "epoch":
                self.last_step, self.last_epoch = math.inf, epochs + 1
            case "next":
                self.wanted = True
            case "speed":
                self.seconds_per_step = 1 / value if value else 0.0
            case "image":
                if self.view is not None and self.view.read(value):
                    self.shown_step = -1

    @property
    def progress(self) -> tuple[int, int]:
        """The number of completed steps, and the number of completed epochs."""
        if self.view is None:
            return 0, 0
        trainer = self.view.experiment.trainer
        return trainer.optimizer.steps, trainer.epochs_done

    def pass_gate(self) -> None:
        """Obey commands and send frames until the next step is due."""
        while True:
            while not self.commands.empty():
                self._obey(*self.commands.get())
            (steps, epochs), now = self.progress, time.monotonic()
            paused = self.finished or steps >= self.last_step or epochs >= self.last_epoch
            due = math.inf if paused else self.next_step
            if self.wanted and steps != self.shown_step:
                if paused or now >= self.next_frame:
                    self._send_frame(steps, paused)
                    continue
                due = min(due, self.next_frame)
            if now >= due:
                self.next_step = max(self.next_step, now - 0.1) + self.seconds_per_step
                return
            with contextlib.suppress(queue.Empty):
                self._obey(*self.commands.get(timeout=None if paused else due - now))

    def _send_frame(self, steps: int, paused: bool) -> None:
        assert self.view is not None
        self.wanted, self.shown_step = False, steps
        self.next_frame = time.monotonic() + FRAME_SECONDS
        status = "finished" if self.finished else "paused" if paused else "running"
        self._send("frame", status=status, steps=steps, **self.view.frame())


class _Gate(Callback):
    """Stops training between two steps until the next step is due."""

    def __init__(self, session: Session) -> None:
        self.session = session

    def on_epoch_start(self, trainer: Any) -> None:
        self.session.pass_gate()

    def on_step_end(self, trainer: Any) -> None:
        if trainer.steps_done < trainer.steps_per_epoch:  # else `on_epoch_start` follows
            self.session.pass_gate()
