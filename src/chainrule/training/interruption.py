"""Postpone Ctrl-C until the training state is consistent."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from .ranks import Ranks


class Interruption:
    """A request to end the training run (Ctrl-C). A second Ctrl-C raises an error at once.

    Parameters
    ----------
    ranks : Ranks
        The processes that train together.

    Attributes
    ----------
    asked : bool
        Whether Ctrl-C was pressed in this process.
    due : bool
        Whether the next `check` ends the training run. With several ranks, a step or the end of an
        epoch sets this attribute on all ranks, so that all of them end together.
    """

    def __init__(self, ranks: Ranks) -> None:
        self.asked = self.due = False
        self.ranks = ranks

    def note(self, number: int, frame: FrameType | None) -> None:
        """Handle the signal that Ctrl-C sends."""
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True
        self.due = self.ranks.size == 1

    def check(self) -> None:
        """Raise `KeyboardInterrupt` if the training run is to end."""
        if self.due:
            self.asked = self.due = False
            raise self.ranks.on_all(KeyboardInterrupt())


@contextmanager
def postponed_interruption(ranks: Ranks) -> Iterator[Interruption]:
    """Postpone the first Ctrl-C until `Interruption.check` or the end of the ``with`` block.

    Outside the main thread, or if the signal already has a handler of its own, Ctrl-C works as
    usual.
    """
    interruption = Interruption(ranks)
    main = threading.current_thread() is threading.main_thread()
    postponed = main and signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if postponed:
        signal.signal(signal.SIGINT, interruption.note)
    try:
        yield interruption
    finally:
        if postponed:
            signal.signal(signal.SIGINT, signal.default_int_handler)
    if interruption.asked:
        raise KeyboardInterrupt
