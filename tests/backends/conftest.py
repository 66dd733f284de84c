"""Stand-ins for cuBLAS and CuPy."""

import contextlib
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from pretended_cuda import CuBLAS, Stream, on_device


@pytest.fixture
def cublas(monkeypatch):
    module = CuBLAS()
    monkeypatch.setitem(sys.modules, "nvmath", SimpleNamespace())
    monkeypatch.setitem(sys.modules, "nvmath.bindings", SimpleNamespace(cublas=module))
    return module


@pytest.fixture
def cupy():
    log = []
    cuda = SimpleNamespace(
        Stream=lambda **options: Stream(log),
        MemoryPool=lambda: SimpleNamespace(malloc="pool"),
        alloc=lambda size: SimpleNamespace(ptr=0),
        get_current_stream=lambda: Stream(log),
        using_allocator=lambda malloc: log.append(f"in {malloc}") or contextlib.nullcontext(),
        memory=SimpleNamespace(OutOfMemoryError=MemoryError),
    )
    empty, contiguous = np.empty, np.ascontiguousarray
    return SimpleNamespace(
        cuda=cuda,
        log=log,
        empty=lambda *a, **k: on_device(empty(*a, **k)),
        ascontiguousarray=lambda x: on_device(contiguous(x)),
    )
