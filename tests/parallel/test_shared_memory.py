"""Sums through shared memory, with ranks that are threads."""

import os

import numpy as np
import pytest
import threads

from chainrule.parallel.shared_memory import SharedMemory

ON_LINUX = hasattr(os, "memfd_create")


class Communicator:
    """The part of an MPI communicator that shared memory needs."""

    def __init__(self, ranks, *, finds_memory=True):
        self.ranks, self.finds_memory = ranks, finds_memory
        self.allgather = ranks.gather

    def Get_rank(self):  # noqa: N802
        return self.ranks.rank

    def Get_size(self):  # noqa: N802
        return self.ranks.size

    def Barrier(self):  # noqa: N802
        self.ranks.gather(None)

    def bcast(self, value):
        place = self.ranks.gather(value)[0]
        return place if self.finds_memory or place is None else (f"{place[0]}0000", place[1])


@pytest.mark.parametrize("size", [2, 3, 4])
def test_arrays_of_any_length_and_dtype(size):
    kinds = [(n, dtype) for n in (7, 20_000, 1, 5_003, 20_001) for dtype in ("float32", "int64")]

    def add_up(ranks):
        memory, found = SharedMemory(Communicator(ranks)), []
        for length, dtype in kinds:
            array = np.arange(length, dtype=dtype).reshape(1, -1) + ranks.rank
            assert memory.add_up(array) == ON_LINUX
            found.append(array)
        return found

    for found in threads.run(size, add_up):
        for (length, dtype), array in zip(kinds, found, strict=True):
            assert array.dtype == dtype
            expected = size * np.arange(length) + sum(range(size))
            np.testing.assert_array_equal(array, expected[None, :] if ON_LINUX else array)


def test_no_rank_uses_memory_that_one_of_them_cannot_find():
    def add_up(ranks):
        memory = SharedMemory(Communicator(ranks, finds_memory=ranks.rank == 0))
        array = np.ones(5)
        return memory.add_up(array), memory.add_up(array), array.tolist()

    assert threads.run(2, add_up) == [(False, False, [1.0] * 5)] * 2


def test_memory_is_given_back():
    def add_up(ranks):
        memory = SharedMemory(Communicator(ranks))
        memory.add_up(np.ones(5))

    before = os.listdir("/dev/fd")
    assert threads.run(2, add_up) == [None, None]
    assert os.listdir("/dev/fd") == before


def test_an_array_that_is_not_contiguous_is_refused():
    def add_up(ranks):
        SharedMemory(Communicator(ranks)).add_up(np.ones((4, 4))[:, :2])

    errors = threads.run(2, add_up)
    assert any(isinstance(error, ValueError) for error in errors) == ON_LINUX
