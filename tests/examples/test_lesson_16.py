"""Lesson 16 starts several processes, which get the losses of one."""

import pytest
from running import lesson, numbers

pytest.importorskip("matplotlib")
pytest.importorskip("mpi4py")

pytestmark = pytest.mark.lessons


def test_many_processes(tmp_path):
    out = lesson("16_many_processes.py", tmp_path)
    last = []
    for name in ("1 process", "2 processes", "3 processes"):
        line = rf"{name}: last loss (\d\.\d+), largest difference (\d\.\d+e[-+]\d+)"
        loss, difference = numbers(line, out)
        last.append(loss)
        assert difference < 1e-12
    assert max(last) - min(last) < 1e-11
    assert last[0] < 0.5
