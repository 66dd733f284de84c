"""Several processes that train one model together, as the training loop sees them.

Each process is called a rank, as in MPI. `chainrule.parallel` connects the ranks. For a single
process, there is `OneRank`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any, Protocol, TypeVar

from ..errors import shown
from ..types import Array

ErrorT = TypeVar("ErrorT", bound=BaseException)


class Ranks(Protocol):
    """The connection to the other ranks.

    All ranks call `add_up` and `gather` in the same order. Each call waits for the other ranks.

    Attributes
    ----------
    rank, size : int
        The number of this rank, counted from 0, and the number of ranks.
    own_data : bool
        Whether each rank has its own training data. Otherwise, all ranks have the same data.
    """

    rank: int
    size: int
    own_data: bool

    def add_up(self, array: Array) -> None:
        """Replace an array with the sum of the arrays of all ranks, in place."""

    def gather(self, value: Any) -> list[Any]:
        """Return the values of all ranks. The values are numbers, strings, or lists of these."""

    def guard(self) -> AbstractContextManager[None]:
        """End all ranks if an error leaves the ``with`` block, except for errors of `on_all`."""

    def on_all(self, error: ErrorT) -> ErrorT:
        """Return an error that every rank raises after the same step."""


class OneRank:
    """A process that trains alone."""

    rank = 0
    size = 1
    own_data = False

    def add_up(self, array: Array) -> None:
        pass

    def gather(self, value: Any) -> list[Any]:
        return [value]

    def guard(self) -> AbstractContextManager[None]:
        return contextlib.nullcontext()

    def on_all(self, error: ErrorT) -> ErrorT:
        return error


def expect_ranks(thing: Any) -> Ranks:
    """Raise a `TypeError` unless `thing` connects ranks. Return `OneRank` for a single rank."""
    if isinstance(thing, type) or not hasattr(thing, "add_up"):
        hint = ": write parallel=cr.parallel.Ranks(comm)" if hasattr(thing, "Allreduce") else ""
        raise TypeError(f"expected parallel=cr.parallel.Ranks(), found {shown(thing)}{hint}")
    ranks: Ranks = thing
    return ranks if ranks.size > 1 else OneRank()


def expect_equal(ranks: Ranks, found: Mapping[str, Any], hint: str = "") -> None:
    """Raise a `RuntimeError` on all ranks unless each value of `found` is equal on all ranks."""
    gathered = ranks.gather(list(found.values()))
    for name, values in zip(found, zip(*gathered, strict=True), strict=True):
        if any(value != values[0] for value in values):
            each = ", ".join(f"{value} on rank {rank}" for rank, value in enumerate(values))
            raise ranks.on_all(
                RuntimeError(f"expected all ranks to have the same {name}, found {each}{hint}")
            )


def bounds_of(ranks: Ranks, samples: int) -> tuple[int, int]:
    """Return the first sample of this rank, and the end of its samples."""
    return samples * ranks.rank // ranks.size, samples * (ranks.rank + 1) // ranks.size
