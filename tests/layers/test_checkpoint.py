"""Model files survive round trips, and invalid files are refused."""

import json
import math
import os
import stat
import sys

import numpy as np
import pytest
import safetensors.numpy
from table import OWN, Scale

import chainrule as cr
from chainrule.files.tensors import read_tensors, write_tensors
from chainrule.layers import architecture


@pytest.fixture
def model():
    init = cr.initializers.normal(0.3)
    return cr.Sequential(cr.Linear(4, 3, init=init), cr.LeakyReLU(0.2), cr.Linear(3, 2), seed=2)


@pytest.fixture
def path(model, tmp_path):
    model.save(tmp_path / "model.safetensors")
    return tmp_path / "model.safetensors"


def test_round_trip(model, path):
    loaded = cr.load(path)
    assert repr(loaded) == repr(model)
    x = np.ones((2, 4))
    np.testing.assert_array_equal(loaded.predict(x), model.predict(x))
    assert cr.load(path, dtype="float64").state.dtype == np.float64
    assert set(safetensors.numpy.load_file(path)) == set(model.named_parameters())


def test_metadata(path):
    with safetensors.safe_open(path, "numpy") as file:
        metadata = file.metadata()
    assert metadata["format_version"] == "1"
    assert len(metadata["sha256"]) == 64
    architecture = json.loads(metadata["architecture"])
    assert architecture["dtype"] == "float32"
    assert architecture["model"]["args"][1] == {"layer": "LeakyReLU", "args": [0.2], "kwargs": {}}


def test_any_flipped_bit_is_detected(path):
    data = path.read_bytes()
    rng = np.random.default_rng(0)
    for position in rng.integers(0, 8 * len(data), 1000):
        broken = bytearray(data)
        broken[position // 8] ^= 1 << (position % 8)
        path.write_bytes(broken)
        with pytest.raises(cr.FileFormatError, match="safetensors"):
            cr.load(path)


def test_any_other_length_is_detected(path):
    data = path.read_bytes()
    for length in (*np.random.default_rng(0).integers(0, len(data), 100), 0, 7, 8, 9):
        path.write_bytes(data[:length])
        with pytest.raises(cr.FileFormatError, match="safetensors"):
            cr.load(path)
    path.write_bytes(data + b"\0")
    with pytest.raises(cr.FileFormatError, match="safetensors"):
        cr.load(path)


def write(path, **changes):
    """Write a file with other metadata and a valid digest."""
    tensors, metadata = read_tensors(path)
    metadata = {k: v for k, v in {**metadata, **changes}.items() if v is not None}
    write_tensors(path, tensors, metadata)


EMPTY = {"layer": "Sequential", "args": [], "kwargs": {}}
LINEAR = {"layer": "Linear", "args": [4, 3], "kwargs": {}}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format_version": "2"}, "format version 1, found 2: .* by a newer chainrule"),
        ({"architecture": None}, r"the file holds no architecture: .* model.load_weights\(path\)"),
        ({"architecture": "{"}, "cannot build the model"),
        ({"architecture": "[]"}, "cannot build the model"),
        ({"architecture": '{"model": {"layer": "Linear"}}'}, "cannot build the model"),
        ({"architecture": "[" * 100_000}, "cannot build the model"),
        (
            {"architecture": json.dumps({"dtype": "float32", "model": LINEAR})},
            "expected a Sequential, found Linear",
        ),
        (
            {"architecture": json.dumps({"dtype": "float32", "model": {"layer": "os"}})},
            "an unknown layer 'os'",
        ),
        ({"architecture": json.dumps({"dtype": "x", "model": EMPTY})}, "dtype .* found 'x'"),
        (
            {"architecture": json.dumps({"dtype": "float64", "model": EMPTY})},
            r"unknown \['0.bias'",
        ),
    ],
    ids=[
        "version", "none", "half", "list", "no arguments", "deep", "no model", "unknown", "dtype",
        "other",
    ],
)  # fmt: skip
def test_bad_architectures(changes, message, path):
    write(path, **changes)
    with pytest.raises(cr.FileFormatError, match=message):
        cr.load(path)


def test_custom_layers(tmp_path):
    path = tmp_path / "own.safetensors"
    cr.Sequential(cr.Linear(3, 3), Scale(3)).save(path)
    with pytest.raises(
        cr.FileFormatError, match=r"an unknown layer 'Scale': pass its class, cr.load\("
    ):
        cr.load(path)
    assert isinstance(cr.load(path, layers=OWN)[1], Scale)
    for layers in ([Scale], Scale, {"Scale": Scale(3)}, {"Scale": int}):
        with pytest.raises(
            TypeError,
            match=r"expected a dict of .* classes, such as layers={'Scale': Scale}, found layer",
        ):
            cr.load(path, layers=layers)
    with pytest.raises(cr.FileFormatError, match=r"an unknown layer 'Scale'"):
        cr.load(path)


