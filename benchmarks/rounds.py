"""Processes that take turns at what is timed, so that a slow moment of the machine meets all.

Each has a process of its own, since the idle threads of one library would slow the others down.
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

ROUND = 0.1  # seconds that a round takes, or one call where that is longer
SETTLE = 0.05  # seconds until the threads of a library are asleep

Calls = dict[tuple[str, str], Callable[[], object]]
"""What is timed, by what it does and by who does it."""

Make = Callable[..., tuple[list[float], Calls]]
"""Makes the calls of a process, and losses that have to be the same in all of them."""

Times = dict[str, dict[str, list[float]]]
"""Seconds a call, by what it does and by who does it, a figure a round."""


class Seconds(float):
    """What a call returns that has measured its time by itself, in the place of the clock here."""


def race(
    make: Make,
    processes: list[tuple[Any, ...]],
    rounds: int,
    long: dict[str, int] | None = None,
    tolerance: float = 1e-3,
) -> Times:
    """Time all calls in rounds, after one round to warm up.

    Parameters
    ----------
    make : callable
        Of a module, so that a new process finds it.
    processes : list of tuple
        Its arguments in each process. The losses of the first are what the others' must agree with;
        one that fails is left out, with a word on the standard error.
    rounds : int
        How many.
    long : dict of str to int, optional
        What takes so long that it has no more rounds than this, each of them a single call. All
        else is called once before it is timed, so that caches and threads are ready.
    tolerance : float, optional
        How far the losses may be from the expected ones, relative to them.
    """
    long = long or {}
    spawn = multiprocessing.get_context("spawn")
    expected: list[float] = []
    pipes: dict[tuple[str, str], Connection] = {}
    started, children = [], []
    for arguments in processes:  # all make their calls at the same time
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
            print(f"left out, having failed: {arguments}", file=sys.stderr)
            continue
        expected = expected or losses
        if not np.allclose(losses, expected, rtol=tolerance):
            raise SystemExit(f"{arguments}: the losses are {losses}, not {expected}")
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
                if turn:  # the first is to warm up
                    seconds.append(measured)
                time.sleep(SETTLE)
    for child, pipe in children:
        pipe.close()
        child.join()
    return times


def _work(pipe: Connection, make: Make, arguments: tuple[Any, ...]) -> None:
    """Times a round of a call whenever it is asked for one."""
    losses, calls = make(*arguments)
    pipe.send((losses, list(calls)))
    repeats: dict[tuple[str, str], int] = {}
    with contextlib.suppress(EOFError):  # until there is nobody left who asks
        while True:
            key, once = pipe.recv()
            seconds = _timed(calls[key], 1)  # also wakes the library's threads
            if not once:
                if key not in repeats:
                    repeats[key] = max(1, int(ROUND / min(seconds, _timed(calls[key], 1))))
                seconds = _timed(calls[key], repeats[key])
            pipe.send(seconds)


def _timed(call: Callable[[], object], repeats: int) -> float:
    """Seconds a call."""
    start = time.perf_counter()
    for _ in range(repeats):
        result = call()
    return result if isinstance(result, Seconds) else (time.perf_counter() - start) / repeats
