"""Capture a step for a GPU, with stand-ins for CuPy and cuBLAS."""

import contextlib
import gc
import itertools
import sys
import threading
from types import SimpleNamespace

import numpy as np
import pytest
from pretended_cuda import Stream, on_device

import chainrule as cr
from chainrule.backends.cuda_graph import CapturedStep, Products
from chainrule.backends.cupy import CupyBackend


def layouts(rows, columns, dtype):
    """Yield a matrix in each memory layout."""
    x = np.random.default_rng(rows * 10 + columns).normal(size=(rows, columns)).astype(dtype)
    yield on_device(x)
    yield on_device(np.asfortranarray(x))
    yield on_device(np.repeat(x, 2, axis=1))[:, ::2]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("sizes", [(3, 4, 5), (1, 4, 5), (3, 1, 5), (3, 4, 1), (1, 1, 1)])
def test_products_of_every_layout(sizes, dtype, cupy, cublas):
    products, (m, k, n) = Products(cupy), sizes
    for a, b in itertools.product(layouts(m, k, dtype), layouts(k, n, dtype)):
        expected = np.asarray(a) @ np.asarray(b)
        np.testing.assert_allclose(products(a, b), expected, rtol=1e-5)
        flat = on_device(np.zeros(m * n + 2, dtype))
        out = flat[1:-1].reshape(m, n)
        assert products(a, b, out=out) is out
        np.testing.assert_allclose(flat, [0, *expected.reshape(-1), 0], rtol=1e-5)


def test_products_that_are_refused(cupy, cublas):
    products, x = Products(cupy), on_device(np.ones((2, 2)))
    for a, b in [(x, x[0]), (x, x.astype("float32")), (x.astype(int), x.astype(int))]:
        with pytest.raises(cr.BackendError, match="expected matrices of float32 or float64"):
            products(a, b)


@pytest.mark.parametrize(("precision", "kind"), [("float32", 68), ("tf32", 77)])
def test_products_of_a_precision(precision, kind, cupy, cublas):
    x = on_device(np.ones((2, 2), "float32"))
    products = Products(cupy, precision)
    products(x, x)
    products(x.astype("float64"), x.astype("float64"))
    assert cublas.calls == [("handle", 1), ("product", kind), ("product", 70)]


def test_products_of_a_precision_restore_cupys_setting(cupy):
    """A product with its own precision restores CuPy's precision setting afterwards."""
    setting, used = {"now": 1}, []
    cupy._core = SimpleNamespace(
        get_compute_type=lambda dtype: setting["now"],
        set_compute_type=lambda dtype, kind: setting.update(now=kind),
        _routines_linalg=SimpleNamespace(COMPUTE_TYPE_DEFAULT=1, COMPUTE_TYPE_TF32=7),
    )
    cupy.matmul = lambda a, b, *, out=None: used.append(setting["now"]) or np.matmul(a, b, out=out)
    backend = CupyBackend.__new__(CupyBackend)
    backend._cupy, backend._capturing, backend.precision = cupy, threading.local(), None
    x = np.ones((2, 2), "float32")
    for precision in (None, "float32", "tf32"):
        backend.precision = precision
        backend.matmul(x, x)
    with pytest.raises(ValueError, match="mismatch"):
        backend.matmul(x, x[:1])
    assert used == [1, 1, 7, 7]
    assert setting["now"] == 1
    assert backend._precision_of_products() == "tf32"
    backend.precision = None
    for now, expected in ((1, "float32"), (7, "tf32")):  # two values of CuPy's setting
        setting["now"] = now
        assert backend._precision_of_products() == expected


def test_the_handle_is_destroyed_with_the_products(cupy, cublas):
    products = Products(cupy)
    assert cublas.calls == [("handle", 1)]
    del products
    assert cublas.calls[1:] == [("destroyed", 1)]


def test_the_workspace_is_set_after_the_stream_which_resets_it(cupy, cublas):
    with Products(cupy).on(Stream()):
        assert [name for name, _ in cublas.calls] == ["handle", "stream", "workspace"]


