"""Describe the software and hardware, because they can affect the last bits of results."""

from __future__ import annotations

import importlib.metadata
import os
import platform

import numpy as np

from ..version import __version__


def versions() -> dict[str, str]:
    """Return the versions of packages, the machine, the BLAS library and the thread settings."""
    blas = np.show_config(mode="dicts").get("Build Dependencies", {}).get("blas", {})
    # The process may be restricted to some of the cores.
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    found = {
        "chainrule": __version__,
        "numpy": np.__version__,
        "numba": _version("numba"),
        "python": platform.python_version(),
        "machine": f"{platform.machine()}, {platform.processor()}",
        "BLAS": f"{blas.get('name')} {blas.get('version')}",
        "cores": str(cores or 1),
    }
    return {**found, **{name: os.environ.get(name, "not set") for name in _SETTINGS}}


_SETTINGS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "OPENBLAS_CORETYPE", "MKL_NUM_THREADS")


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "none"


def differences(there: dict[str, str], here: dict[str, str]) -> list[str]:
    return [
        f"{name} was {there.get(name)} and is now {here.get(name)}"
        for name in {**there, **here}
        if there.get(name) != here.get(name)
    ]
