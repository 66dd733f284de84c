"""Locks between trainings, in threads and in processes, that end with the process that has them."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import sys
import warnings
from io import FileIO
from pathlib import Path
from typing import Any

if sys.platform == "win32":
    import msvcrt
elif sys.platform != "emscripten":  # a browser has one process
    import fcntl

_TAKEN = (errno.EWOULDBLOCK, errno.EACCES, errno.EDEADLK)
_FAR = 2**30  # where Windows locks a byte, beyond what is read


class Lock:
    """A file that the operating system lets only one have at a time.

    The lock ends with its process, however that ends: a file that a killed one has left behind
    is free. A copy of a lock does not have it.

    Parameters
    ----------
    path : Path
        The file: it is made when the lock is taken, and removed when it is released.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: FileIO | None = None

    @property
    def held(self) -> bool:
        """Whether this object has it."""
        return self._file is not None

    def acquire(self) -> str | None:
        """Take it.

        Returns
        -------
        str or None
            Who has it, if somebody else does.

        Raises
        ------
        OSError
            If the file cannot be made, as in a folder that cannot be written to.

        Warns
        -----
        RuntimeWarning
            If the file system has no locks.
        """
        while True:
            file = FileIO(os.open(self.path, os.O_RDWR | os.O_CREAT, 0o666), "r+")
            try:
                _lock(file.fileno())
            except OSError as error:
                return self._refused(file, error)
            if self._is_there(file):  # the one before may have removed it in between
                break
            file.close()
        file.seek(0)
        file.truncate()
        file.write(f"process {os.getpid()} on {socket.gethostname()}".encode())
        self._file = file
        return None

    def _refused(self, file: FileIO, error: OSError) -> str | None:
        with file:
            file.seek(0)
            owner = file.read(200).decode(errors="replace")
        if error.errno in _TAKEN:
            return owner or "an unknown process"
        message = f"{self.path}: no other training that writes here would be noticed: {error}"
        warnings.warn(message, RuntimeWarning, stacklevel=2)
        return None

    def release(self) -> None:
        """Let others have it."""
        file, self._file = self._file, None
        if file is not None:
            with contextlib.suppress(OSError):  # Windows removes no open file, and it may stay
                os.unlink(self.path)
            file.close()

    def _is_there(self, file: FileIO) -> bool:
        try:
            return os.path.samestat(os.fstat(file.fileno()), os.stat(self.path))
        except FileNotFoundError:
            return False

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self.path, "_file": None}


def _lock(handle: int) -> None:
    """Lock an open file, or raise an OSError."""
    if sys.platform == "win32":
        os.lseek(handle, _FAR, os.SEEK_SET)
        msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
    elif sys.platform != "emscripten":
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
