"""Damage to a header that is still valid JSON.

Each function takes a random generator, the header and the data of a file. The function changes the
header in place, or returns new data.
"""

import json

JUNK = (
    None, True, -1, 0, 1, 1.5, -0.0, 1e308, float("nan"), float("inf"), 2**31, 2**53 + 1, 2**63,
    2**64, -(2**63), "@huge@", "", "x", "\ud800", "0" * 64, [], [[]], [0], [1, 2], {}, {"a": 1},
    {"layer": "ReLU", "args": [], "kwargs": {}}, {"same_as": "/0"}, {"initializer": "zeros"},
)  # fmt: skip


def junk(rng):
    return rng.choice(JUNK)


def graft(rng, tree):
    """Replace a random node with junk, remove a node, or add a node."""
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
    """Give a tensor a wrong shape: negative, fractional, too large, of a wrong rank, not a list."""
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
    """Give a tensor wrong offsets: reversed, negative, too large, overlapping, or not integers."""
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
    """Make all tensors start at offset 0."""
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
    """Reorder the tensors in the header, which leaves the file valid."""
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
    """Rename a tensor, remove a tensor, or add an empty tensor."""
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
    """Describe a model of 2**30 layers: each `Sequential` holds the previous one twice."""
    model = '{"layer": "ReLU", "args": [], "kwargs": {}}'
    for i in reversed(range(30)):
        same = '{"same_as": "' + "/0" * (i + 1) + '"}'
        model = f'{{"layer": "Sequential", "args": [{model}, {same}], "kwargs": {{}}}}'
    return f'{{"dtype": "float32", "model": {model}}}'


def drawn_architecture(where):
    """Describe a model whose constructor would draw 300 million weights or import a library."""
    large = '{"layer": "Linear", "args": [20000, 15000], "kwargs": {}}'
    model = f'{{"layer": "Sequential", "args": [{large}], "kwargs": {where}}}'
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