def test_an_argument_that_is_not_json(tmp_path):
    class Shift(cr.Identity):
        def __init__(self, by):
            self.by = by

    with pytest.raises(TypeError, match=r"argument of Shift.* cannot be written to a file"):
        cr.Sequential(Shift(np.ones(3))).save(tmp_path / "model.safetensors")
    assert os.listdir(tmp_path) == []


def test_a_custom_initializer_does_not_matter(tmp_path):
    model = cr.Sequential(cr.Linear(2, 2, init=lambda rng, shape: rng.normal(size=shape)))
    model.save(tmp_path / "model.safetensors")
    loaded = cr.load(tmp_path / "model.safetensors")
    np.testing.assert_array_equal(loaded[0].weight.value, model[0].weight.value)


def test_a_model_that_binds_itself(tmp_path):
    class Fixed(cr.Sequential):
        def __init__(self):
            super().__init__(cr.Linear(2, 2), seed=3)

    path, message = tmp_path / "model.safetensors", "Fixed chooses a backend, dtype or seed"
    with pytest.raises(TypeError, match=f"not saved, because loading it would fail: {message}"):
        Fixed().save(path)
    fixed = {"layer": "Fixed", "own": True, "args": [], "kwargs": {}}
    architecture = json.dumps({"dtype": "float32", "model": fixed})
    write_tensors(path, {}, {"architecture": architecture})
    with pytest.raises(TypeError, match=message):
        cr.load(path, layers={"Fixed": Fixed})


@pytest.mark.parametrize("where", ["weight", "running_var"])
@pytest.mark.parametrize("bad", [math.nan, -math.inf])
def test_models_with_nan_or_infinity_are_not_saved(where, bad, library, tmp_path):
    layers = cr.Linear(2, 3), cr.BatchNorm(3)
    model = cr.Sequential(*layers, backend=library.backend)
    trainer = cr.Trainer(model, loss=cr.MSELoss(), optimizer=cr.SGD(0.1))
    paths = tmp_path / "model", tmp_path / "training"
    model.save(paths[0]), trainer.save(paths[1])
    before = [path.read_bytes() for path in paths]
    part = model.named_stored()[f"1.{where}"]
    part.value[...] = bad
    kind = type(part).__name__.lower()
    for thing, path in zip((model, trainer), paths, strict=True):
        with pytest.raises(cr.DivergenceError, match=f"the {kind} '1.{where}' holds NaN"):
            thing.save(path)
    assert [path.read_bytes() for path in paths] == before


class Sides(cr.Identity):
    """A layer that puts its arguments into a set, so no argument can be a list."""

    def __init__(self, *sides):
        self.sides = set(sides)


class OfNumPy(cr.Identity):
    """A layer whose argument must be a NumPy integer, although a file stores a Python integer."""

    def __init__(self, size):
        if type(size) is int:
            raise TypeError("expected one of NumPy's integers")


class TwoNames(cr.Sequential):
    """A model with one more layer than the previous instance of this class."""

    made = 0

    def __init__(self):
        TwoNames.made += 1
        super().__init__(*[cr.Linear(2, 2) for _ in range(TwoNames.made)])


def another_scale():
    class Scale(cr.Identity):
        pass

    return Scale()


def nested(depth):
    model = cr.Sequential(cr.ReLU())
    for _ in range(depth):
        model = cr.Sequential(model)
    return model


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: cr.Sequential(OfNumPy(np.int64(1))), TypeError, "loading it would .* NumPy's int"),
        (TwoNames, TypeError, r"loading it would fail: .*missing \['1.bias', '1.weight'\]"),
        (lambda: cr.Sequential(Scale(2), another_scale()), TypeError, "two layer .* 'Scale'"),
        (lambda: cr.Sequential(Named("x" * 2**22)), ValueError, "a header of at most 4194304"),
        (lambda: cr.Sequential(*[cr.ReLU()] * 1_001), TypeError, "more than 1,000 layers"),
    ],
    ids=["NumPy", "other layers", "classes", "header", "count"],
)
def test_models_that_could_not_be_loaded_are_not_saved(
    make, error, message, model, path, monkeypatch
):
    monkeypatch.setattr("chainrule.layers.storage.MOST_PARTS", 1_000)
    before = path.read_bytes()
    with pytest.raises(error, match=message):
        make().save(path)
    assert path.read_bytes() == before


class Named(cr.Identity):
    """A layer with parameters of the given names."""

    def __init__(self, *names):
        for name in names:
            setattr(self, name, cr.Parameter((1,)))


