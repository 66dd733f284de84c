"""Data sets: MNIST, Fashion-MNIST, MNIST-1D, and generated problems with two features."""

from .idx import read_idx
from .mnist import DownloadError, fashion_mnist, mnist
from .mnist1d import mnist1d
from .plane import blobs, circles, moons, spirals

__all__ = [
    "DownloadError",
    "blobs",
    "circles",
    "fashion_mnist",
    "mnist",
    "mnist1d",
    "moons",
    "read_idx",
    "spirals",
]


def __dir__() -> list[str]:
    return __all__
