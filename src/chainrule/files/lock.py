"""Locks between threads and processes. When a process ends, its locks are released."""

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
elif sys.platform != "emscripten":  # in a browser, there is only one process
    import fcntl

_TAKEN = (errno.EWOULDBLOCK, errno.EACCES, errno.EDEADLK)
_FAR = 2**30  # Windows locks this byte, which lies beyond the end of the content


class Lock:
    """A lock that only one owner can hold at a time.

    The operating system releases the lock when the process ends, even if the process is killed. The
    lock file may then remain, but it is not locked. A copy of a `Lock` object does not hold the
    lock.

    Parameters
    ----------
    path : Path
        The path of the lock file. Acquiring the lock creates this file. Releasing the lock removes
        this file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: FileIO | None = None

    @property
    def held(self) -> bool:
        """Whether this object holds the lock."""
        return self._file is not None

    def acquire(self) -> str | None:
        """Try to acquire the lock, without waiting.

        Returns
        -------
        str or None
            None if this call acquired the lock, or if the file system does not support locks.
            Otherwise, a description of the process that holds the lock.

        Raises
        ------
        OSError
            If the file cannot be created, for instance because write permission is missing.

        Warns
        -----
        RuntimeWarning
            If the file system does not support locks.
        """
        while True:
            file = FileIO(os.open(self.path, os.O_RDWR | os.O_CREAT, 0o666), "r+")
            try:
                _lock(file.fileno())
            except OSError as error:
                return self._refused(file, error)
            if self._is_there(file):  # the previous owner may have removed the file
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
        message = f"{self.path}: cannot detect whether other training runs write here: {error}"
        warnings.warn(message, RuntimeWarning, stacklevel=2)
        return None

    def release(self) -> None:
        """Release the lock."""
        file, self._file = self._file, None
        if file is not None:
            with contextlib.suppress(OSError):  # Windows may refuse to remove an open file
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
    """Lock an open file, or raise an `OSError` if the file is already locked."""
    if sys.platform == "win32":
        os.lseek(handle, _FAR, os.SEEK_SET)
        msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
    elif sys.platform != "emscripten":
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
