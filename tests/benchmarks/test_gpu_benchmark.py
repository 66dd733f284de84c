"""The GPU benchmark, run on the CPU, counts operations and writes tables correctly."""

import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

sys.path.append(str(Path(__file__).parents[2]))  # the benchmarks are not in the package

from benchmarks.gpu import __main__ as command
from benchmarks.gpu import checks, floor, mnist, page, speed
from benchmarks.gpu.libraries import LIBRARIES
from benchmarks.gpu.place import Place
from benchmarks.rounds import Seconds, race
from benchmarks.task import make_data, network

DRY = Place(dry=True)
ROOT = Path(__file__).parents[2]


def own_time():
    return [], {("step", "own"): lambda: Seconds(7.0)}


def test_a_call_may_measure_its_own_time():
    assert race(own_time, [()], 2, long={"step": 2}) == {"step": {"own": [7.0, 7.0]}}


def test_bytes_and_operations_of_a_step():
    parameters = 3 * 5 + 5 + 5 * 2 + 2
    assert floor.moved([3, 5, 2], 4) == 4 * 6 * parameters + 4 * 4 * 3 + 4 * (8 + 8)
    forward, weights, inputs = 4 * (3 * 5 + 5 * 2), 4 * (3 * 5 + 5 * 2), 4 * 5 * 2
    assert floor.operations([3, 5, 2], 4) == 2 * (forward + weights + inputs)


def test_operations_match_the_products(monkeypatch):
    model, done = network([6, 5, 4, 10]), []
    backend, matmul = type(model.backend), type(model.backend).matmul

    def count(self, a, b, out=None):
        done.append(2 * a.shape[0] * a.shape[1] * b.shape[1])
        return matmul(self, a, b, out)

    monkeypatch.setattr(backend, "matmul", count)
    _, back = model.forward(np.ones((3, 6), np.float32), training=True)
    back(np.ones((3, 10), np.float32))
    assert sum(done) == floor.operations([6, 5, 4, 10], 3)


CARD = {
    "bytes": 1000,
    "operations": 10**6,
    "seconds": {
        "copy": {"card": [1e-6, 2e-6, 3e-6]},
        "product": {"card": [1e-3]},
        "launch": {"card": [1e-5]},
    },
}


def test_ceilings_are_medians():
    ceilings = floor.ceilings(CARD)
    assert ceilings == pytest.approx({"bytes": 5e8, "operations": 1e9, "launch": 1e-5})
    terms = floor.terms([3, 2], 4, ceilings)
    assert terms["operations"] == pytest.approx(2 * 4 * 2 * 6 / 1e9)
    assert "| copy | 2.00 µs (1.50 to 2.50) | 0.50 GB/s, read and written |" in floor.table(CARD)


def times(graph=True):
    host = {"chainrule": [4e-5] * 2, "PyTorch": [9e-5] * 2}
    if graph:
        host["chainrule graph"] = [2e-5, 4e-5]
    return {"step": host, "step by events": {"PyTorch": [8e-5] * 2}}


def test_the_table_of_steps():
    results = {"3-2": {"batch": 4, "steps": 9, "seconds": times()}}
    lines = speed.table(results, floor.ceilings(CARD)).splitlines()
    theirs = "| 3-2, 4 | PyTorch | 90.0 µs (90.0 to 90.0) | 80.0 µs (80.0 to 80.0) |"
    assert f"{theirs} 3.38 (2.81 to 3.94) |" in lines
    assert "| 3-2, 4 | chainrule graph | 30.0 µs (25.0 to 35.0) |  |  |" in lines
    assert lines[-1].startswith("| 3-2, 4 | 0.00 MB | 0.00 GFLOP | 0.61 µs | 0.10 µs | 10.0 µs |")
    assert "chainrule 25%, PyTorch 11%, chainrule graph 38%" in lines[-1]
    assert speed.base(times(graph=False)) == "chainrule"
    assert speed.base({}) == ""


def everything():
    way = {"cold": [[2.0, 0.983]], "warm": [[0.3, 0.982], [0.5, 0.981]]}
    used = {"steps": [100, 10_000], "bytes": [{"pool": 5_000_000}, {"pool": 5_000_512}]}
    return {
        "date": "2031-02-03",
        "precision": "float32",
        "card": {"card": "a card", "driver": "1.2"},
        "machine": {
            "processor": "one", "cores": 2, "system": "Linux", "load": None, "environment": {},
            "blas": {"name": "b", "version": "1", "kernels": None, "threads": 1},
        },
        "versions": {"python": "3.11"},
        "floor": CARD,
        "speed": {"3-2": {"batch": 4, "steps": 9, "seconds": times()}},
        "mnist": {"ways": {"graph": way}},
        "checks": {
            "memory": {"graph": used},
            "turns": {"a graph": 0.0, "eager next to it": 1e-3},
            "agreement": {"graph": 3e-7},
        },
    }  # fmt: skip


