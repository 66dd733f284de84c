"""Check how a backend is selected, which errors it raises and which operations it replaces."""

import operator
import os
import pickle
import subprocess
import sys
import types

import numpy as np
import pytest

import chainrule as cr
from chainrule.backends import base
from chainrule.backends import numpy as numpy_backend
from chainrule.backends.conversion import on_host


def test_numpy_is_always_available():
    assert cr.available_backends()[0] == "numpy"


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(ValueError, match=r"unknown backend 'jax'.*'numpy', 'cupy', 'torch'"):
        cr.Sequential(cr.Linear(2, 2), backend="jax")


def test_a_module_that_is_not_a_namespace():
    with pytest.raises(TypeError, match="expected an Array API namespace"):
        cr.Backend(types.ModuleType("empty"))


def test_a_backend_is_made_once():
    import array_api_strict

    assert cr.get_backend("numpy") is cr.get_backend("numpy") is cr.get_backend(np)
    assert cr.get_backend(array_api_strict) is cr.get_backend(array_api_strict)
    backend = cr.get_backend("numpy")
    assert cr.get_backend(backend) is backend
    with pytest.raises(ValueError, match="^device='gpu' comes too late: .* already exists"):
        cr.get_backend(backend, device="gpu")


@pytest.mark.parametrize("device", ["cuda", "meta", "cpu:x", 3])
def test_a_missing_device_is_reported_with_how_to_choose_the_library(device, library):
    if library.name == "cupy":
        pytest.skip("the error for CuPy differs: it gives the number of GPUs")
    name = library.backend.name
    if name == "torch" and device != "meta" and library.backend.xp.cuda.is_available():
        pytest.skip("this machine may have such a device")
    message = rf"backend '{name}' cannot use device={device!r} \(.*\).*to choose the array library"
    with pytest.raises(cr.BackendError, match=message):
        cr.get_backend(library.backend.xp, device=device)


def test_immutable_arrays_are_refused():
    class Immutable(np.ndarray):
        def __setitem__(self, key, value):
            raise TypeError("arrays are immutable")

    namespace = types.ModuleType("immutable")
    namespace.__dict__.update(vars(np))
    namespace.zeros = lambda *shape, **_: np.zeros(*shape).view(Immutable)
    with pytest.raises(TypeError, match="cannot train.*cannot be written to"):
        probe(namespace)


def test_reshapes_that_copy_are_refused():
    namespace = types.ModuleType("copying")
    namespace.__dict__.update(vars(np))
    namespace.reshape = lambda x, shape, copy: np.reshape(x, shape).copy()
    with pytest.raises(TypeError, match="cannot train.*copies, not views"):
        probe(namespace)


def probe(namespace):
    """Call the probe directly, because `get_backend` would recognise NumPy's arrays."""
    backend = cr.Backend.__new__(cr.Backend)
    backend.xp, backend.name, backend.device = namespace, namespace.__name__, None
    backend._probe_views()


def check_cupy_is_missing(message):
    with pytest.raises(cr.BackendError, match=message) as error:
        cr.get_backend("cupy")
    assert 'pip install "cupy-cuda12x[ctk]"' in str(error.value)
    assert 'pip install "cupy-cuda13x[ctk]"' in str(error.value)
    assert isinstance(error.value, ImportError)


def test_cupy_without_the_wheel(monkeypatch):
    base._made.cache_clear()
    monkeypatch.setitem(sys.modules, "cupy", None)
    check_cupy_is_missing("needs CuPy, which cannot be imported")


def test_cupy_without_a_gpu(monkeypatch):
    base._made.cache_clear()
    cupy = types.ModuleType("cupy")
    cupy.cuda = types.SimpleNamespace(is_available=lambda: False)
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    check_cupy_is_missing("finds no usable GPU")


def test_import_loads_none_of_the_extras():
    extras = (
        "cupy torch numba pooch matplotlib sklearn scipy pandas polars dask onnx onnxruntime "
        "tensorboardX"
    )
    code = f"import sys, chainrule; print([m for m in '{extras}'.split() if m in sys.modules])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def test_asarray_and_to_numpy(library):
    x = np.arange(6, dtype="float32").reshape(2, 3)
    array = library.backend.asarray(x)
    assert isinstance(array, library.backend.array_type)
    assert np.array_equal(library.to_numpy(array), x)
    assert library.backend.asarray([1.0, 2.0]).shape == (2,)
    assert library.backend.asarray(array, dtype=library.backend.xp.float64).shape == (2, 3)
    x.flags.writeable = False
    assert np.array_equal(library.to_numpy(library.backend.asarray(x)), x)
    assert on_host(array) == (library.name != "cupy")


