"""Safetensors files survive round trips, and invalid files are refused."""

import hashlib
import json
import os

import numpy as np
import pytest
import safetensors
import safetensors.numpy

import chainrule as cr
from chainrule.files import tensors as tensor_file
from chainrule.files.tensors import read_tensors, write_tensors

TENSORS = {
    "bool": np.array([True, False, True]),
    **{k: np.arange(5).astype(k) for k in ("u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8")},
    **{k: np.linspace(-1, 1, 6).reshape(2, 3).astype(k) for k in ("f2", "f4", "f8")},
    "big-endian": np.arange(3, dtype=">i4"),
    "transposed": np.arange(6.0).reshape(2, 3).T,
    "complex": np.array([1 + 2j], "c8"),
    "one": np.array(3.5),
    "none": np.zeros((0, 4)),
    "größe": np.ones((1, 1, 1)),
}


def same(found, expected):
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        assert found[name].dtype == array.dtype.newbyteorder("=")
        assert found[name].shape == array.shape
        np.testing.assert_array_equal(found[name], array)


def test_round_trip(tmp_path):
    path = tmp_path / "file"
    text = {"quotes": '"sha256":"0"', "größe": "ü\n"}
    write_tensors(path, TENSORS, text)
    tensors, metadata = read_tensors(path)
    same(tensors, TENSORS)
    assert all(a.flags.aligned and a.flags.writeable for a in tensors.values())
    assert {**text, "format_version": "1"}.items() <= metadata.items()
    assert len(metadata["sha256"]) == 64


def test_the_safetensors_package_reads_it(tmp_path):
    write_tensors(tmp_path / "file", TENSORS, {"a": "b"})
    same(safetensors.numpy.load_file(tmp_path / "file"), TENSORS)
    with safetensors.safe_open(tmp_path / "file", "numpy") as file:
        assert file.metadata()["a"] == "b"


def test_it_reads_files_of_the_safetensors_package(tmp_path):
    tensors = {
        k: np.array(v.astype(v.dtype.newbyteorder("=")), order="C") for k, v in TENSORS.items()
    }
    for metadata in (None, {"format": "pt", "architecture": "none of ours"}):
        safetensors.numpy.save_file(tensors, tmp_path / "file", metadata)
        found, text = read_tensors(tmp_path / "file")
        same(found, tensors)
        assert text == {}


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    monkeypatch.setattr(tensor_file, "MAX_HEADER", 199)
    with pytest.raises(ValueError, match="a header of at most 199 bytes, found"):
        write_tensors(tmp_path / "file", {}, {"x": "x" * 200})
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("name", "array"),
    [
        ("a", np.ones(2, "complex128")),
        ("a", np.ones(2, np.dtype([("bits", "u2")]))),  # NumPy's stand-in for bfloat16
        ("a", np.array(["text"])),
        ("__metadata__", np.ones(2)),
    ],
    ids=["complex", "bits", "text", "name"],
)
def test_arrays_that_would_be_refused_are_not_written(name, array, tmp_path):
    (tmp_path / "file").write_bytes(b"before")
    with pytest.raises((TypeError, ValueError), match="expected booleans, .* found|is reserved"):
        write_tensors(tmp_path / "file", {name: array}, {})
    assert (tmp_path / "file").read_bytes() == b"before"


def entry(dtype="F32", shape=(2,), offsets=(0, 8), **more):
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets, **more}


def file(header, data=bytes(8)):
    header = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(header).to_bytes(8, "little") + header + data


ENTRY = json.dumps(entry()).encode()
TWICE = b'{"a": {"dtype": "F32", "dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}'
HUGE = b'{"a": {"dtype": "F32", "shape": [%s], "data_offsets": [0, 8]}}' % (b"9" * 5000)
BAD = {
    "empty": b"",
    "short": b"\0" * 7,
    "beyond": file({}, b"")[:9],
    "enormous": b"\xff" * 8 + bytes(99),
    "too long": file(b" " * (2**22 + 1)),
    "no object": file([1, 2]),
    "blank": file(b" {}"),
    "no JSON": file(b"{'a': 1}"),
    "two": file(b"{} {}"),
    "no UTF-8": file(b'{"\xff": 1}'),
    "half a character": file({"\ud800": entry()}),
    "deep": file(b'{"a":' * 100_000),
    "NaN": file({"a": entry(shape=[float("nan")])}),
    "digits": file(HUGE),
    "key twice": file(TWICE),
    "name twice": file(b'{"a": %s, "a": %s}' % (ENTRY, ENTRY)),
    "metadata twice": file(b'{"__metadata__": {"k": "1", "k": "2"}, "a": %s}' % ENTRY),
    "metadata": file({"__metadata__": [], "a": entry()}),
    "no metadata": file({"__metadata__": None, "a": entry()}),
    "number": file({"__metadata__": {"a": 1}, "a": entry()}),
    "no entry": file({"a": 1}),
    "size of bfloat16": file({"a": entry("BF16")}),
    "bfloat16 by far": file({"a": entry("BF16", (2**40,))}),
    "no type": file({"a": entry(["F32"])}),
    "negative": file({"a": entry(shape=[-2])}),
    "fraction": file({"a": entry(shape=[2.0])}),
    "boolean": file({"a": entry(shape=[2, True])}),
    "no list": file({"a": entry(shape="2")}),
    "axes": file({"a": entry(shape=[2] + [1] * 64)}),
    "overflow": file({"a": entry(shape=[2**62, 4])}),
    "overflow, empty": file({"a": entry(shape=[0, 2**62], offsets=[0, 0])}),
    "shape": file({"a": entry(shape=[3])}),
    "one offset": file({"a": entry(offsets=[0])}),
    "negative offset": file({"a": entry(offsets=[-8, 0])}),
    "reversed": file({"a": entry(offsets=[8, 0])}),
    "hole": file({"a": entry(offsets=[4, 12])}, bytes(12)),
    "overlap": file({"a": entry(), "b": entry()}),
    "less": file({"a": entry()}, bytes(7)),
    "more": file({"a": entry()}, bytes(9)),
}


