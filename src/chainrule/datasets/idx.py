"""A strict parser for IDX, the format of the MNIST files (Y. LeCun, C. Cortes and C. Burges)."""

from __future__ import annotations

import gzip
import math
import zlib
from pathlib import Path
from typing import IO

import numpy as np

from ..errors import FileFormatError

_DTYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_CHUNK = 2**20
_MOST_AXES = 64  # NumPy's limit


def read_idx(
    path: str | Path, *, shape: tuple[int, ...] | None = None, max_bytes: int = 2**27
) -> np.ndarray:
    """Read an IDX file, plain or compressed with gzip.

    Parameters
    ----------
    path : str or Path
        The file.
    shape : tuple of int, optional
        The required shape of the array. By default, any shape is accepted.
    max_bytes : int, optional
        The largest accepted size of the unpacked data. The limit is needed because a small
        compressed file can unpack to a very large array. The file is never unpacked beyond the size
        in its header. MNIST's training images need 47 MB.

    Returns
    -------
    array
        The data, in the dtype and shape that the header states, and in the machine's byte order.

    Raises
    ------
    FileFormatError
        If the file is truncated, longer than its header states, larger than `max_bytes`, or not an
        IDX file.
    OSError
        If the file cannot be read.

    Examples
    --------
    >>> header = bytes([0, 0, 8, 1, 0, 0, 0, 3])  # one axis of three bytes
    >>> with open("labels-idx1-ubyte", "wb") as file:
    ...     size = file.write(header + bytes([7, 2, 1]))
    >>> read_idx("labels-idx1-ubyte")
    array([7, 2, 1], dtype=uint8)
    """
    path = Path(path)
    with path.open("rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
        file.seek(0)
        try:
            if not packed:
                return _parse(file, path, shape, max_bytes)
            with gzip.GzipFile(fileobj=file) as unpacked:
                return _parse(unpacked, path, shape, max_bytes)  # type: ignore[arg-type]
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise FileFormatError(f"{path}: damaged gzip data: {error}") from error


def _parse(
    file: IO[bytes], path: Path, shape: tuple[int, ...] | None, max_bytes: int
) -> np.ndarray:
    magic = file.read(4)
    if len(magic) < 4 or magic[:2] != b"\0\0" or magic[2] not in _DTYPES:
        raise FileFormatError(
            f"{path}: expected an IDX file, found a file that begins with {magic.hex()!r}"
        )
    dtype, ndim = np.dtype(_DTYPES[magic[2]]), magic[3]
    sizes = file.read(4 * ndim)
    if len(sizes) < 4 * ndim:
        raise FileFormatError(f"{path}: truncated: expected a header with {ndim} sizes")
    found = tuple(int(n) for n in np.frombuffer(sizes, ">u4"))
    if shape is not None and found != shape:
        raise FileFormatError(f"{path}: expected an array of shape {shape}, found {found}")
    if ndim > _MOST_AXES:
        raise FileFormatError(f"{path}: expected at most {_MOST_AXES} axes, found {ndim}")
    size = math.prod(found) * dtype.itemsize
    # NumPy refuses even an empty array if the product of its nonzero lengths is too large. So count
    # an axis of length 0 as 1 here.
    if (most := math.prod(n or 1 for n in found) * dtype.itemsize) > max_bytes:
        raise FileFormatError(
            f"{path}: expected at most {max_bytes:,} bytes (max_bytes= allows more), found {most:,}"
        )
    data = bytearray()
    while len(data) < size and (chunk := file.read(min(_CHUNK, size - len(data)))):
        data += chunk
    if len(data) < size:
        raise FileFormatError(f"{path}: truncated: expected {size:,} bytes, found {len(data):,}")
    if file.read(1):
        raise FileFormatError(f"{path}: longer than the {size:,} bytes stated in its header")
    array = np.frombuffer(data, dtype).reshape(found)
    if not dtype.isnative:
        array = array.byteswap(inplace=True).view(dtype.newbyteorder("="))
    return array
