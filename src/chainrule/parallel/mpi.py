"""Connect the processes of an MPI run, with mpi4py."""

from __future__ import annotations

import atexit
import contextlib
import sys
import traceback
from collections.abc import Iterator
from types import TracebackType
from typing import Any

from ..checks import flag
from ..errors import require, shown
from ..training.ranks import ErrorT
from ..types import Array
from .sums import AddUp, add_up_for

_ENDED = "the script of this rank has ended"


class Ranks:
    """The processes of an MPI run, which train one model together.

    ``mpiexec -n 4 python train.py`` runs the same script in four processes. Each process is called
    a rank. The ranks share every batch: each rank computes the gradient of its part, and then the
    gradients are added up. So the result is the same as with a single process, up to rounding, for
    any number of ranks: the same order of the samples, the same dropout masks, the same statistics
    in `BatchNorm`, and the same weighted means.

    Every rank must build the same model with the same seed, and call `Trainer.fit` with the same
    arguments. The batch size is the number of samples of all ranks together. Callbacks that write
    files or print are called on rank 0 only. All other code of the script runs on every rank.

    An error on one rank is printed and ends all ranks, because the other ranks would wait for it
    forever. If the script of one rank ends, for instance with ``sys.exit``, and another rank calls
    `Trainer.fit`, that is an error too. Ctrl-C and a loss that is NaN or infinite raise the same
    error on all ranks, after the same step.

    Parameters
    ----------
    comm : mpi4py.MPI.Comm, optional
        The communicator. By default, all processes of the run.
    own_data : bool, optional
        Whether each rank passes its own training data to `Trainer.fit`. By default, all ranks pass
        the same data. If each rank has its own data, it draws its share of each batch from that
        data. The order of the samples and the dropout masks differ between ranks. An epoch ends
        once each rank has used all its samples. So the result depends on the number of ranks and on
        the distribution of the data. The validation data is always the same on all ranks.

    Attributes
    ----------
    rank, size : int
        The number of this rank, counted from 0, and the number of ranks.

    Raises
    ------
    ImportError
        If mpi4py is not installed. The message says how to install it.
    ValueError
        If `own_data` differs between the ranks.

    Examples
    --------
    >>> ranks = Ranks()
    >>> x = [[-1.0], [0.0], [1.0], [2.0]]
    >>> trainer = cr.Trainer(cr.mlp([1, 1]), loss=cr.MSELoss(), optimizer=cr.SGD(0.1))
    >>> history = trainer.fit(x, x, batch_size=4, parallel=ranks, verbose=0)
    >>> if ranks.rank == 0:
    ...     print(ranks.size, len(history))
    1 1
    """

    _on_all: BaseException | None = None  # the last error of `on_all`, of any object

    def __init__(self, comm: Any = None, *, own_data: bool = False) -> None:
        mpi4py = require("mpi4py.MPI", what="Ranks", extra="mpi")
        self._mpi: Any = mpi4py
        comm = mpi4py.COMM_WORLD if comm is None else comm
        if not isinstance(comm, mpi4py.Intracomm):
            raise TypeError(f"expected a communicator such as MPI.COMM_WORLD, found {shown(comm)}")
        self._comm = comm.Dup()  # its messages are not mixed up with those of the user
        self.rank: int = comm.Get_rank()
        self.size: int = comm.Get_size()
        self.own_data = flag("own_data", own_data)
        self._add_up: dict[type, AddUp] = {}  # for each type of array
        if self.size > 1:
            self._uncaught, sys.excepthook = sys.excepthook, self._end
            atexit.register(self._leave)
        if len({*self.gather(self.own_data)}) > 1:
            raise self.on_all(ValueError("expected all ranks to have the same own_data"))

    def add_up(self, array: Array) -> None:
        """Replace an array with the sum of the arrays of all ranks, in place."""
        if type(array) not in self._add_up:
            self._add_up[type(array)] = add_up_for(self._comm, self._mpi, array)
        self._add_up[type(array)](array)

    def gather(self, value: Any) -> list[Any]:
        """Return the values of all ranks."""
        values: list[Any] = self._comm.allgather(value)
        if _ENDED in values:
            raise RuntimeError(
                f"expected all ranks to call fit equally often, but rank {values.index(_ENDED)} "
                "has reached the end of its script"
            )
        return values

    @contextlib.contextmanager
    def guard(self) -> Iterator[None]:
        """End all ranks if an error leaves the ``with`` block, except for errors of `on_all`."""
        try:
            yield
        except BaseException as error:
            if error is not self._on_all:
                self._abort(error)
            raise

    def on_all(self, error: ErrorT) -> ErrorT:
        """Return an error that every rank raises after the same step."""
        Ranks._on_all = error
        return error

    def _leave(self) -> None:
        """Tell ranks that wait for this rank that its script has ended. Wait for all ranks."""
        if not self._mpi.Is_finalized():
            self._comm.allgather(_ENDED)

    def _end(
        self, kind: type[BaseException], error: BaseException, trace: TracebackType | None
    ) -> None:
        """Handle an error that nothing has caught: end all ranks, or print a shared error."""
        if error is not self._on_all:
            self._abort(error)
        elif self.rank == 0:
            self._uncaught(kind, error, trace)

    def _abort(self, error: BaseException) -> None:
        """Print the error and end all ranks at once."""
        text = "".join(traceback.format_exception(error))
        print(f"rank {self.rank} of {self.size} ends the run:\n{text}", file=sys.stderr, flush=True)
        self._comm.Abort(1)
