"""Sums of arrays over the processes of an MPI run, in host memory and on GPUs.

The code for GPUs was checked against the sources of CuPy 14 and mpi4py 4, but has not yet run on
several GPUs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from array_api_compat import array_namespace

from ..backends.conversion import to_numpy
from ..types import Array
from .shared_memory import SharedMemory

_LARGE = 1 << 22  # from this number of bytes on, shared memory is faster than `Allreduce`

AddUp = Callable[[Array], None]
"""A function that replaces an array with the sum of the arrays of all ranks, in place."""


def add_up_for(comm: Any, mpi: Any, array: Array) -> AddUp:
    """Return the function for arrays of this kind.

    Parameters
    ----------
    comm : mpi4py.MPI.Comm
        The communicator.
    mpi : module
        ``mpi4py.MPI``.
    array : array
        An array of the model.
    """
    if type(array).__module__.partition(".")[0] == "cupy":
        return _on_gpu(comm, mpi)
    on_host = _on_host(comm, mpi)
    if isinstance(array, np.ndarray):
        return on_host

    def add_up(array: Array) -> None:
        """Add up arrays of any library."""
        host = np.array(to_numpy(array))
        on_host(host)
        array[...] = array_namespace(array).asarray(host)

    return add_up


def _on_host(comm: Any, mpi: Any) -> AddUp:
    """Return the function for NumPy, which uses shared memory if all ranks run on one machine."""
    machine = comm.Split_type(mpi.COMM_TYPE_SHARED)
    shared = SharedMemory(comm) if machine.Get_size() == comm.Get_size() else None
    machine.Free()

    def add_up(array: Array) -> None:
        large = array.nbytes >= _LARGE
        if not (shared is not None and large and shared.add_up(array)):
            comm.Allreduce(mpi.IN_PLACE, array)

    return add_up


def _on_gpu(comm: Any, mpi: Any) -> AddUp:
    """Return the function for CuPy, which uses NCCL, CUDA-aware MPI or host memory."""
    import cupy

    card = mpi.Get_processor_name(), cupy.cuda.Device().pci_bus_id
    cards = comm.allgather((card, bool(cupy.cuda.nccl and cupy.cuda.nccl.available)))
    if len({card for card, _ in cards}) == comm.Get_size() and all(nccl for _, nccl in cards):
        return _nccl(comm, cupy)  # NCCL needs a GPU for each rank
    kinds = comm.Get_info().Get("mpi_memory_alloc_kinds") or ""  # a standard since MPI 4.1
    aware = all(comm.allgather("cuda" in kinds))
    return _cuda_aware(comm, mpi, cupy) if aware else _pinned(comm, mpi, cupy)


def _nccl(comm: Any, cupy: Any) -> AddUp:
    nccl = cupy.cuda.nccl
    key = comm.bcast(nccl.get_unique_id() if comm.Get_rank() == 0 else None)
    connection = nccl.NcclCommunicator(comm.Get_size(), key, comm.Get_rank())
    kinds = {"float32": nccl.NCCL_FLOAT32, "float64": nccl.NCCL_FLOAT64}

    def add_up(array: Array) -> None:
        here, stream = array.data.ptr, cupy.cuda.get_current_stream().ptr
        connection.allReduce(here, here, array.size, kinds[array.dtype.name], nccl.NCCL_SUM, stream)

    return add_up


def _cuda_aware(comm: Any, mpi: Any, cupy: Any) -> AddUp:
    def add_up(array: Array) -> None:
        cupy.cuda.get_current_stream().synchronize()  # MPI does not wait for the GPU
        comm.Allreduce(mpi.IN_PLACE, array)

    return add_up


def _pinned(comm: Any, mpi: Any, cupy: Any) -> AddUp:
    """Return a function that copies through pinned memory, which the GPU accesses directly."""
    buffers: dict[tuple[Any, ...], np.ndarray] = {}
    on_host = _on_host(comm, mpi)

    def add_up(array: Array) -> None:
        kind = array.shape, array.dtype.name
        if kind not in buffers:
            memory = cupy.cuda.alloc_pinned_memory(array.nbytes)
            buffers[kind] = np.frombuffer(memory, array.dtype, array.size).reshape(array.shape)
        host = buffers[kind]
        array.get(out=host)  # waits for the GPU
        on_host(host)
        array.set(host)

    return add_up
