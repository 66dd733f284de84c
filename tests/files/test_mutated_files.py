"""Damaged files and full disks give an error or the correct result, and no data is lost."""

import errno
import os
import random
import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import pytest
from mutation import checks
from mutation.mutants import mutant
from mutation.sources import Sources
from running import python

import chainrule as cr

POSIX = pytest.mark.skipif(os.name != "posix", reason="limits and permissions need POSIX")


@pytest.mark.parametrize("count", [500, pytest.param(10_000, marks=pytest.mark.slow)])
def test_many_damaged_files(count):
    """Readers raise only documented exceptions, never load a wrong model and never hang.

    The process may allocate at most 300 MB after its start. A larger allocation raises a
    MemoryError, which no reader documents. The resident memory, including the imports, stays below
    300 MB.
    """
    figures = python("-m", "mutation", "--count", count)
    assert figures["undocumented"] == []
    assert figures["mb_at_most"] < 300
    assert min(figures["kinds"].values()) > 0.19 * count
    for kind, reader in (
        ("idx", "read_idx"),
        ("gzip", "read_idx"),
        ("model", "load"),
        ("model", "load_weights"),
        ("signed", "load"),
        ("signed", "load_weights"),
        ("signed", "resume"),
        ("foreign", "load_weights"),
    ):
        for outcome in ("loaded", "refused"):
            # A damaged model has a wrong SHA-256, unless the damage has left the file as it was.
            rare = kind == "model" and outcome == "loaded"
            found = figures["outcomes"].get(f"{kind} {reader}: {outcome}", 0)
            assert found >= (count // 10_000 if rare else count / 1000)


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    return Sources(tmp_path_factory.mktemp("sources"))


@pytest.mark.parametrize("which", range(4), ids=["small", "shared", "float64", "training"])
@pytest.mark.parametrize("count", [100, pytest.param(1000, marks=pytest.mark.slow)])
def test_each_bit_and_each_length_counts(which, count, sources, tmp_path):
    """Every reader refuses a file in which one bit is flipped, and a file that is cut short."""
    data = sources.files["model"][which]
    rng = random.Random(which)
    broken = [data[: rng.randrange(len(data))] for _ in range(count // 10)]
    for _ in range(count):
        flipped = bytearray(data)
        flipped[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        broken.append(bytes(flipped))
    for file in broken:
        found = checks.read(("model", "", file, which), sources, tmp_path / "file")
        assert set(found.values()) == {"refused"}
    found = checks.read(("model", "", data, which), sources, tmp_path / "file")
    assert set(found.values()) == {"loaded"}


# This script overwrites the file of a small model with a large model that does not fit on the disk.

WRITE = """
import json, os, sys
import numpy as np
import chainrule as cr

path, *limits = sys.argv[1:]
small, large = cr.Sequential(cr.Linear(5, 5)), cr.Sequential(cr.Linear(200, 200))
trainer = cr.Trainer(large, loss=cr.MSELoss(), optimizer=cr.Adam())
trainer.fit(np.ones((4, 200)), np.ones((4, 200)), epochs=1, verbose=0)
small.save(path)
before = open(path, "rb").read()
errors = []
for limit in limits:
    if limit != "no limit":
        import resource
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), resource.RLIM_INFINITY))
    for writer in (large.save, trainer.save):
        try:
            writer(path)
        except OSError as error:
            errors.append(error.errno)
        assert open(path, "rb").read() == before
        assert os.listdir(os.path.dirname(path)) == [os.path.basename(path)]
        loaded = cr.load(path)
        assert (loaded.state.values == small.state.values).all()
print(json.dumps(errors))
"""


@POSIX
def test_a_file_that_may_not_grow(tmp_path):
    """If a limit on file sizes stops a write halfway, the old file stays unchanged."""
    limits = (0, 1, 4096, 100_000)
    assert python("-c", WRITE, tmp_path / "file", *limits) == [errno.EFBIG] * 2 * len(limits)


def test_a_full_disk(tmp_path):
    """On a full disk (a file system of 64 kB), the old file stays unchanged."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = f"mount -t tmpfs -o size=64k none '{folder}'"
    alone = ["unshare", "--map-root-user", "--mount", "sh", "-c"]
    if (
        not shutil.which("unshare")
        or subprocess.run([*alone, mount], capture_output=True).returncode
    ):
        pytest.skip("no file system can be mounted here")
    wrapped = [*alone, f'{mount} && exec "$@"', "sh"]
    assert python("-c", WRITE, folder / "file", "no limit", wrapped=wrapped) == [errno.ENOSPC] * 2


FORBIDDEN = """
import json, os, sys
import chainrule as cr

path = sys.argv[1]
model = cr.Sequential(cr.Linear(5, 5))
model.save(path)
os.chmod(os.path.dirname(path), 0o555)
if os.getuid() == 0:  # permissions do not apply to root
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
try:
    model.save(path)
except PermissionError as error:
    print(json.dumps(str(error)))
"""


@POSIX
def test_a_folder_without_write_permission():
    with tempfile.TemporaryDirectory() as home:  # only the owner may enter tmp_path
        os.chmod(home, 0o755)
        folder = Path(home) / "folder"
        folder.mkdir()
        try:
            message = python("-c", FORBIDDEN, folder / "model.safetensors")
        finally:
            folder.chmod(0o755)
        assert str(folder) in message
        assert os.listdir(folder) == ["model.safetensors"]
        assert len(cr.load(folder / "model.safetensors")) == 1


def test_a_file_instead_of_a_folder_and_a_folder_instead_of_a_file(tmp_path):
    model = cr.Sequential(cr.Linear(5, 5))
    (tmp_path / "file").write_bytes(b"kept")
    with pytest.raises(FileNotFoundError, match="its folder does not exist"):
        model.save(tmp_path / "file" / "model")
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError, match="folder"):
        model.save(tmp_path / "folder")
    assert sorted(os.listdir(tmp_path)) == ["file", "folder"]
    assert (tmp_path / "file").read_bytes() == b"kept"


def test_mutants_are_made_by_their_number(sources):
    for number in (100, 101, 102, 103, 104):
        one, two = (mutant(number, 0, sources) for _ in range(2))
        assert one == two
        assert one != mutant(number, 1, sources)


def half_written(model, path):
    model.state.values[:3] = 1.0
    raise cr.FileFormatError("half")


BAD_READERS = {
    "undocumented": ("model", cr, "load", lambda path: {}[path], KeyError, "file"),
    "model": ("model", cr, "load", lambda path: cr.Sequential(), AssertionError, "architecture"),
    "half": ("model", cr.Sequential, "load_weights", half_written, AssertionError, "changed the"),
    "none": ("model", cr.Sequential, "load_weights", print, AssertionError, "other weights"),
    "foreign": ("foreign", cr.Sequential, "load_weights", print, AssertionError, "different n"),
    "idx": ("idx", checks, "read_idx", lambda path: np.zeros(3), AssertionError, "array that"),
}


@pytest.mark.parametrize("case", BAD_READERS)
def test_the_checks_detect_faults(case, sources, tmp_path, monkeypatch):
    """The checks detect every kind of faulty reader."""
    kind, place, name, reader, error, message = BAD_READERS[case]
    monkeypatch.setattr(place, name, reader)
    with pytest.raises(error, match=message):
        checks.read((kind, "", sources.files[kind][0], 0), sources, tmp_path / "file")