@pytest.mark.parametrize(
    "bad",
    [["a", "b"], [object()], [[1, 2], [3]], [1j], None],
    ids=["strings", "objects", "ragged", "complex", "None"],
)
def test_data_without_numbers_is_refused(bad, library):
    with pytest.raises(cr.DataError, match="expected an array of"):
        library.backend.asarray(bad)


def test_matmul_writes_into_place(library):
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(3, 4)), rng.normal(size=(4, 2))
    flat = library.backend.xp.zeros(8, dtype=library.backend.dtype("float64"))
    out = library.backend.xp.reshape(flat[1:7], (3, 2), copy=False)
    operands = library.asarray(a), library.asarray(b)
    assert library.backend.matmul(*operands, out=out) is out
    np.testing.assert_allclose(library.to_numpy(library.backend.matmul(*operands)), a @ b)
    np.testing.assert_allclose(library.to_numpy(flat), [0, *(a @ b).reshape(-1), 0], rtol=1e-12)


def test_elementwise_overwrites_what_the_rule_returns(library):
    n = 40_000  # enough elements for several blocks

    def make(xp):
        return lambda x, y, z, c: (x + c * z, xp.sqrt(y))

    update = library.backend.elementwise(make, outputs=2)
    host = [np.arange(n, dtype=float) + k for k in range(3)]
    x, y, z = (library.backend.asarray(a.copy()) for a in host)
    update(x, y, z, library.backend.asarray([2.0])[0])
    np.testing.assert_allclose(library.to_numpy(x), host[0] + 2 * host[2], rtol=1e-15)
    np.testing.assert_allclose(library.to_numpy(y), np.sqrt(host[1]), rtol=1e-15)
    np.testing.assert_array_equal(library.to_numpy(z), host[2])


def test_scatter_add_adds_up_repeated_rows(library):
    target = library.backend.asarray(np.ones((3, 2)))
    values = np.arange(8.0).reshape(4, 2)
    index = [2, 0, 2, 2]
    library.backend.scatter_add(target, library.asarray(index), library.asarray(values))
    expected = [[3.0, 4.0], [1.0, 1.0], [1 + 0 + 4 + 6.0, 1 + 1 + 5 + 7.0]]
    np.testing.assert_array_equal(library.to_numpy(target), expected)


def test_scatter_add_on_numpy_with_and_without_numba(monkeypatch):
    rng, backend = np.random.default_rng(0), cr.get_backend("numpy")
    index, values = rng.integers(0, 7, 50), rng.normal(size=(50, 3))
    expected = np.zeros((7, 3))
    for i, value in zip(index, values, strict=True):
        expected[i] += value
    for numba in {numpy_backend.has_numba(), False}:
        monkeypatch.setattr(numpy_backend, "has_numba", lambda numba=numba: numba)
        for given in (index, index.astype(np.int32), index[::-1]):
            rows = values if given.base is None else values[::-1]
            for target in (np.zeros((7, 3)), np.zeros((3, 7)).T):  # the second is not contiguous
                backend.scatter_add(target, given, rows)
                np.testing.assert_allclose(target, expected, rtol=1e-13, atol=1e-15)
        target = np.zeros((7, 3, 1))
        backend.scatter_add(target, index, values[..., None])
        np.testing.assert_allclose(target[..., 0], expected, rtol=1e-13, atol=1e-15)
        with pytest.raises(IndexError):
            backend.scatter_add(np.zeros((7, 3)), np.asarray([7]), values[:1])
        with pytest.raises(ValueError, match="shape"):
            backend.scatter_add(np.zeros((7, 3)), index, values[:, :2])


def test_device_is_passed_on():
    import array_api_strict

    device = array_api_strict.Device("device1")
    backend = cr.get_backend(array_api_strict, device=device)
    model = cr.Sequential(
        cr.Linear(4, 3), cr.ReLU(), cr.Dropout(0.5), cr.Linear(3, 2), backend=backend
    )
    trainer = cr.Trainer(model, loss=cr.CrossEntropyLoss(weight=[1, 2]), optimizer=cr.Adam())
    x = np.random.default_rng(0).normal(size=(10, 4))
    trainer.fit(x, np.arange(10) % 2, epochs=1, batch_size=5, verbose=0)
    assert model[0].weight.value.device == device
    assert model.predict(x).shape == (10, 2)


