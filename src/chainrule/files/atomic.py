"""Atomic writes: a reader sees either the complete old file or the complete new file."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path


def write_atomically(path: str | Path, data: bytes) -> None:
    """Write `data` to a temporary file, then rename this file to `path`.

    If an error occurs, an existing file stays unchanged.

    Raises
    ------
    OSError
        If the folder does not exist, if it cannot be written to, or if the disk is full.
    """
    path = replaceable(path)
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, usual_mode(path))
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
    if os.name == "posix":  # writes the folder to disk, which makes the rename permanent
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def replaceable(path: str | Path) -> Path:
    """Return the path of the file to replace, after following symbolic links.

    Raises
    ------
    OSError
        If the folder does not exist, or if the path is a folder, a pipe or a device.
    """
    path = Path(os.path.realpath(path))
    if not path.parent.is_dir():
        raise FileNotFoundError(f"{path}: cannot write this file: its folder does not exist")
    if path.exists() and not path.is_file():  # a device must not be replaced
        raise OSError(f"{path}: expected a file to replace, found a folder, a pipe or a device")
    return path


def usual_mode(path: Path) -> int:
    """Return the permissions of an existing file, or the default permissions of a new file."""
    try:
        return path.stat().st_mode & 0o777
    except OSError:
        mask = os.umask(0)
        os.umask(mask)
        return 0o666 & ~mask