@pytest.mark.parametrize("data", BAD.values(), ids=BAD)
def test_bad_files_are_refused(data, tmp_path):
    path = tmp_path / "file"
    path.write_bytes(data)
    with pytest.raises(cr.FileFormatError, match="not a valid safetensors file: .+"):
        read_tensors(path)


def test_a_dtype_that_numpy_lacks(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(file({"a": entry("F8_E4M3", (8,))}))
    with pytest.raises(cr.FileFormatError, match=r"tensors of type 'F8_E4M3', which NumPy lacks"):
        read_tensors(path)


def test_bfloat16_is_the_upper_half_of_float32(tmp_path):
    bits = {0x3F80: 1.0, 0xC020: -2.5, 0x0001: 2.0**-133, 0x7F7F: 2.0**128 - 2.0**120}
    bits |= {0x8000: -0.0, 0x7F80: np.inf}
    path, data = tmp_path / "file", np.asarray(list(bits), "<u2").tobytes()
    path.write_bytes(file({"a": entry("BF16", (2, 3), (0, 12))}, data))
    (found,) = read_tensors(path)[0].values()
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found.reshape(-1), list(bits.values()))
    assert np.signbit(found[1, 1])


OTHERS = {
    "torch.save": (b"PK\3\4\x14\0", r"found a zip archive, as written .*torch.save_file\("),
    "older": (b"\x80\2\x8a\nl\xfc", "found a pickle, as written by older versions of"),
    "keras": (b"\x89HDF\r\n\x1a\n", "found an HDF5 file"),
    "numpy": (b"\x93NUMPY\1\0v\0", "found an array, as written by numpy.save"),
}


@pytest.mark.parametrize(("start", "message"), OTHERS.values(), ids=OTHERS)
def test_weights_of_other_tools(start, message, tmp_path):
    path = tmp_path / "file"
    path.write_bytes(start + bytes(100))
    with pytest.raises(cr.FileFormatError, match=f"expected a safetensors file, {message}"):
        read_tensors(path)


def test_text_is_shown(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("some words in a file")
    with pytest.raises(cr.FileFormatError, match="; it begins with b'some words in a file'$"):
        read_tensors(path)


def test_a_header_whose_length_begins_like_a_pickle(tmp_path):
    header = json.dumps({"a": entry()}).encode().ljust(0x280)
    (tmp_path / "file").write_bytes(file(header))
    assert (tmp_path / "file").read_bytes().startswith(b"\x80\2")
    assert read_tensors(tmp_path / "file")[0]["a"].tolist() == [0.0, 0.0]


def test_unusual_files_are_accepted(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(file({"b": entry(offsets=[8, 16]), "a": entry()}, bytes(range(16))))
    tensors, metadata = read_tensors(path)
    np.testing.assert_array_equal(tensors["b"].view("u1"), range(8, 16))
    assert metadata == {}
    path.write_bytes(file({"a": entry("BOOL", [8])}, bytes(range(8))))
    assert read_tensors(path)[0]["a"].tolist() == [False, *[True] * 7]
    path.write_bytes(file({"a": entry("C64", [1])}))
    assert read_tensors(path)[0]["a"] == np.zeros(1, "complex64")
    path.write_bytes(file(b"{}  ", b""))
    assert read_tensors(path) == ({}, {})


def test_a_file_without_the_right_digest(tmp_path):
    path = tmp_path / "file"
    for metadata in (
        {"format_version": "1"},
        {"sha256": "0" * 64},
        {"format_version": "1", "sha256": ""},
        {"format_version": "1", "sha256": "0" * 64},
    ):
        path.write_bytes(file({"__metadata__": metadata, "a": entry()}))
        with pytest.raises(cr.FileFormatError, match="damaged: the content does not match"):
            read_tensors(path)


def test_the_digest_covers_the_whole_file(tmp_path):
    write_tensors(tmp_path / "file", TENSORS, {})
    data = (tmp_path / "file").read_bytes()
    digest = read_tensors(tmp_path / "file")[1]["sha256"]
    assert hashlib.sha256(data.replace(digest.encode(), b"0" * 64)).hexdigest() == digest


@pytest.mark.parametrize("version", ["2", "", "ü"])
def test_another_version(version, tmp_path):
    write_tensors(tmp_path / "file", {}, {"format_version": version})
    with pytest.raises(cr.FileFormatError, match=f"expected format version 1, found {version}: "):
        read_tensors(tmp_path / "file")


def test_no_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_tensors(tmp_path / "none")
    with pytest.raises(OSError, match="found a folder|denied"):
        read_tensors(tmp_path)
