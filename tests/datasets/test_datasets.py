"""Read IDX files, and search folders for MNIST. No test uses the network."""

import doctest
import gzip
import importlib
import struct
import subprocess
import sys

import numpy as np
import pytest

import chainrule as cr
from chainrule.datasets import read_idx

module = importlib.import_module("chainrule.datasets.mnist")  # `cr.datasets.mnist` is a function


def idx(array, kind=0x08):
    array = np.asarray(array)
    big = array.astype(array.dtype.newbyteorder(">"))
    return struct.pack(f">HBB{array.ndim}I", 0, kind, array.ndim, *array.shape) + big.tobytes()


KINDS = {0x08: "u1", 0x09: "i1", 0x0B: "i2", 0x0C: "i4", 0x0D: "f4", 0x0E: "f8"}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_every_type_of_idx(kind, pack, tmp_path):
    array = (np.arange(24).reshape(2, 3, 4) - 3).astype(KINDS[kind])
    path = tmp_path / "file"
    path.write_bytes(pack(idx(array, kind)))
    found = read_idx(path)
    assert found.dtype == np.dtype(KINDS[kind])
    np.testing.assert_array_equal(found, array)


IMAGES = np.arange(2 * 3 * 3, dtype="u1").reshape(2, 3, 3)
GOOD = idx(IMAGES)
BAD = {
    "empty": (b"", "expected an IDX file"),
    "other": (b"PK\x03\x04 whatever", "found a file that begins with '504b0304'"),
    "type": (idx(IMAGES, 0x0A), "expected an IDX file"),
    "header": (GOOD[:9], "truncated: expected a header with 3 sizes"),
    "truncated": (GOOD[:-1], "truncated: expected 18 bytes, found 17"),
    "oversized": (GOOD + b"\0", "longer than the 18 bytes"),
    "labels": (idx(np.zeros(5, "u1")), r"expected an array of shape \(2, 3, 3\), found \(5,\)"),
    "gzip cut": (gzip.compress(GOOD)[:-9], "damaged gzip data|truncated"),
    "gzip sum": (gzip.compress(GOOD)[:-8] + bytes(8), "damaged gzip data"),
    "gzip junk": (gzip.compress(GOOD) + b"junk", "damaged gzip data|longer"),
    "255 axes": (b"\0\0\x08\xff" + b"\0\0\0\1" * 255 + b"x", r"expected an array of shape"),
}


@pytest.mark.parametrize(("data", "message"), BAD.values(), ids=BAD)
def test_bad_idx_files(data, message, tmp_path):
    path = tmp_path / "file"
    path.write_bytes(data)
    with pytest.raises(cr.FileFormatError, match=message):
        read_idx(path, shape=(2, 3, 3))


def test_sizes_that_are_too_large(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"\0\0\x0e\x03" + b"\xff" * 12)
    with pytest.raises(cr.FileFormatError, match="expected at most 134,217,728 bytes .*, found"):
        read_idx(path)
    path.write_bytes(b"\0\0\x08\x04" + bytes(4) + b"\xff" * 12)
    with pytest.raises(cr.FileFormatError, match="expected at most 134,217,728 bytes .*, found"):
        read_idx(path)
    path.write_bytes(b"\0\0\x0c\x02" + bytes(7) + b"\5")
    assert read_idx(path).shape == (0, 5)
    path.write_bytes(idx(IMAGES))
    with pytest.raises(
        cr.FileFormatError, match="at most 17 bytes .max_bytes= allows more., found 18"
    ):
        read_idx(path, max_bytes=17)
    assert read_idx(path, max_bytes=18).nbytes == 18
    path.write_bytes(b"\0\0\x08\xff" + b"\0\0\0\1" * 255 + b"x")
    with pytest.raises(cr.FileFormatError, match="at most 64 axes, found 255"):
        read_idx(path)
    path.write_bytes(b"\0\0\x08\x00" + b"x")
    assert read_idx(path).shape == ()


