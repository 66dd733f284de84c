"""At most one thread of one process holds a lock, and a killed process loses its lock."""

import copy
import errno
import os
import pickle
import signal
import subprocess
import sys
import threading

import pytest

from chainrule.files import lock as lock_file
from chainrule.files.lock import Lock

HOLD = """
import pathlib, sys, time
from chainrule.files.lock import Lock
lock = Lock(pathlib.Path(sys.argv[1]))
print(lock.acquire() or "locked", flush=True)
time.sleep(100)
"""


@pytest.fixture
def path(tmp_path):
    return tmp_path / ".lock"


def other_process(path):
    """Return a new process that tries to acquire a lock, and its first line of output."""
    command = [sys.executable, "-c", HOLD, str(path)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    return process, process.stdout.readline().strip()


def end(process):
    process.kill()
    process.wait()
    process.stdout.close()


def test_one_at_a_time(path):
    first, second = Lock(path), Lock(path)
    assert first.acquire() is None
    assert second.acquire().startswith(f"process {os.getpid()} on ")
    assert (first.held, second.held) == (True, False)
    second.release()  # this has no effect, because `second` does not hold the lock
    assert path.exists()
    first.release()
    assert not path.exists()
    assert second.acquire() is None
    second.release()


def test_in_another_process_that_is_killed(path):
    process, said = other_process(path)
    try:
        assert said == "locked"
        assert Lock(path).acquire().startswith(f"process {process.pid} on ")
    finally:
        end(process)
    assert path.exists()  # the killed process left the file behind
    lock = Lock(path)
    assert lock.acquire() is None
    process, said = other_process(path)
    end(process)
    assert said.startswith(f"process {os.getpid()} on ")
    lock.release()


def test_a_file_with_any_content_is_free(path):
    path.write_text("process 1 on this machine, which runs for ever")
    lock = Lock(path)
    assert lock.acquire() is None
    lock.release()


def test_never_two_at_once(path):
    """Threads that repeatedly acquire and release a lock never hold it at the same time."""
    inside, most = [], []

    def work():
        taken = 0
        while taken < 30:
            lock = Lock(path)
            if lock.acquire() is None:
                inside.append(1)
                most.append(len(inside))
                taken += 1
                inside.pop()
                lock.release()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(most) == 4 * 30
    assert max(most) == 1


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda lock: pickle.loads(pickle.dumps(lock))])
def test_a_copy_does_not_hold_the_lock(copied, path):
    lock = Lock(path)
    lock.acquire()
    twin = copied(lock)
    assert not twin.held
    assert twin.acquire()
    twin.release()
    assert path.exists()
    lock.release()


def test_a_file_system_without_locks(path, monkeypatch):
    def lacking(handle):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(lock_file, "_lock", lacking)
    lock = Lock(path)
    with pytest.warns(RuntimeWarning, match="cannot detect whether other .*: .*No locks"):
        assert lock.acquire() is None
    assert not lock.held
    lock.release()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_a_forked_child_does_not_hold_the_lock(path):
    """A forked child, such as a data-loading worker, does not hold the lock of its parent."""
    lock = Lock(path)
    lock.acquire()
    if (child := os.fork()) == 0:
        signal.pause()
        os._exit(0)
    try:
        lock.release()
        second = Lock(path)
        assert second.acquire() is None
        second.release()
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
