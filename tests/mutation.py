"""Damaged files, made from valid ones by a fixed seed, and what the readers make of them.

``python tests/mutation.py --count 10000`` reads as many and prints the figures as JSON;
``--only 1234`` makes and reads that one alone, and shows the error in full.
"""

import argparse
import collections
import faulthandler
import gzip
import hashlib
import json
import random
import struct
import sys
import tempfile
import time
import traceback
import warnings
import zlib
from pathlib import Path

import numpy as np

import chainrule as cr
from chainrule.datasets import read_idx

KINDS = ("idx", "gzip", "model", "signed", "foreign")
MOST_MEMORY = 300 * 2**20
LONGEST = 60  # seconds for one file, after which it counts as a hang


# The valid files that it starts from.


def idx(array, code):
    header = struct.pack(f">HBB{array.ndim}I", 0, code, array.ndim, *array.shape)
    return header + array.astype(array.dtype.newbyteorder(">")).tobytes()


def models():
    """Small ones that hold every kind of thing that an architecture does."""
    shared = cr.Linear(3, 3, init=cr.initializers.normal(0.5))
    return [
        cr.Sequential(cr.Linear(4, 3), cr.ReLU(), cr.Linear(3, 2), seed=1),
        cr.Sequential(shared, cr.Sequential(cr.LeakyReLU(0.2), cr.Dropout(p=0.1)), shared, seed=2),
        cr.Sequential(cr.Rescaling(0.5, offset=-1.0), cr.Linear(2, 1, bias=False), dtype="float64"),
    ]


def trainer():
    """One with a state: momentum, running statistics, and a training that stopped in between."""
    layers = cr.Linear(4, 3), cr.BatchNorm(3), cr.Dropout(0.1), cr.Linear(3, 2)
    made = cr.Trainer(cr.Sequential(*layers, seed=3), loss=cr.MSELoss(), optimizer=optimizer())
    x = np.random.default_rng(0).normal(size=(10, 4))
    made.fit(x, x[:, :2], epochs=2, batch_size=4, verbose=0)
    return made


def optimizer():
    return cr.SGD(lr=0.01, momentum=0.9)


def split(file):
    """A safetensors file as its header and its data."""
    start = 8 + int.from_bytes(file[:8], "little")
    return json.loads(file[8:start]), file[start:]


def join(header, data):
    """A safetensors file of a header, as a dict or as it stands, and of data."""
    if not isinstance(header, str | bytes):
        header = json.dumps(header, separators=(",", ":")).replace('"@huge@"', "9" * 5000)
    header = header if isinstance(header, bytes) else header.encode(errors="surrogatepass")
    return struct.pack("<Q", len(header)) + header + data


def foreign(model, dtype, code, metadata):
    """The weights of a model as another library writes them."""
    header, data = dict(metadata), b""
    for name, p in stored(model).items():
        value = p.value.astype(dtype).tobytes()
        place = [len(data), len(data) + len(value)]
        header[name] = {"dtype": code, "shape": list(p.shape), "data_offsets": place}
        data += value
    return join(header, data)


def sign(file):
    """The file with the SHA-256 that it should have, wherever it has one."""
    at = file.find(b'"sha256":"') + 10
    if at < 10:
        return file
    blank = file[:at] + b"0" * 64 + file[at + 64 :]
    return file[:at] + hashlib.sha256(blank).hexdigest().encode() + file[at + 64 :]


class Sources:
    """The valid files of each kind, and the models that they hold."""

    def __init__(self, folder):
        self.trainer = trainer()
        self.models = [*models(), self.trainer.model]
        saved = []
        for thing in (*self.models[:-1], self.trainer):
            thing.save(folder / "saved")
            saved.append((folder / "saved").read_bytes())
        images = np.arange(6 * 5 * 4, dtype="u1").reshape(6, 5, 4)
        plain = [
            idx(images, 0x08),
            idx(np.arange(50, dtype="i2"), 0x0B),
            idx(np.linspace(0, 1, 12).reshape(3, 4), 0x0E),
        ]
        formats = [("f4", "F32", {}), ("f8", "F64", {"__metadata__": {"format": "pt"}})]
        others = [foreign(m, *f) for m in self.models for f in formats]
        self.files = {
            "idx": plain,
            "gzip": plain,  # compressed once they are mutated
            "model": saved,
            "signed": saved,
            "foreign": others,
        }
        self.model_of = {
            "model": self.models,
            "signed": self.models,
            "foreign": [m for m in self.models for _ in formats],
        }


