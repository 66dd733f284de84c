"""Damage to IDX files, plain or compressed. Each function takes a generator and a file."""

import gzip
import struct
import zlib

from mutation.any_format import append, truncate


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
    """Write sizes that are too large, are negative as signed numbers, or multiply to 2**64."""
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
    """Make a compressed IDX file that announces `size` bytes and unpacks to `total` zeros."""
    pack = zlib.compressobj(9, zlib.DEFLATED, -15)
    header = head + struct.pack(">I", size)
    start = pack.compress(header) + pack.flush(zlib.Z_FULL_FLUSH)
    block = pack.compress(bytes(2**20)) + pack.flush(zlib.Z_FULL_FLUSH)
    crc, zeros = zlib.crc32(header), bytes(2**20)
    if total <= 2**27:  # larger files are refused before the checksum is read
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
