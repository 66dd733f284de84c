"""Run the examples in docstrings, and skip modules whose libraries are missing."""

import contextlib
import importlib.util
import sys

import numpy as np
import pytest

import chainrule as cr

NEEDS = {
    "src/chainrule/estimators": "sklearn",
    "src/chainrule/datasets/plane.py": "sklearn",
    "src/chainrule/callbacks/tensorboard.py": "tensorboardX",
    "src/chainrule/plotting": "matplotlib",
    "src/chainrule/backends/fused.py": "numba",
    "src/chainrule/backends/fused_cells.py": "numba",
    "src/chainrule/backends/fused_sampling.py": "numba",
    "src/chainrule/backends/fused_windows.py": "numba",
    "src/chainrule/backends/compiled": "llvmlite",
    "src/chainrule/parallel/mpi.py": "mpi4py",
    "src/chainrule/interop/torch.py": "torch",
    "src/chainrule/playground/server.py": "tornado",
    "src/chainrule/interop/onnx.py": "onnxruntime",
    "src/chainrule/interop/onnx_operators.py": "onnxruntime",
}
collect_ignore = [file for file, name in NEEDS.items() if importlib.util.find_spec(name) is None]


@pytest.fixture(autouse=True)
def _example(request, doctest_namespace):
    """Give an example in a docstring the names `cr` and `np`, and a folder for its files."""
    if not isinstance(request.node, pytest.DoctestItem):
        yield
        return
    doctest_namespace.update(cr=cr, np=np)
    with contextlib.chdir(request.getfixturevalue("tmp_path")):
        yield
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")
