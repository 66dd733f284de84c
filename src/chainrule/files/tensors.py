"""Safetensors files: atomic writes with a SHA-256 digest, and strict checks when reading.

chainrule adds ``format_version`` and ``sha256`` to the metadata of its files. The digest is
computed over the whole file, with the digest itself replaced by zeros. In a plain safetensors file,
a flipped bit often goes unnoticed and changes a number. With the digest, a flipped bit raises an
error.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy

from ..errors import FileFormatError
from .atomic import write_atomically

FORMAT_VERSION = "1"
MAX_HEADER = 2**22  # in bytes; the parsed JSON can take 30 times as much memory
_NO_DIGEST = "0" * 64
_DTYPES = {
    "BOOL": "?",
    **{f"{kind}{8 * size}": f"<{kind.lower()}{size}" for kind in "IU" for size in (1, 2, 4, 8)},
    **{f"F{8 * size}": f"<f{size}" for size in (2, 4, 8)},
    "C64": "<c8",
}
_OTHERS = {
    b"PK\3\4": "a zip archive, as written by torch.save, Keras and numpy.savez",
    b"\x80": "a pickle, as written by older versions of torch.save",
    b"\x89HDF": "an HDF5 file, as written by Keras",
    b"\x93NUMPY": "an array, as written by numpy.save",
}
"""The first bytes of weight files in other formats."""


def write_tensors(
    path: str | Path, tensors: Mapping[str, np.ndarray], metadata: Mapping[str, str]
) -> None:
    """Write arrays and text to a safetensors file, either completely or not at all.

    Parameters
    ----------
    path : str or Path
        The path of the file. An existing file is replaced once the new file is complete, so
        it is unchanged after an error.
    tensors : mapping of str to array
        Arrays of booleans, integers or floating-point numbers.
    metadata : mapping of str to str
        Text entries. An entry ``sha256`` is always added. An entry ``format_version`` is added if
        it is missing.

    Raises
    ------
    TypeError, ValueError
        If the dtype of an array is not supported, if a name is reserved, or if the header is longer
        than `MAX_HEADER`. `read_tensors` could not read such a file.
    OSError
        If the file cannot be written.
    """
    metadata = {"format_version": FORMAT_VERSION, **metadata, "sha256": _NO_DIGEST}
    # The safetensors package writes every array as if it were in C order, so convert arrays in
    # other orders first.
    ordered = {name: np.asarray(array, order="C") for name, array in tensors.items()}
    for name, array in ordered.items():
        if name == "__metadata__":
            raise ValueError(f"{path}: the name {name!r} is reserved by the format")
        if array.dtype.newbyteorder("<") not in map(np.dtype, _DTYPES.values()):
            raise TypeError(
                f"{path}: {name!r}: expected booleans, integers or floating-point numbers, found "
                f"{array.dtype}"
            )
    data = safetensors.numpy.save(ordered, metadata)
    if (size := _header_size(data)) > MAX_HEADER:
        raise ValueError(f"{path}: expected a header of at most {MAX_HEADER} bytes, found {size}")
    write_atomically(path, _with_digest(data, hashlib.sha256(data).hexdigest()))


def read_tensors(path: str | Path) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Read the arrays of a safetensors file, and its metadata if chainrule wrote the file.

    Parameters
    ----------
    path : str or Path
        The file. Files written by other programs have no digest to verify.

    Returns
    -------
    tensors : dict of str to array
        A dict from names to arrays. bfloat16 becomes float32, because NumPy has no bfloat16.
    metadata : dict of str to str
        The metadata. It is empty if another program wrote the file.

    Raises
    ------
    FileFormatError
        If the file is not a valid safetensors file, does not match its digest, or has an
        unsupported format version.
    OSError
        If the file cannot be read.
    """
    if Path(path).is_dir():
        raise IsADirectoryError(
            f"{path}: expected a file, found a folder; callbacks.latest_checkpoint(folder) returns "
            "the newest checkpoint in a folder"
        )
    data = Path(path).read_bytes()
    try:
        metadata = _checked_metadata(data)
        deserialize: Any = safetensors.deserialize
        tensors = {name: _array(**tensor) for name, tensor in deserialize(data)}
    except FileFormatError as error:
        raise FileFormatError(f"{path}: {error}") from None
    except Exception as error:  # safetensors and json raise many kinds of errors
        for start, other in _OTHERS.items():
            if data.startswith(start):
                raise FileFormatError(
                    f"{path}: expected a safetensors file, found {other}; for PyTorch weights, "
                    "use safetensors.torch.save_file(module.state_dict(), path)"
                ) from error
        found = "" if data[8:9] == b"{" else f"; it begins with {data[:24]!r}"
        raise FileFormatError(f"{path}: not a valid safetensors file: {error}{found}") from error
    if not metadata.keys() & {"format_version", "sha256"}:
        return tensors, {}
    digest = metadata.get("sha256", "")
    blank = _with_digest(data, _NO_DIGEST, digest)
    if len(digest) != 64 or hashlib.sha256(blank).hexdigest() != digest:
        raise FileFormatError(f"{path}: damaged: the content does not match the SHA-256 digest")
    if (version := metadata.get("format_version")) != FORMAT_VERSION:
        raise FileFormatError(
            f"{path}: expected format version {FORMAT_VERSION}, found {version}: the file was "
            "written by a newer chainrule"
        )
    return tensors, metadata


def _array(dtype: str, shape: list[int], data: Any) -> np.ndarray:
    """Convert a tensor to an array. The safetensors package has already checked the size."""
    if dtype == "BF16":  # bfloat16 is the upper half of float32
        upper = np.frombuffer(data, "<u2").astype("<u4") << 16
        return upper.view(np.float32).reshape(shape)
    if dtype not in _DTYPES:
        raise FileFormatError(f"holds tensors of type {dtype!r}, which NumPy lacks")
    return np.frombuffer(data, _DTYPES[dtype]).reshape(shape)


def _header_size(data: bytes) -> int:
    return int.from_bytes(data[:8], "little")


def _checked_metadata(data: bytes) -> dict[str, str]:
    """Return the metadata, and check what the safetensors package does not check."""
    size = _header_size(data)
    if size > min(len(data) - 8, MAX_HEADER):
        raise ValueError(
            f"expected a header of at most {MAX_HEADER} bytes, found {size} bytes in a file of "
            f"{len(data)}"
        )
    header = json.loads(data[8 : 8 + size].decode(), object_pairs_hook=_object)
    metadata = header.get("__metadata__", {})
    if not isinstance(metadata, dict):
        raise ValueError(f"expected an object as metadata, found {type(metadata).__name__}")
    return metadata


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("expected unique keys in the header, found a repeated key")
    return found


def _with_digest(data: bytes, new: str, old: str = _NO_DIGEST) -> bytes:
    # Quotes inside JSON strings are escaped, so only the key of the metadata itself can match.
    return data.replace(f'"sha256":"{old}"'.encode(), f'"sha256":"{new}"'.encode(), 1)