def test_dtypes_that_models_cannot_have():
    with pytest.raises(ValueError, match="'float32' or 'float64', found 'float16'"):
        cr.Sequential(cr.Linear(2, 2), dtype="float16")


def of_two_slots(xp):
    def rule(value, mean, grad, rate):
        mean = mean + rate * grad
        return value - rate * mean / (xp.sqrt(mean * mean) + rate), mean

    return rule


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_compiled_loop_equals_numpy_bit_for_bit(dtype):
    pytest.importorskip("numba", reason="the extra fast is not installed")
    from chainrule.backends.fused import fused

    rng, rule = np.random.default_rng(0), of_two_slots(np)
    ours = [rng.normal(size=1001).astype(dtype) for _ in range(3)]
    ours[2][:3] = [0.0, np.inf, np.nan]
    rate = np.asarray(0.1, dtype=dtype)[()]
    with np.errstate(all="ignore"):
        expected = rule(*ours, rate)
    fused(rule, 2, otherwise=None)(*ours, rate)
    for found, wanted in zip(ours, expected, strict=False):
        np.testing.assert_array_equal(found, wanted)


def test_a_rule_that_numba_cannot_compile_runs_uncompiled():
    pytest.importorskip("numba", reason="the extra fast is not installed")
    backend = cr.get_backend("numpy")
    one = operator.attrgetter("real")
    take_off = backend.elementwise(lambda xp: lambda x, y: (x - one(1.0) * y,), outputs=1)
    x, y = np.ones(3), np.ones(3)
    with pytest.warns(RuntimeWarning, match="runs uncompiled"):
        take_off(x, y)
    take_off(x, y)
    np.testing.assert_array_equal(x, -np.ones(3))


@pytest.mark.parametrize("reason", ["Numba needs NumPy 2.3 or less", None])
def test_numpy_is_used_if_numba_is_missing_or_broken(reason, tmp_path):
    """A new process is needed, because this process may have imported numba."""
    if reason:
        (tmp_path / "numba.py").write_text(f"raise ImportError({reason!r})")
    else:
        (tmp_path / "sitecustomize.py").write_text("import sys; sys.modules['numba'] = None")
    code = (
        "import numpy as np, chainrule as cr\n"
        "model = cr.mlp([2, 3, 2])\n"
        "trainer = cr.Trainer(model, loss=cr.CrossEntropyLoss(), optimizer=cr.Adam())\n"
        "trainer.fit(np.ones((4, 2)), [0, 1, 0, 1], verbose=0)\n"
        "cr.Adam().bind(cr.mlp([2, 2]))\n"
    )
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    run = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
    )
    assert run.returncode == 0, run.stderr
    if reason is None:
        assert run.stderr == ""
    else:
        assert run.stderr.count("RuntimeWarning") == 1
        assert f"numba is installed, but cannot be imported ({reason}): NumPy" in run.stderr


def test_a_rule_is_compiled_once_for_all_optimizers_of_its_kind():
    pytest.importorskip("numba", reason="the extra fast is not installed")
    from chainrule.backends.fused import _loops

    def shrink(rate):
        return lambda x, y: (x - rate * y,)

    assert _loops(cr.Adam().rule(np), 3) is _loops(cr.Adam(lr=0.1).rule(np), 3)
    assert _loops(shrink(0.1), 1) is not _loops(shrink(0.2), 1)
    for make in (lambda: cr.SGD(0.1), lambda: cr.SGD(0.1, momentum=0.9), cr.RMSprop, cr.Adagrad):
        assert make().rule(np) is make().rule(np)


RATE = 1.0


def test_rules_with_different_globals_are_different_rules(monkeypatch):
    backend = cr.get_backend("numpy")
    for rate in (1.0, 100.0):
        monkeypatch.setitem(globals(), "RATE", rate)
        value = np.zeros(3)
        update = backend.elementwise(lambda xp: lambda x, y: (x - RATE * y,), outputs=1)
        update(value, np.ones(3))
        np.testing.assert_array_equal(value, -rate)


def test_precisions(library):
    backend = library.backend
    if backend.precisions:
        found = cr.get_backend(backend.name, precision=backend.precisions[-1])
        assert found.precision in repr(found)
        assert pickle.loads(pickle.dumps(found)) is found
    with pytest.raises(ValueError, match="expected precision to be .*, found 'half'"):
        cr.get_backend(backend.xp, precision="half")
    with pytest.raises(ValueError, match="^precision='half' comes too late: .* already exists"):
        cr.get_backend(backend, precision="half")
