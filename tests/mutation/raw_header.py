"""Damage to the raw header of a safetensors file."""

import json
import struct

from mutation.any_format import append, truncate
from mutation.sources import join, split


def header_length(rng, file):
    size = int.from_bytes(file[:8], "little")
    size = rng.choice((0, 1, size - 1, size + 1, size + 8, len(file), 10**8 + 1, 2**63, 2**64 - 1))
    return struct.pack("<Q", size) + file[8:]


def header_bytes(rng, file):
    """Make the header invalid UTF-8, or add a stray character, a byte-order mark or spaces."""
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
    """Replace the header with invalid JSON, JSON of another type, or JSON nested too deeply."""
    data = file[8 + int.from_bytes(file[:8], "little") :]
    texts = (
        b"", b"hello", b"{", b"{}", b"{} {}", b"{'a': 1}", b'{"a":', b"[]", b"[{}]", b"null", b"1",
        b'"x"', b"true", b"NaN", b"-Infinity", b'{"__metadata__":{}}', b'{"__metadata__":{}',
        b"[" * 100_000, b'{"a":' * 50_000, b'{"__metadata__":' + b"[" * 990 + b"]" * 990 + b"}",
        b'{"a":' + b"[" * 50_000 + b"]" * 50_000 + b"}",
    )  # fmt: skip
    return join(rng.choice(texts), data)


def duplicate_key(rng, file):
    """Repeat a tensor, a key of a tensor, or a key of the metadata."""
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