def test_duplicate_names():
    layer = Named()
    layer.parts = {"a.b": cr.Parameter((1,)), "a": {"b": cr.Parameter((2,))}}
    with pytest.raises(
        ValueError,
        match=r"a different name for every parameter and buffer, found two called '0.parts.a.b'",
    ):
        cr.Sequential(layer, seed=0)


def test_a_parameter_with_the_name_of_pytorchs_counter(tmp_path):
    """A parameter called num_batches_tracked is loaded, unlike PyTorch's counter of that name."""
    model = cr.Sequential(Named("running_mean", "num_batches_tracked"), seed=0)
    model[0].num_batches_tracked.value[...] = 3.0
    model.save(tmp_path / "model.safetensors")
    loaded = cr.load(tmp_path / "model.safetensors", layers={"Named": Named})
    assert loaded[0].num_batches_tracked.value == 3.0


@pytest.mark.parametrize("option", [{"seed": 0}, {"dtype": "float64"}, {"backend": "torch"}])
@pytest.mark.parametrize("inner", [False, True])
@pytest.mark.parametrize("own", [False, True])
def test_a_file_cannot_make_anything_be_drawn_or_imported(option, inner, own, path, monkeypatch):
    """A file that sets a backend, dtype or seed is refused before any weights are drawn."""

    class Net(cr.Sequential):
        def __init__(self, *layers, **options):
            super().__init__(*layers, **options)

    def refuse(*_, **__):
        raise AssertionError("it was bound")

    large = {"layer": "Linear", "args": [10**9, 10**9], "kwargs": {}}
    kind = {"layer": "Net", "own": True} if own else {"layer": "Sequential"}
    described = {**kind, "args": [large], "kwargs": option}
    if inner:
        described = {"layer": "Sequential", "args": [described], "kwargs": {}}
    write(path, architecture=json.dumps({"dtype": "float32", "model": described}))
    monkeypatch.setattr(cr.Layer, "bind", refuse)
    with pytest.raises(cr.FileFormatError, match=r"in a file cannot have the arguments \['"):
        cr.load(path, layers={"Net": Net})


@pytest.mark.parametrize(
    "layer",
    [
        {"layer": "Linear", "args": [10**9, 10**9], "kwargs": {}},
        {"layer": "Linear", "args": [10**300, 3], "kwargs": {}},
        {"layer": "BatchNorm", "args": [10**12], "kwargs": {}},
        {"layer": "LayerNorm", "args": [10**12], "kwargs": {}},
        {
            "layer": "Linear",
            "args": [10**9, 10**9],
            "kwargs": {"init": {"initializer": "constant", "fill": 1.0}},
        },
    ],
)
def test_sizes_are_checked_before_allocation(layer, path):
    described = {**EMPTY, "args": [layer, {"layer": "ReLU", "args": [], "kwargs": {}}]}
    write(path, architecture=json.dumps({"dtype": "float32", "model": described}))
    with pytest.raises(cr.FileFormatError, match="does not fit|has shape"):
        cr.load(path)


def test_a_symbolic_link_stays_a_link(model, path):
    link = path.parent / "link.safetensors"
    link.symlink_to(path)
    model[0].bias.value[...] = 5.0
    model.save(link)
    assert link.is_symlink()
    assert (cr.load(path)[0].bias.value == 5.0).all()


def test_a_dtype_that_numpy_lacks(model, tmp_path):
    header = {"0.weight": {"dtype": "F8_E5M2", "shape": [2], "data_offsets": [0, 2]}}
    raw = json.dumps(header).encode()
    (tmp_path / "f8").write_bytes(len(raw).to_bytes(8, "little") + raw + bytes(2))
    with pytest.raises(cr.FileFormatError, match="of type 'F8_E5M2', which NumPy lacks"):
        model.load_weights(tmp_path / "f8")


def test_foreign_files(model, tmp_path):
    path = tmp_path / "foreign.safetensors"
    tensors = {n: np.full(p.shape, 0.5, "float64") for n, p in model.named_parameters().items()}
    safetensors.numpy.save_file(tensors, path)
    with pytest.raises(cr.FileFormatError, match="holds no architecture"):
        cr.load(path)
    model.load_weights(path)
    assert (model.state.values == 0.5).all()


def damaged(tensors):
    yield (
        {**tensors, "0.weight": tensors["0.weight"].T.copy()},
        (r"parameter '0.weight' has shape \(3, 4\) in the model, but \(4, 3\) in the file"),
    )
    yield {k: v for k, v in tensors.items() if k != "2.bias"}, r"missing \['2.bias'\], unknown none"
    yield {**tensors, "3.bias": np.ones(2)}, r"missing none, unknown \['3.bias'\]"
    yield {**tensors, "2.bias": np.ones(2, int)}, "'2.bias': expected floating-point numbers"


