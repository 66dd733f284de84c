"""CuPy on an NVIDIA GPU."""

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from ..errors import BackendError
from ..types import Array, Rule
from .base import Backend

_INSTALL = (
    'pip install "cupy-cuda12x[ctk]" for a CUDA 12 driver, '
    'pip install "cupy-cuda13x[ctk]" for a driver of CUDA 13 or newer (see nvidia-smi)'
)


_COMPUTE_TYPES = {
    "float32": "COMPUTE_TYPE_DEFAULT",
    "tf32": "COMPUTE_TYPE_TF32",
}
"""CuPy's names for the precisions."""


class CupyBackend(Backend, name="cupy"):
    """CuPy. Matrix products are written in place, and an optimizer's rule runs as one kernel.

    Parameters
    ----------
    device : int, optional
        The index of the GPU. CuPy uses the current device of the thread, so the constructor makes
        this GPU the current device. To use several GPUs, run one process for each.
    """

    repeats = True
    patch_elements = 2**28  # 1 GiB of float32, so that a large batch does not exhaust the memory
    precisions: tuple[str, ...] = ("float32", "tf32")

    def __init__(self, *, device: int | None = None, precision: str | None = None) -> None:
        try:
            import cupy
        except ImportError as error:
            raise BackendError(
                f"backend 'cupy' needs CuPy, which cannot be imported ({error}): {_INSTALL}"
            ) from error
        if not cupy.cuda.is_available():
            raise BackendError(
                "backend 'cupy' needs an NVIDIA GPU and its driver: CuPy is installed, but finds "
                "no usable GPU. If nvidia-smi shows a GPU, install the CuPy that matches its "
                f"driver: {_INSTALL}"
            )
        if device is not None:
            try:
                cupy.cuda.Device(device).use()
            except Exception as error:
                count = cupy.cuda.runtime.getDeviceCount()
                raise BackendError(
                    f"backend 'cupy': expected a device from 0 to {count - 1}, found {device!r}"
                ) from error
        self._cupy = cupy
        # Holds the object that computes the matrix products while a step is being captured. Each
        # thread has its own object, because each thread has its own CUDA stream.
        self._capturing = threading.local()
        if int(cupy.cuda.Device().compute_capability) < 80:  # this GPU does not support tf32
            self.precisions = ("float32",)
        super().__init__(cupy, device=device, precision=precision)

    def to_numpy(self, x: Array) -> np.ndarray:
        array: np.ndarray = self._cupy.asnumpy(x)
        return array

    def matmul(self, a: Array, b: Array, out: Array | None = None) -> Array:
        if a.ndim == 3:  # CuPy would copy transposed stacks and ignore the precision
            if out is None:
                out = self._cupy.empty((*a.shape[:2], b.shape[2]), dtype=a.dtype)
            for factors in zip(a, b, out, strict=True):
                self.matmul(*factors)
            return out
        products = getattr(self._capturing, "products", None)
        if products is not None:
            product: Array = products(a, b, out=out)
        elif self.precision is None:
            product = self._cupy.matmul(a, b, out=out)
        else:  # CuPy has one global setting, so restore it afterwards
            core, kind = self._cupy._core, _COMPUTE_TYPES[self.precision]
            before = core.get_compute_type(np.float32)
            core.set_compute_type(np.float32, getattr(core._routines_linalg, kind))
            try:
                product = self._cupy.matmul(a, b, out=out)
            finally:
                core.set_compute_type(np.float32, before)
        return product

    def elementwise(self, make_rule: Callable[[Any], Rule], *, outputs: int) -> Callable[..., None]:
        update: Callable[..., None] = self._cupy.fuse(
            super().elementwise(make_rule, outputs=outputs)
        )
        return update

    def _make_kernel(self, function: Callable[..., Any]) -> Callable[..., Any]:
        from .cuda_cells import cell_kernels
        from .cuda_kernels import kernels
        from .cuda_windows import window_kernels

        cupy = self._cupy
        known = kernels(cupy) | window_kernels(cupy) | cell_kernels(cupy)
        return known.get(function) or super()._make_kernel(function)

    def scatter_add(self, target: Array, index: Array, values: Array) -> None:
        self._cupy.add.at(target, index, values)

    def compile(self, step: Callable[[], None]) -> Callable[[], None]:
        from .cuda_graph import CapturedStep, Products

        products = Products(self._cupy, self._precision_of_products())
        return CapturedStep(self._cupy, step, products, self._multiplying_by)

    def _precision_of_products(self) -> str:
        """Return the requested precision, or CuPy's setting if no precision was requested."""
        if self.precision is not None:
            return self.precision
        core = self._cupy._core
        set_to = core.get_compute_type(np.float32)
        return "tf32" if set_to == core._routines_linalg.COMPUTE_TYPE_TF32 else "float32"

    @contextlib.contextmanager
    def _multiplying_by(self, products: Any) -> Iterator[None]:
        self._capturing.products = products
        try:
            yield
        finally:
            self._capturing.products = None

    def synchronize(self) -> None:
        self._cupy.cuda.get_current_stream().synchronize()
