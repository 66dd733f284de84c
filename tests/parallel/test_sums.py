"""Sums over ranks, with stand-ins for MPI and CuPy."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest

from chainrule.parallel.sums import add_up_for

MPI = SimpleNamespace(
    IN_PLACE="in place", COMM_TYPE_SHARED="machine", Get_processor_name=lambda: "node"
)


class Communicator:
    """A connection to a second rank that always has the same values, except for its GPU."""

    def __init__(self, *, cards=("a", "b"), kinds=None):
        self.cards, self.kinds, self.summed = cards, kinds, []

    def Allreduce(self, place, array):  # noqa: N802
        self.summed.append(type(array).__name__)
        array *= 2

    def allgather(self, value):
        return [(card, True) for card in self.cards] if isinstance(value, tuple) else [value] * 2

    def bcast(self, value):
        return value

    def Split_type(self, kind):  # noqa: N802
        assert kind == "machine"
        return SimpleNamespace(Get_size=lambda: 1, Free=lambda: None)

    def Get_info(self):  # noqa: N802
        return SimpleNamespace(Get=lambda name: self.kinds)

    def Get_size(self):  # noqa: N802
        return 2

    def Get_rank(self):  # noqa: N802
        return 0


class DeviceArray(np.ndarray):
    """A NumPy array with the methods of CuPy's arrays."""

    @property
    def data(self):
        return SimpleNamespace(ptr=self)

    def get(self, out):
        out[...] = self

    def set(self, host):
        self[...] = host


DeviceArray.__module__ = "cupy"


class Connection:
    """NCCL's communicator, which adds up arrays in place."""

    def __init__(self, size, key, rank):
        assert (size, key, rank) == (2, (1, -2), 0)

    def allReduce(self, source, target, count, kind, operation, stream):  # noqa: N802
        assert source is target
        assert (count, kind, operation, stream) == (4, "float32", "sum", 7)
        target *= 2


@pytest.fixture
def cupy(monkeypatch):
    stream = SimpleNamespace(ptr=7, synchronize=lambda: None)
    nccl = SimpleNamespace(
        available=True, get_unique_id=lambda: (1, -2), NcclCommunicator=Connection,
        NCCL_FLOAT32="float32", NCCL_FLOAT64="float64", NCCL_SUM="sum",
    )  # fmt: skip
    cuda = SimpleNamespace(
        nccl=nccl, Device=lambda: SimpleNamespace(pci_bus_id="0000:01:00.0"),
        get_current_stream=lambda: stream, alloc_pinned_memory=bytearray,
    )  # fmt: skip
    monkeypatch.setitem(sys.modules, "cupy", SimpleNamespace(cuda=cuda))


def test_arrays_in_host_memory(library):
    array, comm = library.asarray([[1.0, 2.0], [3.0, 4.0]]), Communicator()
    if getattr(array, "flags", None) is not None:
        array.flags.writeable = True
    add_up_for(comm, MPI, array)(array)
    np.testing.assert_array_equal(library.to_numpy(array), [[2.0, 4.0], [6.0, 8.0]])
    assert comm.summed == ["ndarray"]


@pytest.mark.parametrize(
    ("comm", "summed"),
    [
        (Communicator(), []),  # NCCL
        (Communicator(cards=("a", "a"), kinds="system,mpi,cuda"), ["DeviceArray"]),
        (Communicator(cards=("a", "a")), ["ndarray"]),  # through host memory
    ],
    ids=["a GPU for each rank", "MPI reads the memory of GPUs", "pinned memory"],
)
def test_arrays_on_a_gpu(comm, summed, cupy):
    array = np.ones((2, 2), dtype="float32").view(DeviceArray)
    add_up_for(comm, MPI, array)(array)
    np.testing.assert_array_equal(np.asarray(array), [[2.0, 2.0], [2.0, 2.0]])
    assert comm.summed == summed
