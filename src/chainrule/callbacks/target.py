"""Exclusive access to the file or folder that a callback writes to."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

from ..files.lock import Lock
from .base import Training


class Target:
    """A file or folder that belongs to one training run while `Trainer.fit` is active.

    Two training runs with the same target would overwrite and remove each other's files, so the
    second run raises an error. Fits started by an estimator (``trainer.of_estimator``) are an
    exception, because a search passes copies of one callback to many fits. Each new fit uses the
    first free name among ``runs``, ``runs-2``, ``runs-3`` and so on.

    Parameters
    ----------
    path : str or Path
        The path of the file or the folder. A folder is created if it does not exist.
    lock : str, optional
        The name of the lock file inside the target folder. If not given, the target is a file, and
        the lock file is next to the target.
    """

    def __init__(self, path: str | Path, *, lock: str | None = None) -> None:
        self.path = self._asked = Path(path)
        self._lock_name = lock
        self._lock: Lock | None = None

    @property
    def locked(self) -> bool:
        """Whether this object holds the lock. If so, no other training run can write here."""
        return self._lock is not None and self._lock.held

    @contextlib.contextmanager
    def taken(self, trainer: Training, *, used: Callable[[], bool]) -> Iterator[None]:
        """Lock the target until `release` is called or the ``with`` block raises an error.

        Parameters
        ----------
        trainer : Trainer
            The trainer that wants to write to the target.
        used : callable
            A function that returns whether another training run has written to `path`. The function
            is called only for a new fit of an estimator. If the result is True, the fit tries the
            next name.

        Raises
        ------
        FileExistsError
            If another training run is writing to the target.
        """
        if self.locked:
            raise FileExistsError(f"{self.path}: this callback is in use by another training run")
        try:
            self._take(trainer, used)
            yield
        except BaseException:
            self.release()
            raise

    def release(self) -> None:
        """Release the lock, so that other training runs can use the target."""
        if self._lock is not None:
            self._lock.release()
        self._lock = None

    def _take(self, trainer: Training, used: Callable[[], bool]) -> None:
        for path in self._paths(trainer):
            self.path = path
            reason = self._locked_by()
            if reason is None and not (_seeks(trainer) and used()):
                break
            self.release()
            if not _seeks(trainer):
                raise FileExistsError(reason)

    def _paths(self, trainer: Training) -> Iterator[Path]:
        """Yield the paths to try. A training run that continues keeps its path."""
        if not _seeks(trainer):
            stays = trainer.of_estimator or trainer.resuming
            yield self.path if stays else self._asked
            return
        asked, is_file = self._asked, self._lock_name is None
        yield asked
        stem, suffix = (asked.stem, asked.suffix) if is_file else (asked.name, "")
        for i in itertools.count(2):
            yield asked.parent / f"{stem}-{i}{suffix}"

    def _locked_by(self) -> str | None:
        """Lock the path, or return an error message if another training run holds the lock."""
        if self._lock_name:
            self.path.mkdir(parents=True, exist_ok=True)
            lock = Lock(self.path / self._lock_name)
        else:
            lock = Lock(self.path.with_name(f".{self.path.name}.lock"))
        if owner := lock.acquire():
            return (
                f"{self.path}: another training run (or another callback of this run) is writing "
                f"here: {owner}"
            )
        self._lock = lock
        return None


def _seeks(trainer: Training) -> bool:
    """Return whether an estimator starts a new fit. Only then may the path get a number."""
    return trainer.of_estimator and not len(trainer.history)
