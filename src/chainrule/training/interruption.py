"""Postpone Ctrl-C until the training state is consistent."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Interruption:
    """A request to end the training run (Ctrl-C). A second Ctrl-C raises an error at once."""

    asked = False

    def note(self, number: int, frame: FrameType | None) -> None:
        """Handle the signal that Ctrl-C sends."""
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True

    def check(self) -> None:
        """Raise `KeyboardInterrupt` if Ctrl-C was pressed since the last check."""
        if self.asked:
            self.asked = False
            raise KeyboardInterrupt


@contextmanager
def postponed_interruption() -> Iterator[Interruption]:
    """Postpone the first Ctrl-C until `Interruption.check` or the end of the ``with`` block.

    Outside the main thread, or if the signal already has a handler of its own, Ctrl-C works as
    usual.
    """
    interruption = Interruption()
    main = threading.current_thread() is threading.main_thread()
    postponed = main and signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if postponed:
        signal.signal(signal.SIGINT, interruption.note)
    try:
        yield interruption
    finally:
        if postponed:
            signal.signal(signal.SIGINT, signal.default_int_handler)
    interruption.check()
