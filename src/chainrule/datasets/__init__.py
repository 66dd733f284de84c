"""Data sets, found on disk or downloaded."""

from .idx import read_idx
from .mnist import DownloadError, fashion_mnist, mnist

__all__ = ["DownloadError", "fashion_mnist", "mnist", "read_idx"]