def test_weights_that_do_not_fit_leave_the_model_unchanged(model, tmp_path):
    path = tmp_path / "other.safetensors"
    tensors = {n: np.zeros(p.shape) for n, p in model.named_parameters().items()}
    before = model.state.values.copy()
    for wrong, message in damaged(tensors):
        safetensors.numpy.save_file(wrong, path)
        with pytest.raises(cr.FileFormatError, match=message):
            model.load_weights(path)
        np.testing.assert_array_equal(model.state.values, before)


def test_a_missing_file_and_a_text_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        cr.load(tmp_path / "none.safetensors")
    (tmp_path / "text.safetensors").write_text("hello")
    with pytest.raises(cr.FileFormatError, match="it begins with b'hello'"):
        cr.load(tmp_path / "text.safetensors")


def test_a_failed_write_leaves_the_old_file(model, path, monkeypatch):
    before = path.read_bytes()
    for broken in ("fsync", "replace"):
        with monkeypatch.context() as patch:
            patch.setattr(os, broken, lambda *_: (_ for _ in ()).throw(OSError("disk full")))
            with pytest.raises(OSError, match="disk full"):
                model.save(path)
        assert path.read_bytes() == before
        assert os.listdir(path.parent) == [path.name]
    with pytest.raises(FileNotFoundError):
        model.save(path.parent / "nowhere" / "model.safetensors")


@pytest.mark.skipif(sys.platform == "win32", reason="these permissions need POSIX")
def test_file_permissions(model, path):
    plain = path.parent / "plain"
    plain.touch()
    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE(plain.stat().st_mode)
    path.chmod(0o640)
    model.save(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


@pytest.mark.parametrize("name", sorted(architecture._INITIALIZERS))
def test_initializers_in_files(name, tmp_path):
    options = {"constant": (2.0,), "uniform": (-1.0, 1.0), "normal": (0.1,)}.get(name, ())
    init = getattr(cr.initializers, name)(*options)
    model = cr.Sequential(cr.Linear(3, 3, init=init))
    model.save(tmp_path / "model.safetensors")
    loaded = cr.load(tmp_path / "model.safetensors")
    assert repr(loaded) == repr(model)
    np.testing.assert_array_equal(loaded[0].weight.value, model[0].weight.value)


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e300])
def test_weights_that_are_not_finite(bad, model, tmp_path):
    path = tmp_path / "bad.safetensors"
    tensors = {n: np.zeros(p.shape) for n, p in model.named_parameters().items()}
    tensors["2.bias"][1] = bad
    safetensors.numpy.save_file(tensors, path)
    with pytest.raises(cr.FileFormatError, match=r"'2.bias': .*too large for float32"):
        model.load_weights(path)


def test_foreign_weights_on_every_library(library, tmp_path):
    path = tmp_path / "foreign.safetensors"
    safetensors.numpy.save_file({"0.weight": np.ones((2, 3)), "0.bias": np.zeros(2)}, path)
    model = cr.Sequential(cr.Linear(3, 2), backend=library.backend)
    model.load_weights(path)
    assert (library.to_numpy(model.state.values) == [1, 1, 1, 1, 1, 1, 0, 0]).all()


def test_tuples_stay_tuples_in_files(tmp_path):
    model = cr.Sequential(Sides((1, 2), "a", (3, (4.0,))), cr.Conv2d(1, 1, (1, 2)))
    model.save(tmp_path / "model")
    loaded = cr.load(tmp_path / "model", layers={"Sides": Sides})
    assert loaded[0].sides == {(1, 2), "a", (3, (4.0,))}
    assert repr(loaded) == repr(model)


def test_a_file_keeps_its_meaning_if_a_default_changes(tmp_path):
    def versions():
        class Power(cr.Layer):
            def __init__(self, by=2.0, *, function=np.sin, names=("a",)):
                self.by = by

            def forward(self, x, *, training=False):
                return x**self.by, lambda dy: dy

        old = Power

        class Power(Power):
            def __init__(self, by=3.0, *, function=np.cos, names=("b",)):
                super().__init__(by)

        return old, Power

    old, new = versions()
    model = cr.Sequential(cr.BatchNorm(1), old(), cr.Linear(1, 1))
    model.save(tmp_path / "model")
    described = json.loads(read_tensors(tmp_path / "model")[1]["architecture"])["model"]["args"]
    assert described[0]["kwargs"] == {"eps": 1e-5, "momentum": 0.1, "affine": True}
    assert described[1]["kwargs"] == {
        "by": 2.0,
        "names": {"tuple": ["a"]},
    }  # files do not store functions
    loaded = cr.load(tmp_path / "model", layers={"Power": new})
    assert repr(loaded[0]) == "BatchNorm(1)"
    assert loaded[1].by == 2.0
    assert repr(cr.load(tmp_path / "model", layers={"Power": old})[2]) == "Linear(1, 1)"
