"""Ranks that are threads of one process, to test the training loop without MPI."""

import contextlib
import threading

import numpy as np
from array_api_compat import array_namespace

from chainrule.backends.conversion import to_numpy


class Meeting:
    """Where the threads exchange their values."""

    def __init__(self, size):
        self.barrier = threading.Barrier(size, timeout=60)
        self.values = [None] * size


class ThreadRanks:
    """One rank of several. It has the same methods as `chainrule.parallel.Ranks`."""

    def __init__(self, rank, size, meeting, *, own_data=False):
        self.rank, self.size, self.own_data = rank, size, own_data
        self.meeting = meeting
        self.error_on_all = None

    def gather(self, value):
        self.meeting.values[self.rank] = value
        self.meeting.barrier.wait()
        values = list(self.meeting.values)
        self.meeting.barrier.wait()
        return values

    def add_up(self, array):
        copies = self.gather(np.array(to_numpy(array)))
        array[...] = array_namespace(array).asarray(sum(copies))

    def guard(self):
        return contextlib.nullcontext()

    def on_all(self, error):
        self.error_on_all = error
        return error


def run(size, function, **options):
    """Call ``function(ranks)`` on each rank, and return the results or errors of all ranks."""
    meeting, results = Meeting(size), [None] * size

    def call(rank):
        ranks = ThreadRanks(rank, size, meeting, **options)
        try:
            results[rank] = function(ranks)
        except BaseException as error:
            results[rank] = error
            if error is not ranks.error_on_all:
                meeting.barrier.abort()  # otherwise the other ranks would wait for this rank

    threads = [threading.Thread(target=call, args=(rank,)) for rank in range(size)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results