# Damage that knows nothing of the format.


def scramble(rng, data, other):
    """From one to eight random changes; `other` is a valid file to take pieces from."""
    data = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 3, 8))):
        i, j = sorted(rng.randrange(len(data) + 1) for _ in range(2))
        j = min(j, i + rng.choice((1, 4, 16, 1000)))
        change = rng.randrange(9)
        if change <= 1 and data:
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        elif change == 2 and data:
            data[rng.randrange(len(data))] = rng.choice((0, 1, 0x7F, 0xFF, *b'",:{}[]-09'))
        elif change == 3:
            data[i:i] = rng.randbytes(rng.choice((1, 2, 8, 100)))
        elif change == 4:
            del data[i:j]
        elif change == 5:
            data[i:j] = bytes(j - i)
        elif change == 6:
            data[i:i] = data[i:j]
        elif change == 7:
            k = rng.randrange(len(data) + 1)
            data[i:j], data[k : k + j - i] = data[k : k + j - i], data[i:j]
        else:
            k = rng.randrange(len(other))
            data[i:j] = other[k : k + j - i]
    return bytes(data)


def truncate(rng, data):
    return data[: rng.randrange(len(data))]


def append(rng, data):
    return data + rng.choice((b"\0", b"\0" * 8, b"junk", data))


# Damage to IDX files. Each function takes a generator and a valid file.


def idx_magic(rng, data):
    return rng.choice((rng.randbytes(4), b"PK\3\4", b"\0\0\0\0", b"\x1f\x8b\0\0")) + data[4:]


def idx_type(rng, data):
    return data[:2] + bytes([rng.randrange(256)]) + data[3:]


def idx_axes(rng, data):
    return data[:3] + bytes([rng.choice((0, 1, 2, 63, 64, 65, 255, rng.randrange(256)))]) + data[4:]


def idx_no_axes(rng, data):
    return data[:3] + b"\0" + rng.choice((b"", b"\1", bytes(8), data[4:]))


def idx_many_axes(rng, data):
    axes = rng.choice((33, 64, 65, 255))
    return data[:3] + bytes([axes]) + b"\0\0\0\1" * axes + bytes(8)


def idx_sizes(rng, data):
    """Sizes that are too large, negative when they are read as signed, or multiply to 2**64."""
    sizes = [rng.choice((0, 1, 2**16, 2**31, 2**32 - 1, rng.randrange(2**32))) for _ in "1234"]
    sizes = rng.choice((sizes, [2**16] * 4, [2**31, 2, 2**31, 2], [0, *[2**32 - 1] * 3], [2**27]))
    rest = rng.choice((b"", data[4:]))
    return data[:3] + bytes([len(sizes)]) + struct.pack(f">{len(sizes)}I", *sizes) + rest


def idx_one_size(rng, data):
    at = 4 + 4 * rng.randrange(data[3])
    size = int.from_bytes(data[at : at + 4], "big")
    size = rng.choice((0, size - 1, size + 1, 2 * size, size << 24, 2**32 - size, 2**32 - 1))
    return data[:at] + struct.pack(">I", size) + data[at + 4 :]


IDX = [idx_magic, idx_type, idx_axes, idx_no_axes, idx_many_axes, idx_sizes, idx_one_size]
IDX += [truncate, append]


