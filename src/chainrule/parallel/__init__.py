"""Train one model with several processes, on one machine or on many."""

from .mpi import Ranks

__all__ = ["Ranks"]


def __dir__() -> list[str]:
    return __all__
