"""Provide names for the examples in docstrings, and skip modules whose libraries are missing."""

import importlib.util

import numpy as np
import pytest

import chainrule as cr

NEEDS = {
    "src/chainrule/estimators": "sklearn",
    "src/chainrule/backends/fused.py": "numba",
    "src/chainrule/backends/fused_cells.py": "numba",
    "src/chainrule/backends/fused_sampling.py": "numba",
    "src/chainrule/backends/fused_windows.py": "numba",
    "src/chainrule/interop/torch.py": "torch",
    "src/chainrule/interop/onnx.py": "onnxruntime",
    "src/chainrule/interop/onnx_operators.py": "onnxruntime",
}
collect_ignore = [file for file, name in NEEDS.items() if importlib.util.find_spec(name) is None]


@pytest.fixture(autouse=True)
def _names(doctest_namespace):
    doctest_namespace.update(cr=cr, np=np)