def bomb(head, size, total):
    """An IDX file of bytes that says `size` and unpacks to `total` zeros."""
    pack = zlib.compressobj(9, zlib.DEFLATED, -15)
    header = head + struct.pack(">I", size)
    start = pack.compress(header) + pack.flush(zlib.Z_FULL_FLUSH)
    block = pack.compress(bytes(2**20)) + pack.flush(zlib.Z_FULL_FLUSH)
    crc, zeros = zlib.crc32(header), bytes(2**20)
    if total <= 2**27:  # beyond, nobody gets as far
        for _ in range(total // 2**20):
            crc = zlib.crc32(zeros, crc)
    end = pack.flush() + struct.pack("<2I", crc, (len(header) + total) % 2**32)
    return b"\x1f\x8b\x08" + bytes(7) + start + block * (total // 2**20) + end


def gzip_bomb(rng, data):
    size = rng.choice((0, 1, 2**20, 2**22, 2**32 - 1))
    return bomb(b"\0\0\x08\1", size, rng.choice((2**22, 2**31)))


def gzip_cut(rng, data):
    return truncate(rng, gzip.compress(data))


def gzip_sum(rng, data):
    return gzip.compress(data)[:-8] + rng.choice((bytes(8), rng.randbytes(8)))


def gzip_length(rng, data):
    return gzip.compress(data)[:-4] + rng.choice((bytes(4), b"\xff" * 4))


def gzip_members(rng, data):
    cut = rng.randrange(len(data))
    parts = [data[:cut], b"", data[cut:], *rng.choice(([], [b"\0"], [b""] * 100))]
    return b"".join(map(gzip.compress, parts))


def gzip_twice(rng, data):
    return gzip.compress(gzip.compress(data))


def gzip_tail(rng, data):
    return gzip.compress(data) + rng.choice((bytes(100), b"junk", b"\x1f\x8b", b"\x1f\x8b\x08"))


def gzip_not(rng, data):
    return b"\x1f\x8b" + rng.choice((b"", b"\x08", data, rng.randbytes(30)))


def gzip_flags(rng, data):
    packed = gzip.compress(data)
    return packed[:3] + bytes([rng.randrange(256)]) + packed[4:]


def gzip_content(rng, data):
    return gzip.compress(rng.choice(IDX)(rng, data))


GZIP = [gzip_bomb, gzip_cut, gzip_sum, gzip_length, gzip_members, gzip_twice, gzip_tail, gzip_not]
GZIP += [gzip_flags, gzip_content]


# Damage to safetensors files as they stand.


def header_length(rng, file):
    size = int.from_bytes(file[:8], "little")
    size = rng.choice((0, 1, size - 1, size + 1, size + 8, len(file), 10**8 + 1, 2**63, 2**64 - 1))
    return struct.pack("<Q", size) + file[8:]


def header_bytes(rng, file):
    """Not UTF-8, or not without more ado."""
    header, data = split(file)
    text = json.dumps(header).encode()
    at = rng.randrange(len(text))
    spoiled = (
        text[:at] + rng.choice((b"\xff", b"\xc3", b"\xed\xa0\x80", b"\0", b"\n")) + text[at:],
        text.decode().encode("utf-16"),
        b"\xef\xbb\xbf" + text,
        b"  " + text + b"  ",
        text.replace(b"weight", b"\xc0\xaf"),
    )
    return join(rng.choice(spoiled), data)


def header_text(rng, file):
    """Not JSON, JSON of another type, or JSON that is nested too deeply."""
    data = file[8 + int.from_bytes(file[:8], "little") :]
    texts = (
        b"", b"hello", b"{", b"{}", b"{} {}", b"{'a': 1}", b'{"a":', b"[]", b"[{}]", b"null", b"1",
        b'"x"', b"true", b"NaN", b"-Infinity", b'{"__metadata__":{}}', b'{"__metadata__":{}',
        b"[" * 100_000, b'{"a":' * 50_000, b'{"__metadata__":' + b"[" * 990 + b"]" * 990 + b"}",
        b'{"a":' + b"[" * 50_000 + b"]" * 50_000 + b"}",
    )  # fmt: skip
    return join(rng.choice(texts), data)


def duplicate_key(rng, file):
    """A tensor, or a key within one or within the metadata, twice."""
    header, data = split(file)
    text = json.dumps(header, separators=(",", ":"))
    name = rng.choice(list(header))
    pair = json.dumps(name) + ":" + json.dumps(header[name], separators=(",", ":"))
    if rng.random() < 0.5:
        return join("{" + pair + "," + text[1:], data)
    key, value = rng.choice(list(header[name].items()))
    inner = json.dumps(key) + ":" + json.dumps(value)
    return join(text.replace(pair, pair[:-1] + "," + inner + "}"), data)


RAW = [header_length, header_bytes, header_text, duplicate_key, truncate, append]

# Damage to a header that stays JSON. Each function takes a generator, the header and the data,
# and changes the header or returns other data.

JUNK = (
    None, True, -1, 0, 1, 1.5, -0.0, 1e308, float("nan"), float("inf"), 2**31, 2**53 + 1, 2**63,
    2**64, -(2**63), "@huge@", "", "x", "\ud800", "0" * 64, [], [[]], [0], [1, 2], {}, {"a": 1},
    {"layer": "ReLU", "args": [], "kwargs": {}}, {"same_as": "/0"}, {"initializer": "zeros"},
)  # fmt: skip


def junk(rng):
    return rng.choice(JUNK)


def graft(rng, tree):
    """Puts junk in the place of a random node, or drops it, or adds one."""
    nodes = [(tree, None)]
    for parent, _ in nodes:
        keys = (
            list(parent) if isinstance(parent, dict)
            else range(len(parent)) if isinstance(parent, list) else []
        )  # fmt: skip
        nodes += [(parent[key], (parent, key)) for key in keys]
    _, place = rng.choice(nodes)
    if place is None:
        return junk(rng)
    parent, key = place
    change = rng.randrange(6)
    if change == 0:
        del parent[key]
    elif change == 1 and isinstance(parent[key], dict):
        new = rng.choice(("x", "own", "seed", "backend", "dtype", "init", "same_as"))
        parent[key][new] = junk(rng)
    elif change == 1 and isinstance(parent[key], list):
        parent[key].insert(rng.randrange(len(parent[key]) + 1), junk(rng))
    else:
        parent[key] = junk(rng)
    return tree


def tensor(rng, header):
    return header[rng.choice([name for name in header if name != "__metadata__"])]


def any_node(rng, header, data):
    graft(rng, header)


def dtype(rng, header, data):
    kinds = ("F16", "BF16", "F8_E4M3", "F32", "F64", "I8", "I32", "BOOL", "C64", "f32", "foo", "")
    tensor(rng, header)["dtype"] = rng.choice((*kinds, junk(rng)))


def shape(rng, header, data):
    """Negative, fractional, of another rank, of a product that overflows, and of none."""
    one = tensor(rng, header)
    size = one["data_offsets"][1] - one["data_offsets"][0]
    one["shape"] = rng.choice(
        (
            [-n for n in one["shape"]], [float(n) for n in one["shape"]], one["shape"][::-1],
            [*one["shape"], 1], [1] * 70 + one["shape"], [1] * 255, [], [size // 4], [-2, -3],
            [2**32, 2**32], [2**32, 2**32, 0], [0, 2**63, 2**63], [2**62, 4, size], [2**63 + 1, 2],
            [0], [0, 0], [True, True], ["3"], [None], ["@huge@"] * 500, "34", junk(rng),
            [junk(rng), *one["shape"][1:]], [2**64 // 8 + size // 8],
        )
    )  # fmt: skip


def offsets(rng, header, data):
    """Reversed, negative, beyond the end, overlapping, and of other types."""
    one, other = tensor(rng, header), tensor(rng, header)
    begin, end = one["data_offsets"]
    one["data_offsets"] = rng.choice(
        (
            [end, begin], [-begin, -end], [begin - 4, end - 4], [begin + 4, end + 4], [begin] * 2,
            [begin, end, end], [begin], [], [float(begin), float(end)], [str(begin), str(end)],
            [begin, end + 4], [begin, end - 4], [begin, 2**63], [2**64, 2**64 + 8], [False, end],
            [begin, "@huge@"], [len(data), len(data) + end - begin], other["data_offsets"],
            junk(rng), [junk(rng), junk(rng)],
        )
    )  # fmt: skip


def overlap(rng, header, data):
    """Everything from the start on."""
    for name, one in header.items():
        if name != "__metadata__":
            begin, end = one["data_offsets"]
            one["data_offsets"] = [0, end - begin]


def hole(rng, header, data):
    size = rng.choice((1, 4, 8))
    cut = tensor(rng, header)["data_offsets"][0]
    for name, one in header.items():
        if name != "__metadata__" and one["data_offsets"][0] >= cut:
            one["data_offsets"] = [n + size for n in one["data_offsets"]]
    return data[:cut] + bytes(size) + data[cut:]


def unordered(rng, header, data):
    """Valid: the order of the tensors in the header is free."""
    items = list(header.items())
    rng.shuffle(items)
    header.clear()
    header.update(items)


def swapped_names(rng, header, data):
    names = [name for name in header if name != "__metadata__"]
    a, b = rng.choice(names), rng.choice(names)
    header[a], header[b] = header[b], header[a]


def tensor_keys(rng, header, data):
    one = tensor(rng, header)
    if rng.random() < 0.5:
        del one[rng.choice(list(one))]
    else:
        one[rng.choice(("extra", "Shape", ""))] = junk(rng)


def tensors(rng, header, data):
    """One renamed, missing, or new and empty."""
    name = rng.choice([name for name in header if name != "__metadata__"])
    change = rng.randrange(4)
    if change == 0:
        header[rng.choice(("", "x", "\ud800", "9.weight", "__Metadata__"))] = header.pop(name)
    elif change == 1:
        del header[name]
    elif change == 2:
        header["__metadata__"] = header.pop(name)
    else:
        empty = rng.choice(([0], [0, 2**40], [2**40, 0, 2**40]))
        header["empty"] = {"dtype": "F32", "shape": empty, "data_offsets": [0, 0]}


def metadata(rng, header, data):
    change = rng.randrange(4)
    if change == 0:
        header.pop("__metadata__", None)
    elif change == 1:
        header["__metadata__"] = junk(rng)
    else:
        inner = header.setdefault("__metadata__", {})
        key = rng.choice([*inner, "sha256", "format_version", "architecture"])
        if change == 2:
            inner.pop(key, None)
        else:
            inner[key] = rng.choice((junk(rng), "2", "１", "0" * 63, inner.get(key, "").upper()))


def architecture(rng, header, data, key="architecture"):
    inner = header.get("__metadata__", {})
    if key in inner:
        inner[key] = json.dumps(graft(rng, json.loads(inner[key]))).replace('"@huge@"', "9" * 5000)


def training(rng, header, data):
    architecture(rng, header, data, "training")


def shared_architecture():
    """Each layer holds the one before twice: 2**30 of them in all."""
    model = '{"layer": "ReLU", "args": [], "kwargs": {}}'
    for i in reversed(range(30)):
        same = '{"same_as": "' + "/0" * (i + 1) + '"}'
        model = f'{{"layer": "Sequential", "args": [{model}, {same}], "kwargs": {{}}}}'
    return f'{{"dtype": "float32", "model": {model}}}'


def deep_architecture(rng, header, data):
    depth = rng.choice((1, 20, 100, 200, 300, 500, 900, 5000))
    wrap = '{"layer": "Sequential", "kwargs": {}, "args": ['
    inner = rng.choice(("", '{"layer": "ReLU", "args": [], "kwargs": {}}', "[" * depth))
    model = wrap * depth + inner + "]}" * depth
    text = '{"dtype": "float32", "model": ' + model + "}"
    header.setdefault("__metadata__", {})["architecture"] = text


HEADER = [any_node, dtype, shape, offsets, overlap, hole, unordered, swapped_names, tensor_keys]
HEADER += [tensors, metadata, architecture, training, deep_architecture]


def damaged(rng, kind, file, other):
    """What was done to the file, and the file."""
    if rng.random() < 0.4:
        if kind == "gzip":
            file, other = gzip.compress(file), gzip.compress(other)
        return "scramble", scramble(rng, file, other)
    changes = {"idx": IDX, "gzip": GZIP, "signed": HEADER + 9 * [architecture, training]}
    change = rng.choice(changes.get(kind, RAW + HEADER))
    if change in HEADER:
        header, data = split(file)
        new = change(rng, header, data)
        return change.__name__, join(header, data if new is None else new)
    return change.__name__, change(rng, file)


# Files that take long to read: each of them once.

OURS = {"format_version": "1", "sha256": "0" * 64}
ARRAYS = b"[" + b"[]," * (2**22 // 3 - 20) + b"[]]"
HEAVY = {
    "an architecture of 2**30 layers": (
        "signed",
        lambda: join({"__metadata__": {**OURS, "architecture": shared_architecture()}}, b""),
    ),
    "gzip bomb up to the limit": ("gzip", lambda: bomb(b"\0\0\x08\1", 2**27, 2**27)),
    "gzip bomb beyond the limit": ("gzip", lambda: bomb(b"\0\0\x08\1", 2**27, 2**27 + 2**20)),
    "gzip bomb of numbers": ("gzip", lambda: bomb(b"\0\0\x0d\1", 2**25, 2**27)),
    "gzip bomb cut": ("gzip", lambda: bomb(b"\0\0\x08\1", 2**27, 2**27)[:-1000]),
    "gzip bomb of 1 GiB": ("gzip", lambda: bomb(b"\0\0\x08\1", 2**30, 2**30)),
    "gzip members": ("gzip", lambda: gzip.compress(b"") * 50_000),
    "IDX of 128 MiB, cut": ("idx", lambda: b"\0\0\x08\1" + struct.pack(">I", 2**27) + b"0" * 9),
    "header of blanks": ("foreign", lambda: join(b"{}" + b" " * (2**22 - 2), b"")),
    "header too large": ("foreign", lambda: join(b"{}" + b" " * 2**22, b"")),
    "header of 50 MB": ("foreign", lambda: join(b"{}" + b" " * (50 * 10**6), b"")),
    "metadata of arrays": ("foreign", lambda: join(b'{"__metadata__":' + ARRAYS + b"}", b"")),
    "header of arrays": ("foreign", lambda: join(ARRAYS, b"")),
    "header of a tensor": ("foreign", lambda: join(b'{"a":{"shape":' + ARRAYS + b"}}", b"")),
    "header of names": (
        "foreign",
        lambda: join("{" + ",".join(f'"{i}":{{}}' for i in range(300_000)) + "}", b""),
    ),
    "header of wide characters": (
        "foreign",
        lambda: join('{"\U0001f600":"' + "x" * (2**22 - 20) + '"}', b""),
    ),
}


def mutant(number, seed, sources):
    """The file of this number: its kind, what was done, its bytes, and its valid model if any."""
    if number < len(HEAVY):
        what, (kind, make) = list(HEAVY.items())[number]
        return kind, what, sign(make()) if kind == "signed" else make(), 0
    rng = random.Random(f"{seed} {number}")
    kind = KINDS[number % len(KINDS)]
    files = sources.files[kind]
    which = rng.randrange(len(files))
    what, file = damaged(rng, kind, files[which], rng.choice(files))
    return kind, what, sign(file) if kind == "signed" else file, which


# What the readers have to make of them.


def check_idx(path, data):
    """It is refused, or is the array that the bytes say."""
    array = read_idx(path)
    code = {"u1": 8, "i1": 9, "i2": 11, "i4": 12, "f4": 13, "f8": 14}[array.dtype.str[1:]]
    if array.nbytes < 2**22:
        content = gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data
        assert idx(array, code) == content, "another array than the file's"


def check_load(path, kind, model):
    """It is refused, or is the model, bit for bit; one with a right digest may be another one."""
    try:
        loaded = cr.load(path)
    except TypeError as error:
        if kind == "signed" and "chooses a backend, dtype or seed" in str(error):
            raise cr.FileFormatError(str(error)) from error  # as documented
        raise
    assert np.isfinite(loaded.state.values).all(), "numbers that are not finite"
    assert kind != "foreign", "a model from a file without one"
    if kind == "model":
        assert repr(loaded) == repr(model), "another architecture"
        assert weights(loaded) == weights(model), "other weights"


def check_load_weights(path, kind, model):
    """It is refused and the model left alone, or the weights are the file's, bit for bit."""
    target = model.copy().bind(dtype=model.state.dtype_name)
    target.state.values[...] = target.state.buffers[...] = 7.0
    before = weights(target)
    try:
        target.load_weights(path)
    except BaseException:
        assert weights(target) == before, "a model that was changed by a file that was refused"
        raise
    assert np.isfinite(target.state.values).all(), "numbers that are not finite"
    if kind == "model":
        assert weights(target) == weights(model), "other weights"
    elif kind == "foreign":
        compare_with_safetensors(path, target)


def compare_with_safetensors(path, target):
    """Where the safetensors package is installed: it reads the same numbers."""
    try:
        import safetensors.numpy
    except ImportError:
        return
    tensors = safetensors.numpy.load_file(path)
    parts = stored(target)
    assert tensors.keys() == parts.keys(), "other names than in the file"
    for name, part in parts.items():
        assert (part.value == tensors[name].astype(target.state.dtype)).all(), "other numbers"


def check_resume(path, kind, model, saved):
    """It is refused, or is the training; one with a right digest may be another one."""
    loss, rule = cr.MSELoss(), optimizer()
    try:
        resumed = cr.Trainer.resume(path, loss=loss, optimizer=rule)
    except ValueError as error:
        if kind == "signed" and "expected the optimizer of the training" in str(error):
            raise cr.FileFormatError(str(error)) from error  # as documented
        raise
    if kind == "model":
        assert model is saved.model, "a training from a file without one"
        assert weights(resumed.model) == weights(model), "other weights"
        velocity = "velocity"
        assert (rule._slots[velocity] == saved.optimizer._slots[velocity]).all(), "another state"
        assert resumed.rng.bit_generator.state == saved.rng.bit_generator.state, "another order"
        assert resumed.history.epochs == saved.history.epochs, "another history"


def stored(model):
    return {
        **model.named_parameters(remove_duplicate=False),
        **model.named_buffers(remove_duplicate=False),
    }


def weights(model):
    return model.state.dtype_name, model.state.values.tobytes(), model.state.buffers.tobytes()


def read(mutated, sources, path):
    """The outcome of each reader, ``loaded`` or ``refused``; another exception is passed on."""
    kind, _, data, which = mutated
    path.write_bytes(data)
    if kind in ("idx", "gzip"):
        readers = {"read_idx": lambda: check_idx(path, data)}
    else:
        model = sources.model_of[kind][which]
        readers = {
            "load": lambda: check_load(path, kind, model),
            "load_weights": lambda: check_load_weights(path, kind, model),
        }
        if kind == "signed" or model is sources.trainer.model:
            readers["resume"] = lambda: check_resume(path, kind, model, sources.trainer)
    outcomes = {}
    for name, reader in readers.items():
        try:
            reader()
        except cr.FileFormatError as error:
            str(error).encode()  # a message that can be printed
            outcomes[name] = "refused"
        else:
            outcomes[name] = "loaded"
    return outcomes


def status(key):
    """A line of this process's status, in bytes; 0 where there is no such file."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return 0
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith(f"{key}:")), 0)


def limit_memory():
    """No allocation beyond 300 MB, touched or not; for this process."""
    if size := status("VmSize"):
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (size + MOST_MEMORY, resource.RLIM_INFINITY))


def run(count, seed, folder):
    """Read `count` files; the figures."""
    sources = Sources(folder)
    before = status("VmRSS")
    limit_memory()
    outcomes, errors, slowest = collections.Counter(), [], (0.0, "")
    kinds = collections.Counter()
    began = time.perf_counter()
    warnings.simplefilter("ignore")  # of other versions
    for number in range(count):
        faulthandler.dump_traceback_later(LONGEST, exit=True)
        mutated = mutant(number, seed, sources)
        kinds[mutated[0]] += 1
        start = time.perf_counter()
        try:
            found = read(mutated, sources, folder / "mutated")
            outcomes.update(f"{mutated[0]} {name}: {what}" for name, what in found.items())
        except Exception as error:  # what is not documented is what is looked for
            errors.append(f"{number} ({mutated[0]}, {mutated[1]}): {error!r}"[:300])
        slowest = max(slowest, (time.perf_counter() - start, f"{number} {mutated[1]}"))
    faulthandler.cancel_dump_traceback_later()
    return {
        "files": count,
        "kinds": kinds,
        "outcomes": dict(sorted(outcomes.items())),
        "undocumented": errors,
        "mb_before": round(before / 2**20, 1),
        "mb_at_most": round(status("VmHWM") / 2**20, 1),
        "seconds": round(time.perf_counter() - began, 1),
        "slowest": slowest,
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", type=int, help="the number of one file")
    options = parser.parse_args()
    sys.modules["numba"] = None  # a compiler takes memory of its own, and reads no files
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        if options.only is not None:
            sources = Sources(folder)
            mutated = mutant(options.only, options.seed, sources)
            print(mutated[:2], len(mutated[2]), mutated[2][:2000])
            try:
                print(read(mutated, sources, folder / "mutated"))
            except Exception:
                traceback.print_exc()
                return 1
            return 0
        figures = run(options.count, options.seed, folder)
    print(json.dumps(figures, indent=2))
    return 1 if figures["undocumented"] else 0


if __name__ == "__main__":
    sys.exit(main())
