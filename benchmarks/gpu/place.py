"""The device of a benchmark: a GPU or, in a dry run, the CPU."""

from __future__ import annotations

import importlib.util
import multiprocessing
import os
import subprocess
import time
import traceback
import warnings
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

import chainrule as cr

ROUNDED = 1e-5  # relative errors of products: far below this in float32, far above this in TF32


@dataclass(frozen=True)
class Place:
    """The GPU, with its names in CuPy, PyTorch and JAX, or the CPU in a dry run.

    Parameters
    ----------
    dry : bool, optional
        Whether to use the CPU, with networks so small that the times mean nothing.
    precision : {"float32", "tf32"}, optional
        The precision of float32 matrix products.
    """

    dry: bool = False
    precision: str = "float32"

    @property
    def backend(self) -> cr.Backend:
        """Return CuPy's backend or, in a dry run, a CPU backend that claims to repeat steps."""
        return _repeating() if self.dry else cr.get_backend("cupy")

    @property
    def torch_device(self) -> str:
        """PyTorch's name for the device."""
        return "cpu" if self.dry else "cuda"

    @property
    def in_tf32(self) -> bool:
        """Whether products use TF32, which is never the case on the CPU."""
        return self.precision == "tf32" and not self.dry

    def set_environment(self) -> None:
        """Set environment variables that the libraries read on import, also in child processes."""
        os.environ["CUPY_TF32"] = str(int(self.in_tf32))
        os.environ["XLA_PYTHON_CLIENT_PREALLOCATE"] = "false"  # otherwise JAX reserves most memory
        if self.dry:
            os.environ["JAX_PLATFORMS"] = "cpu"

    def trainer(self, model: cr.Sequential, compile: str, **options: Any) -> cr.Trainer:
        """Return a trainer for classification. A step that cannot be captured is an error."""
        warnings.filterwarnings("error", "compile='auto'")
        return cr.Trainer(model, loss=cr.CrossEntropyLoss(), compile=compile, **options)

    def check_product(self, multiply: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> None:
        """Raise an error if a library does not multiply with the required precision."""
        a, b = np.random.default_rng(0).standard_normal((2, 512, 512), dtype=np.float32)
        exact = a.astype(np.float64) @ b
        error = float(np.linalg.norm(multiply(a, b) - exact) / np.linalg.norm(exact))
        if (error > ROUNDED) != self.in_tf32:
            raise RuntimeError(
                f"a product has a relative error of {error:.1e}: not what {self.precision} gives"
            )


@cache
def _repeating() -> cr.Backend:
    kind = type(cr.get_backend("torch" if importlib.util.find_spec("torch") else "numpy"))
    repeating: cr.Backend = type(kind.__name__, (kind,), {"repeats": True})()
    return repeating


@dataclass(frozen=True)
class Clock:
    """Marks moments on a device and measures the time between two moments."""

    now: Callable[[], Any]
    """Marks the moment when the device has finished all work submitted so far."""
    between: Callable[[Any, Any], float]
    """Waits for the second moment and returns the seconds between the two moments."""


def clock(place: Place, library: str) -> Clock:
    """Return the clock of CuPy, of PyTorch or, without a GPU, of the host."""
    if place.dry:
        return Clock(time.perf_counter, lambda start, stop: float(stop - start))
    if library == "torch":
        import torch

        def now() -> Any:
            event = torch.cuda.Event(enable_timing=True)
            event.record()
            return event

        def between(start: Any, stop: Any) -> float:
            stop.synchronize()
            return float(start.elapsed_time(stop)) / 1e3

        return Clock(now, between)
    import cupy

    def now_in_cupy() -> Any:
        event = cupy.cuda.Event()
        event.record()
        return event

    def between_in_cupy(start: Any, stop: Any) -> float:
        stop.synchronize()
        return float(cupy.cuda.get_elapsed_time(start, stop)) / 1e3

    return Clock(now_in_cupy, between_in_cupy)


class Attempts:
    """Calls functions and collects their failures, so that later calls still run."""

    def __init__(self) -> None:
        self.failed: list[str] = []

    def __call__(self, what: str, function: Callable[..., Any], *arguments: Any) -> Any:
        """Return the result of the function, or None if it fails."""
        try:
            return function(*arguments)
        except (Exception, SystemExit) as error:
            traceback.print_exc()
            self.failed.append(f"{what}: {error}")
            return None

    def alone(self, what: str, function: Callable[..., Any], *arguments: Any) -> Any:
        """Call the function in a new process; return its result, or None if it fails."""

        def call() -> Any:
            with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as fresh:
                return fresh.submit(function, *arguments).result()

        return self(what, call)


def card(place: Place) -> dict[str, str]:
    """Return the name and memory of the GPU, and the versions of its driver and of CUDA.

    Raises
    ------
    BackendError
        If CuPy is missing, or if there is no GPU.
    """
    if place.dry:
        return {"card": "none: a dry run, whose times mean nothing"}
    cr.get_backend("cupy")
    import cupy

    runtime = cupy.cuda.runtime
    properties = runtime.getDeviceProperties(runtime.getDevice())
    found = {
        "card": properties["name"].decode(),
        "compute capability": f"{properties['major']}.{properties['minor']}",
        "memory": f"{properties['totalGlobalMem'] / 2**30:.0f} GiB",
        "driver": _driver(),
        "CUDA of the driver": _version(runtime.driverGetVersion()),
        "CUDA of CuPy": _version(runtime.runtimeGetVersion()),
    }
    if importlib.util.find_spec("torch"):
        import torch

        found["CUDA of PyTorch"] = str(torch.version.cuda)
    return found


def _version(number: int) -> str:
    return f"{number // 1000}.{number % 1000 // 10}"


def _driver() -> str:
    command = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        out = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return out.strip().partition("\n")[0]