@pytest.mark.skipif(sys.platform == "win32", reason="the memory is measured with a POSIX call")
def test_a_gzip_bomb_is_not_unpacked(tmp_path):
    """A small file that unpacks to 400 MB is refused before it fills the memory."""
    path = tmp_path / "bomb.gz"
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(GOOD)
        for _ in range(400):
            file.write(bytes(10**6))
    code = (
        "import resource, sys\n"
        "import chainrule as cr\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "try:\n"
        f"    cr.datasets.read_idx({str(path)!r})\n"
        "except cr.FileFormatError as error:\n"
        "    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before\n"
        "    print('longer than' in str(error), grown < 50_000)\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "True True"


@pytest.fixture
def small(monkeypatch, tmp_path):
    """Use small data sets, an empty cache, and mirrors that do not answer."""
    rng = np.random.default_rng(0)
    files = {name: (n // 1000, *rest) for name, (n, *rest) in module._FILES.items()}
    contents = {}
    for dataset in (module._MNIST, module._FASHION):
        folder = tmp_path / dataset.folder
        folder.mkdir()
        for name, shape in files.items():
            high = 256 if len(shape) == 3 else 10
            contents[dataset.folder, name] = rng.integers(0, high, shape, dtype=np.uint8)
            (folder / f"{name}.gz").write_bytes(gzip.compress(idx(contents[dataset.folder, name])))
    md5 = tuple(module._md5(contents["mnist", name]) for name in files)
    nowhere = ("https://127.0.0.1:9/first/", "https://127.0.0.1:9/second/")
    replace = module.dataclasses.replace
    monkeypatch.setattr(module, "_FILES", files)
    monkeypatch.setattr(module, "_MNIST", replace(module._MNIST, md5=md5, mirrors=nowhere))
    monkeypatch.setattr(module, "_FASHION", replace(module._FASHION, mirrors=nowhere))
    monkeypatch.setattr(module, "_cache", lambda: tmp_path / "cache")
    monkeypatch.delenv("CHAINRULE_DATA", raising=False)
    return tmp_path, contents


def check(splits, contents, folder):
    (x_train, y_train), (x_test, y_test) = splits
    for name, found in zip(module._FILES, (x_train, y_train, x_test, y_test), strict=True):
        np.testing.assert_array_equal(found, contents[folder, name])
    assert (x_train.dtype, y_train.dtype) == (np.uint8, np.int64)
    assert x_test.shape == (10, 28, 28)


def test_found_in_a_folder_in_the_environment_and_in_the_cache(small, monkeypatch):
    home, contents = small
    check(cr.datasets.mnist(home), contents, "mnist")
    check(cr.datasets.mnist(home / "mnist"), contents, "mnist")
    check(cr.datasets.fashion_mnist(home), contents, "fashion-mnist")
    check(cr.datasets.fashion_mnist(home / "fashion-mnist"), contents, "fashion-mnist")
    monkeypatch.setenv("CHAINRULE_DATA", str(home / "mnist"))
    check(cr.datasets.mnist(), contents, "mnist")
    check(cr.datasets.mnist(home / "nowhere"), contents, "mnist")
    monkeypatch.delenv("CHAINRULE_DATA")
    (home / "cache").mkdir()
    (home / "fashion-mnist").rename(home / "cache" / "fashion-mnist")
    check(cr.datasets.fashion_mnist(), contents, "fashion-mnist")


def test_uncompressed_files_are_found(small):
    home, contents = small
    for path in (home / "mnist").iterdir():
        path.with_suffix("").write_bytes(gzip.decompress(path.read_bytes()))
        path.unlink()
    check(cr.datasets.mnist(home), contents, "mnist")


@pytest.mark.parametrize("inner", ["", "raw", "MNIST/raw", "mnist/raw", "MNIST", "Mnist"])
@pytest.mark.parametrize("spelling", ["-idx", ".idx", "-IDX"])
@pytest.mark.parametrize("packed", [True, False])
def test_names_used_by_other_tools(inner, spelling, packed, small):
    home, contents = small
    for own in ("mnist", "fashion-mnist"):
        named = {"MNIST": "FashionMNIST", "mnist": "fashion_mnist", "Mnist": "Fashion-Mnist"}
        place, _, raw = inner.partition("/")
        folder = (
            home / f"home of {own}" / (place if own == "mnist" else named.get(place, place)) / raw
        )
        folder.mkdir(parents=True)
        for path in (home / own).iterdir():
            data, name = path.read_bytes(), path.name.replace("-idx", spelling)
            data, name = (data, name) if packed else (gzip.decompress(data), name[:-3])
            (folder / name).write_bytes(data)
    check(cr.datasets.mnist(home / "home of mnist"), contents, "mnist")
    check(cr.datasets.fashion_mnist(home / "home of fashion-mnist"), contents, "fashion-mnist")


def test_missing_files_are_named(small):
    home, _ = small
    next((home / "mnist").glob("t10k-labels*")).unlink()
    with pytest.raises(
        cr.datasets.DownloadError, match=r"\(train-images-idx3-ubyte\[.gz\], .*not all found"
    ):
        cr.datasets.mnist(home)


def test_mnist_is_not_fashion_mnist(small):
    home, _ = small
    with pytest.raises(cr.datasets.DownloadError):
        cr.datasets.fashion_mnist(home / "mnist")
    with pytest.raises(cr.FileFormatError, match="not the MNIST file: expected content with MD5"):
        cr.datasets.mnist(home / "fashion-mnist")


def test_mislabelled_files(small):
    home, _ = small
    images, labels = (home / "mnist" / f"{name}.gz" for name in list(module._FILES)[:2])
    images.rename(home / "kept")
    labels.rename(images)
    (home / "kept").rename(labels)
    with pytest.raises(cr.FileFormatError, match=r"expected an array of shape \(60, 28, 28\)"):
        cr.datasets.mnist(home)
    (home / "fashion-mnist" / labels.name).write_bytes(idx(np.full(60, 10, "u1")))
    with pytest.raises(cr.FileFormatError, match=r"labels from 0 to 9\), found uint8 up to 10"):
        cr.datasets.fashion_mnist(home)


def test_without_a_network_the_error_says_so(small):
    home, _ = small
    with pytest.raises(cr.datasets.DownloadError, match="cannot be downloaded") as error:
        cr.datasets.mnist(home / "nowhere")
    assert "CHAINRULE_DATA" in str(error.value)
    assert str(error.value).count("https://127.0.0.1:9/") >= 2
    assert isinstance(error.value, OSError)
    assert not list((home / "cache").rglob("*ubyte*"))


def test_without_pooch(small, monkeypatch):
    monkeypatch.setitem(sys.modules, "pooch", None)
    with pytest.raises(cr.datasets.DownloadError, match=r'pip install "\.\[datasets\]" in a clone'):
        cr.datasets.mnist(small[0] / "nowhere")


def test_only_https():
    for dataset in (module._MNIST, module._FASHION):
        assert len(dataset.mirrors) == 2
        assert all(url.startswith("https://") for url in dataset.mirrors)
        assert all(len(digest) == 64 for digest in dataset.sha256)


def blank(dataset, data_home):
    sizes = 60_000, 10_000
    return tuple((np.zeros((n, 28, 28), dtype="uint8"), np.zeros(n, dtype=int)) for n in sizes)


def missing(dataset, data_home):
    raise cr.datasets.DownloadError


@pytest.mark.parametrize(
    ("name", "load"), [("mnist", blank), ("fashion_mnist", blank), ("DownloadError", missing)]
)
def test_the_examples_run_without_the_files(name, load, monkeypatch):
    monkeypatch.setattr(module, "_load", load)
    names, text = {"cr": cr}, getattr(module, name).__doc__.replace("# doctest: +SKIP", "")
    example = doctest.DocTestParser().get_doctest(text, names, name, None, None)
    failed, tried = doctest.DocTestRunner().run(example)
    assert (failed, tried) == (0, 1 if load is missing else 2)
