"""Timing of libraries in turns, so that a slow moment of the machine affects all libraries.

Each library runs in its own process, because idle threads of one library would slow down other
libraries.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import sys
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

ROUND = 0.1  # seconds per round; a longer call is made once
SETTLE = 0.05  # seconds until the idle threads of a library sleep

Calls = dict[tuple[str, str], Callable[[], object]]
"""For each call and library, the function to time."""

Make = Callable[..., tuple[list[float], Calls]]
"""A function that returns losses and the calls to time. The losses must agree in all processes."""

Times = dict[str, dict[str, list[float]]]
"""For each call and library, the seconds per call in each round."""


class Seconds(float):
    """The seconds that a call measured itself. `race` uses these seconds instead of its own."""


def race(
    make: Make,
    processes: list[tuple[Any, ...]],
    rounds: int,
    long: dict[str, int] | None = None,
    tolerance: float = 1e-3,
) -> Times:
    """Time all calls in rounds, after a warm-up round.

    Parameters
    ----------
    make : callable
        A `Make` function at the top level of a module, so that a new process finds it.
    processes : list of tuple
        The arguments of `make` in each process. All processes must compute the same losses as the
        first process. If a process other than the first fails, that process is left out, with a
        message on standard error.
    rounds : int
        The number of rounds.
    long : dict of str to int, optional
        The number of rounds for each slow function. A slow function is called once per round. All
        other functions are called once before they are timed in a round, so that caches and threads
        are warm.
    tolerance : float, optional
        The relative tolerance of the losses.
    """
    long = long or {}
    spawn = multiprocessing.get_context("spawn")
    expected: list[float] = []
    pipes: dict[tuple[str, str], Connection] = {}
    started, children = [], []
    for arguments in processes:  # all processes prepare at the same time
        pipe, end = spawn.Pipe()
        child = spawn.Process(target=_work, args=(end, make, arguments), daemon=True)
        child.start()
        end.close()
        started.append((arguments, child, pipe))
    for arguments, child, pipe in started:
        try:
            losses, keys = pipe.recv()
        except EOFError:
            if not expected:
                raise SystemExit(f"{make.__module__} {arguments} failed") from None
            print(f"left out because it failed: {arguments}", file=sys.stderr)
            continue
        expected = expected or losses
        if not np.allclose(losses, expected, rtol=tolerance):
            raise SystemExit(f"{arguments}: expected the losses {expected}, found {losses}")
        pipes.update(dict.fromkeys(keys, pipe))
        children.append((child, pipe))
    kinds = list(dict.fromkeys(what for what, _ in pipes))
    times: Times = {what: {who: [] for w, who in pipes if w == what} for what in kinds}
    for turn in range(rounds + 1):
        for what in kinds:
            if turn > long.get(what, rounds):
                continue
            for who, seconds in times[what].items():
                pipes[what, who].send(((what, who), what in long))
                measured = pipes[what, who].recv()
                if turn:  # the first round is the warm-up
                    seconds.append(measured)
                time.sleep(SETTLE)
    for child, pipe in children:
        pipe.close()
        child.join()
    return times


def _work(pipe: Connection, make: Make, arguments: tuple[Any, ...]) -> None:
    """Wait for the names of calls, and time one round of each named call."""
    losses, calls = make(*arguments)
    pipe.send((losses, list(calls)))
    repeats: dict[tuple[str, str], int] = {}
    with contextlib.suppress(EOFError):  # EOFError: the other end is closed
        while True:
            key, once = pipe.recv()
            seconds = _timed(calls[key], 1)  # this call also wakes the threads
            if not once:
                if key not in repeats:
                    repeats[key] = max(1, int(ROUND / min(seconds, _timed(calls[key], 1))))
                seconds = _timed(calls[key], repeats[key])
            pipe.send(seconds)


def _timed(call: Callable[[], object], repeats: int) -> float:
    """Return the seconds per call."""
    start = time.perf_counter()
    for _ in range(repeats):
        result = call()
    return result if isinstance(result, Seconds) else (time.perf_counter() - start) / repeats
