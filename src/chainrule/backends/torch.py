"""PyTorch as an array library. Its autograd is not used."""

from typing import Any

import numpy as np

from ..errors import BackendError, DataError
from ..types import Array
from .base import Backend
from .conversion import to_numpy


class TorchBackend(Backend, name="torch"):
    """PyTorch on any of its devices, such as ``device="cuda:0"``."""

    def __init__(self, *, device: Any = None, precision: str | None = None) -> None:
        try:
            import torch
        except ImportError as error:
            raise BackendError(
                "backend 'torch' needs PyTorch, which is not installed: pip install torch"
            ) from error
        super().__init__(torch, device=device, precision=precision)

    def asarray(self, x: Any, *, dtype: Any = None) -> Array:
        if isinstance(x, self.array_type):
            x = _plain(x)
        return super().asarray(x, dtype=dtype)

    def to_numpy(self, x: Array) -> np.ndarray:
        return to_numpy(x.cpu())

    def scatter_add(self, target: Array, index: Array, values: Array) -> None:
        target.index_add_(0, index, values)


def _plain(x: Array) -> Array:
    """Return a dense tensor that autograd does not track."""
    kind = "quantized" if x.is_quantized else str(x.layout).removeprefix("torch.")
    if kind != "strided" or x.is_meta:
        found = "a tensor on device 'meta'" if x.is_meta else f"a {kind} tensor"
        raise DataError(f"expected a dense tensor with values, found {found}")
    return x.detach().resolve_conj().resolve_neg()
