"""The names that docstring examples start from."""

import numpy as np
import pytest

import chainrule as cr


@pytest.fixture(autouse=True)
def _names(doctest_namespace):
    doctest_namespace.update(cr=cr, np=np)
