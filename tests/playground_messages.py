"""Read the messages of the playground."""

import json

import numpy as np


def unpacked(data):
    """Return a message with its arrays, from the bytes that a page gets."""
    start = 4 + int.from_bytes(data[:4], "little")
    message = json.loads(data[4:start], parse_constant=refuse)
    for name in message["arrays"]:
        kind, size = message[name]
        message[name] = np.frombuffer(data, kind, size, start)
        start += message[name].nbytes
    assert start == len(data)
    return message


def refuse(constant):
    raise AssertionError(f"a page cannot read {constant} in JSON")
