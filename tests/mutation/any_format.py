"""Damage to files of any format. Each function takes a random generator and a valid file."""


def scramble(rng, data, other):
    """Make one to eight random changes, some of which insert pieces of the valid file `other`."""
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
