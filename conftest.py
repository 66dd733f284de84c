"""The names that docstring examples start from, and which modules can be imported for them."""

import importlib.util

import numpy as np
import pytest

import chainrule as cr

if importlib.util.find_spec("numba") is None:
    collect_ignore = ["src/chainrule/_backends/fused.py"]


@pytest.fixture(autouse=True)
def _names(doctest_namespace):
    doctest_namespace.update(cr=cr, np=np)