def test_the_short_table():
    lines = page.short(everything()).splitlines()[2:]
    assert [line.split(" | ")[1].removesuffix(" |") for line in lines] == [
        "30.0 µs; chainrule 1.50, PyTorch 3.38",
        "400 ms, cold 2.00 s",
        "pool +512 bytes",
        "1.0e-03",
        "graph 3.0e-07",
    ]
    assert page.short({}).count("\n") == 1


def test_the_other_tables():
    results = everything()
    out = mnist.table(results["mnist"])
    assert out.endswith("| graph | 400 ms (350 to 450) | 2.00 s | 98.10% |")
    results["mnist"]["ways"]["graph"]["warm"][0][1] = 0.97
    assert mnist.table(results["mnist"]).endswith("| 97.00%, not 98% |")
    assert mnist.table({"left out": "nowhere"}) == "MNIST is left out: nowhere"
    lines = checks.table(results["checks"]).splitlines()
    of_memory = "| memory of the pool after 100 and 10,000 steps, graph |"
    assert f"{of_memory} 5.00 MB and 5.00 MB: +512 bytes |" in lines
    assert "| difference from training alone: a graph | none |" in lines
    assert lines[-1].endswith("first epoch of 784-128-10, graph | 3.0e-07 |")


def test_the_part_of_a_page_is_replaced(tmp_path):
    before, after = "# Title\n\n<!-- measured: float32 -->", "<!-- end of float32 -->\n\nend\n"
    assert page.replaced(f"{before}old{after}", "float32", "new") == f"{before}\n\nnew\n\n{after}"
    for wrong in ("", before, after, after + before, before + after + before):
        with pytest.raises(ValueError, match="expected a page with <!-- measured: float32 -->"):
            page.replaced(wrong, "float32", "new")
    path = tmp_path / "page.md"
    path.write_text(f"{before}{after}", encoding="utf-8")
    for _ in range(2):
        page.write(path, everything())
    text = path.read_text(encoding="utf-8")
    assert text.count("Measured on 2031-02-03, with products of float32 in float32") == 1
    assert "card a card, driver 1.2." in text
    assert text.count("#### ") == len(page.SECTIONS)
    assert text.startswith(before)
    assert text.endswith(after)


@pytest.mark.parametrize("precision", ["float32", "tf32"])
def test_the_page_has_a_place_for_each_precision(precision):
    text = (ROOT / "docs/gpu.md").read_text(encoding="utf-8")
    assert "new" in page.replaced(text, precision, "new")


@pytest.mark.parametrize("name", ["chainrule", "chainrule graph"])
def test_epochs_of_a_dry_run(name):
    data = make_data(6, 4, 24, 6)
    trained = LIBRARIES[name][1]([6, 5, 10], data, DRY)(3)
    expected = speed.calls("NumPy", [6, 5, 10], 4, 6, DRY)[0]
    np.testing.assert_allclose(trained.losses, expected[:6], rtol=1e-5)
    assert len(trained.seconds) == len(trained.by_events) == 3
    for whole, step in pairwise((sum(trained.seconds), sum(trained.by_events))):
        assert whole > 5 * step > 0


def test_the_ceilings_of_a_dry_run():
    losses, timed = floor.calls(DRY)
    assert losses == []
    assert all(isinstance(call(), Seconds) for call in timed.values())


def test_a_product_with_the_wrong_precision_is_an_error():
    DRY.check_product(np.matmul)

    def rounded(a, b):
        return a.astype(np.float16).astype(np.float32) @ b

    with pytest.raises(RuntimeError, match="not what float32 gives"):
        DRY.check_product(rounded)
    Place(precision="tf32").check_product(rounded)
    with pytest.raises(RuntimeError, match="not what tf32 gives"):
        Place(precision="tf32").check_product(np.matmul)


def test_without_a_gpu_it_says_so(monkeypatch):
    def none(name):
        raise command.cr.BackendError("backend 'cupy' needs CuPy")

    monkeypatch.setattr(command.cr, "get_backend", none)
    monkeypatch.setattr(sys, "argv", ["gpu"])
    monkeypatch.setattr(Place, "set_environment", lambda self: None)
    with pytest.raises(SystemExit, match="no GPU to measure on: .*needs CuPy"):
        command.main()


def test_a_dry_run_is_not_written(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["gpu", "--dry-run", "--write", "page.md"])
    with pytest.raises(SystemExit):
        command.main()
    assert "times of a dry run mean nothing" in capsys.readouterr().err


def test_a_failure_does_not_stop_the_others(monkeypatch, capsys):
    def fail(*arguments):
        raise RuntimeError("no memory")

    monkeypatch.setattr(speed, "measure", fail)
    monkeypatch.setattr(checks, "measure", lambda *arguments: everything()["checks"])
    monkeypatch.setattr(sys, "argv", ["gpu", "--dry-run", "--what", "speed", "checks"])
    monkeypatch.setattr(Place, "set_environment", lambda self: None)
    with pytest.raises(SystemExit, match="failed, so nothing was written.*speed: no memory"):
        command.main()
    assert "losses differ from NumPy's by" in capsys.readouterr().out
