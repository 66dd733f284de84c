"""Postpone Ctrl-C until the training state is consistent."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType


class Interruption:
    """A context manager that postpones the first Ctrl-C until the next call of `check`.

    A second Ctrl-C raises `KeyboardInterrupt` at once. Outside of the main thread, and if the
    program has its own handler for Ctrl-C, this context manager does nothing.
    """

    def __init__(self) -> None:
        self.asked = False
        self._set = False

    def __enter__(self) -> Interruption:
        main = threading.current_thread() is threading.main_thread()
        if main and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.signal(signal.SIGINT, self._note)
            self._set = True
        return self

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True

    def check(self) -> None:
        """Raise `KeyboardInterrupt` if Ctrl-C was pressed since the last check."""
        if self.asked:
            self.asked = False
            raise KeyboardInterrupt

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._set:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        if kind is None:
            self.check()
