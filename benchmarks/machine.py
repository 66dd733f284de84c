"""A description of the machine: its processor, library versions and NumPy's BLAS."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
from pathlib import Path
from typing import Any

import numpy as np

_PACKAGES = (
    "chainrule", "numpy", "numba", "cupy", "cupy-cuda12x", "cupy-cuda13x", "nvmath-python", "torch",
    "jax", "scikit-learn", "thinc",
)  # fmt: skip
_VARIABLES = (
    "OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE", "OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS",
    "MKL_NUM_THREADS", "NUMBA_NUM_THREADS",
)  # fmt: skip


def machine() -> dict[str, Any]:
    """Return the processor, its load, and environment variables that affect the speed."""
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    return {
        "processor": processor(),
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
        "load": load,
        "environment": {name: os.environ[name] for name in _VARIABLES if name in os.environ},
        "blas": blas(),
    }


def versions() -> dict[str, str]:
    """Return the versions of Python and of the installed libraries."""
    here = {d.metadata["Name"].lower(): d.version for d in importlib.metadata.distributions()}
    python = {"python": platform.python_version()}
    return python | {name: here[name] for name in _PACKAGES if name in here}


def processor() -> str:
    """Return the model name of the processor."""
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        text = ""
    found = re.search(r"model name\s*: (.*)", text)
    return found[1] if found else platform.processor()


def blas() -> dict[str, Any]:
    """Describe NumPy's BLAS. Without threadpoolctl, threads and kernels are None."""
    built: Any = np.show_config(mode="dicts")
    library = built["Build Dependencies"]["blas"]
    found = {"name": library["name"], "version": library["version"]}
    try:
        from threadpoolctl import threadpool_info
    except ImportError:
        return {**found, "threads": None, "kernels": None}
    loaded = [info for info in threadpool_info() if info["user_api"] == "blas"]
    info = loaded[0] if loaded else {}
    return {**found, "threads": info.get("num_threads"), "kernels": info.get("architecture")}


def header(results: dict[str, Any]) -> str:
    """Return the machine and the versions as lines of text."""
    m = results["machine"]
    blas = m["blas"]
    lines = [
        f"- {m['processor']}, {m['cores']} cores, {m['system']}",
        f"- NumPy's BLAS: {blas['name']} {blas['version']}, kernels {blas['kernels'] or 'unknown'},"
        f" threads {blas['threads'] or 'unknown'}",
        "- " + ", ".join(f"{name} {version}" for name, version in results["versions"].items()),
    ]
    if m["environment"]:
        lines.append("- " + ", ".join(f"{k}={v}" for k, v in m["environment"].items()))
    if m["load"] is not None:
        lines.append(f"- average load before the start: {m['load']:.1f} processes")
    return "\n".join(lines)
