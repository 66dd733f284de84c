"""CuPy on an NVIDIA GPU."""

from collections.abc import Callable
from typing import Any

import numpy as np

from ..backend import Array, Backend
from ..errors import BackendError

_INSTALL = (
    'pip install "chainrule[cuda12]" for a driver of CUDA 12, '
    'pip install "chainrule[cuda13]" for one of CUDA 13 (nvidia-smi shows which)'
)


class CupyBackend(Backend):
    """CuPy; matrix products go straight into their place, an optimizer's rule is one kernel.

    Parameters
    ----------
    device : int, optional
        The GPU's number; it becomes this thread's current device, as CuPy's kernels require.
    """

    def __init__(self, *, device: int | None = None) -> None:
        try:
            import cupy
        except ImportError as error:
            raise BackendError(
                f"backend 'cupy' needs CuPy, which cannot be imported ({error}): {_INSTALL}"
            ) from error
        if not cupy.cuda.is_available():
            raise BackendError(
                "backend 'cupy' needs an NVIDIA GPU and its driver: CuPy is installed, but finds "
                "no usable GPU (does nvidia-smi show one?). If there is one, CuPy must match its "
                f"driver: {_INSTALL}"
            )
        if device is not None:
            cupy.cuda.Device(device).use()
        self._cupy = cupy
        super().__init__(cupy, device=device)

    def to_numpy(self, x: Array) -> np.ndarray:
        array: np.ndarray = self._cupy.asnumpy(x)
        return array

    def matmul(self, a: Array, b: Array, out: Array) -> None:
        self._cupy.matmul(a, b, out=out)

    def elementwise(self, make_rule: Callable[[Any], Callable[..., tuple[Array, ...]]]) -> Any:
        rule = make_rule(self._cupy)

        def update(*arguments: Array) -> None:
            for old, new in zip(arguments, rule(*arguments), strict=False):
                old[...] = new

        return self._cupy.fuse(update)

    def scatter_add(self, target: Array, index: Array, values: Array) -> None:
        import cupyx

        cupyx.scatter_add(target, index, values)

    def synchronize(self) -> None:
        self._cupy.cuda.get_current_stream().synchronize()
