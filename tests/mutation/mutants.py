"""Mutants: the number of a mutant decides which file is damaged, and how."""

import gzip
import random
import struct

from mutation.any_format import scramble
from mutation.idx_files import GZIP, IDX, bomb
from mutation.json_header import (
    HEADER,
    architecture,
    drawn_architecture,
    shared_architecture,
    training,
)
from mutation.raw_header import RAW
from mutation.sources import join, sign, split

KINDS = ("idx", "gzip", "model", "signed", "foreign")


def damaged(rng, kind, file, other):
    """Return a description of the damage, and the damaged file."""
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


OURS = {"format_version": "1", "sha256": "0" * 64}
ARRAYS, MOST_ARRAYS = (b"[" + b"[]," * n + b"[]]" for n in (100_000, 2**22 // 3 - 20))
# Files that take a long time to read and are therefore read only once.
HEAVY = {
    "an architecture of 2**30 layers": (
        "signed",
        lambda: join({"__metadata__": {**OURS, "architecture": shared_architecture()}}, b""),
    ),
    **{
        f"a model that says {where}": (
            "signed",
            lambda where=where: join(
                {"__metadata__": {**OURS, "architecture": drawn_architecture(where)}}, b""
            ),
        )
        for where in ('{"seed": 0}', '{"dtype": "float64"}', '{"backend": "torch"}', "{}")
    },
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
    "header of arrays": ("foreign", lambda: join(MOST_ARRAYS, b"")),
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
    """Return the kind of a file, a name for its damage, its bytes, and the index of the source."""
    if number < len(HEAVY):
        what, (kind, make) = list(HEAVY.items())[number]
        return kind, what, sign(make()) if kind == "signed" else make(), 0
    rng = random.Random(f"{seed} {number}")
    kind = KINDS[number % len(KINDS)]
    files = sources.files[kind]
    which = rng.randrange(len(files))
    what, file = damaged(rng, kind, files[which], rng.choice(files))
    return kind, what, sign(file) if kind == "signed" else file, which