def test_a_missing_nvmath_is_reported_with_how_to_install_it(cupy, monkeypatch):
    monkeypatch.setitem(sys.modules, "nvmath", None)
    monkeypatch.setitem(sys.modules, "nvmath.bindings", None)
    with pytest.raises(cr.BackendError, match=r'pip install "\.\[cuda12,graphs12\]" in a clone'):
        Products(cupy)


def captured(cupy, step):
    used = []

    @contextlib.contextmanager
    def use(products):
        used.append("in")
        yield
        used.append("out")

    return CapturedStep(cupy, step, Products(cupy), use), used


ASIDE = ["waits", "aside", "in pool", "step", "back", "waits"]


def test_a_step_is_run_twice_then_captured_then_launched(cupy, cublas):
    step, used = captured(cupy, lambda: cupy.log.append("step"))
    step()
    assert cupy.log == ASIDE  # the step waits for earlier work, and later work waits for the step
    step()
    assert cupy.log == ASIDE * 2
    cupy.log.clear()
    step()
    assert cupy.log == [*ASIDE, "launched"]
    cupy.log.clear()
    step()
    step()
    assert cupy.log == ["launched"] * 2
    assert used == ["in", "out"] * 3


def test_the_garbage_collector_is_off_during_a_capture(cupy, cublas):
    enabled = []
    step, _ = captured(cupy, lambda: enabled.append(gc.isenabled()))
    for _ in range(4):
        step()
    assert enabled == [True, True, False]
    assert gc.isenabled()


def test_missing_memory_for_the_pool_is_reported(cupy, cublas):
    def needs_much():
        raise MemoryError("allocating 1 GB")

    step, _ = captured(cupy, needs_much)
    with pytest.raises(cr.BackendError, match="not enough memory for the graph: allocating 1 GB"):
        step()


def test_ctrl_c_during_a_capture_is_passed_on(cupy, cublas):
    streams, make = [], cupy.cuda.Stream
    cupy.cuda.Stream = lambda **options: streams.append(make()) or streams[-1]

    def interrupted():
        if streams[0].capturing:
            raise KeyboardInterrupt

    step, _ = captured(cupy, interrupted)
    step()
    step()
    with pytest.raises(KeyboardInterrupt):
        step()
    assert not streams[0].capturing


def test_only_the_capturing_thread_uses_other_products(cupy, cublas):
    """Other threads keep using `cupy.matmul`, which accepts `out` only as a keyword."""
    backend = CupyBackend.__new__(CupyBackend)
    backend._cupy, backend._capturing, backend.precision = cupy, threading.local(), None
    cupy.matmul = lambda a, b, *, out=None: np.matmul(a, b, out=out)
    a, out = on_device([[1.0, 2.0]]), on_device(np.zeros((1, 1)))
    for _ in range(2):
        assert backend.matmul(a, a.T).tolist() == [[5.0]]
        assert backend.matmul(a, a.T, out) is out
        assert out.tolist() == [[5.0]]
    with backend._multiplying_by(Products(cupy)):
        assert backend.matmul(a, a.T, out).tolist() == [[5.0]]
        other = threading.Thread(target=backend.matmul, args=(a, a.T))
        other.start()
        other.join()
    assert [name for name, _ in cublas.calls].count("product") == 1


def test_an_output_of_another_dtype_is_refused(cupy, cublas):
    x, flat = on_device(np.ones((2, 2), "float32")), on_device(np.zeros((2, 4)))
    for out in (flat[:, :2], flat[:, :2].astype("float32")[:, ::-1]):
        with pytest.raises(cr.BackendError, match="expected out to be contiguous"):
            Products(cupy)(x, x, out=out)


def test_a_failed_capture_is_reported_and_ended(cupy, cublas):
    streams, make = [], cupy.cuda.Stream
    cupy.cuda.Stream = lambda **options: streams.append(make()) or streams[-1]

    def refuse():
        if streams[0].capturing:
            raise NotImplementedError("calling cuBLAS API during stream capture")

    step, used = captured(cupy, refuse)
    step()
    step()
    with pytest.raises(cr.BackendError, match="cannot be captured: NotImplementedError.*cuBLAS"):
        step()
    assert not streams[0].capturing
    assert used == ["in", "out", "in", "out", "in"]  # after an error, "out" is missing
