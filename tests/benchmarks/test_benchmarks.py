"""The benchmark compares equal computations and prints correct numbers. Times are not tested."""

import json
import re
import sys
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

import chainrule as cr

sys.path.append(str(Path(__file__).parents[2]))  # the benchmarks are not in the package

from benchmarks import (
    bare,
    compare,
    comparison,
    distortions,
    drawing,
    growth,
    imports,
    memory,
    sequences,
    text,
)
from benchmarks import images as image_networks
from benchmarks.libraries import chainrule
from benchmarks.rounds import race
from benchmarks.task import make_data, network

WIDTHS, BATCH, STEPS = [6, 5, 4, 10], 4, 3
TINY = (WIDTHS, BATCH, STEPS, BATCH * STEPS)


def test_libraries_take_turns_and_a_failing_one_is_left_out(capfd):
    names = ("chainrule", "nobody", "chainrule-plain")
    processes = [(name, *TINY) for name in names]
    times = race(comparison.calls, processes, 2, long={"epoch": 1})
    both = ["chainrule", "chainrule-plain"]
    expected = dict.fromkeys(["step", "epoch", *(f"predict {n:,}" for n in (1, 128, 10000))], both)
    assert {what: list(who) for what, who in times.items()} == {**expected, "floor": ["NumPy"]}
    assert [len(s) for s in times["step"].values()] == [2, 2]
    assert [len(s) for s in times["epoch"].values()] == [1, 1]
    assert "left out because it failed: ('nobody'" in capfd.readouterr().err


def test_different_losses_end_the_comparison():
    other = ("chainrule-plain", WIDTHS, BATCH + 1, STEPS, BATCH * STEPS)
    with pytest.raises(SystemExit, match="expected the losses .*, found"):
        race(comparison.calls, [("chainrule", *TINY), other], 1)


def test_an_epoch_makes_all_of_its_steps():
    data = make_data(WIDTHS[0], BATCH, samples=BATCH * STEPS, steps=STEPS)
    task = chainrule(WIDTHS, data)
    mean = np.mean([task.step() for _ in range(STEPS)])
    assert chainrule(WIDTHS, data).epoch() == pytest.approx(mean, rel=1e-5)


def test_rows_match_the_batches():
    data = make_data(3, BATCH, samples=50, steps=STEPS)
    for rows, (images, labels) in islice(zip(data.rows(), data.batches(), strict=False), 20):
        np.testing.assert_array_equal(data.images[rows], images)
        np.testing.assert_array_equal(data.labels[rows], labels)
    each, again = ([*make()] for make in [data.epoch_rows()] * 2)
    for order in (each, again):
        np.testing.assert_array_equal(np.sort(np.concatenate(order)), np.arange(BATCH * STEPS))
    assert np.any(np.concatenate(each) != np.concatenate(again))


def test_bare_products_match_a_step(monkeypatch):
    multiply, shapes, matmul = bare.bare_products([6, 5, 3], 4), [], np.matmul

    def record(a, b, out):
        shapes.append((a.shape, b.shape))
        return matmul(a, b, out=out)

    monkeypatch.setattr(np, "matmul", record)
    multiply()
    first = [((4, 6), (6, 5)), ((5, 4), (4, 6))]
    assert shapes == [*first, ((4, 5), (5, 3)), ((3, 4), (4, 5)), ((4, 3), (3, 5))]


def test_the_bare_step_computes_the_gradients():
    model, (x, dy) = network(WIDTHS), (np.ones((BATCH, n), np.float32) for n in (6, 10))
    model.forward(x, training=True)[1](dy)
    for ours, p in zip(bare.bare_step(WIDTHS, BATCH)(), model.parameters(), strict=True):
        np.testing.assert_allclose(ours, p.grad, rtol=1e-5, atol=1e-6)


def test_bytes_train_like_floats():
    data = make_data(6, BATCH, samples=12)
    as_bytes = replace(data, images=(255 * data.images).astype(np.uint8))
    floats = replace(data, images=as_bytes.images / np.float32(255))
    model = drawing.scaling(network([6, 10]).copy())
    ours = chainrule([6, 10], as_bytes, model).step()
    assert ours == pytest.approx(chainrule([6, 10], floats).step(), rel=1e-5)


def test_scipy_distorts_in_the_same_way(monkeypatch):
    monkeypatch.setattr(distortions, "IMAGES", (4, 12, 9))
    pytest.importorskip("scipy")
    losses, timed = distortions.calls("SciPy")
    assert losses == pytest.approx(distortions.calls("chainrule")[0], abs=1e-6)
    assert timed["elastic", "SciPy"]().shape == (4, 12, 9)
    results = {"elastic": {"chainrule": [0.004], "SciPy": [0.008]}}
    assert "| SciPy | 8.00 ms (8.00 to 8.00) | 500 | 2.00 (" in distortions.table(results)


def test_numbers_have_three_digits():
    assert [text.number(x) for x in (0.12, 1.234, -12.34, 123.4, 1234.5)] == [
        "0.12", "1.23", "-12.3", "123", "1234",
    ]  # fmt: skip
    assert text.spread([1e-6, 2e-6, 3e-6]) == "2.00 µs (1.50 to 2.50)"
    assert text.spread([0.02]) == "20.0 ms (20.0 to 20.0)"
    assert text.spread([-2.0, -4.0]) == "-3.00 s (-3.50 to -2.50)"


def test_the_table_of_the_comparison():
    step = {"chainrule": [1e-4, 2e-4, 4e-4], "torch": [2e-4, 6e-4, 1.6e-3]}
    seconds = {"step": step, "epoch": {"chainrule": [2.0]}, "floor": {"NumPy": [5e-5] * 3}}
    result = {"batch": 8, "epoch": 1600, "seconds": seconds}
    lines = comparison.table({"6-5-4": result}).splitlines()
    assert "| 6-5-4, 8 | step | chainrule | 200 µs (150 to 300) |  |" in lines
    assert "| 6-5-4, 8 | step | torch | 600 µs (400 to 1100) | 3.00 (2.50 to 3.50) |" in lines
    assert "| 6-5-4, 8 | epoch of 1,600 samples | chainrule | 2.00 s (2.00 to 2.00) |  |" in lines
    assert lines[-1] == "| 6-5-4, 8 | 50.0 µs (50.0 to 50.0) | chainrule 25%, torch 8% |"
    assert "floor" in seconds


def test_the_cost_of_a_layer_is_a_slope():
    depths = {str(n): {"chainrule": [1e-4 + n * 1e-5, 2e-4 + n * 3e-5]} for n in (1, 2, 8)}
    assert growth.slope(depths, "chainrule") == pytest.approx([1e-5, 3e-5])
    results = {"sweeps": {"depth": depths}, "a layer": {"chainrule": [1e-5, 3e-5]}}
    out = growth.table(results)
    assert "| 2 | 190 µs (155 to 225) |" in out
    assert out.endswith("batch size 32: chainrule 20.0 µs (15.0 to 25.0).")


def test_the_networks_that_grow():
    depth, width, batch = growth.SWEEPS.values()
    assert depth[2] == ([784, 32, 32, 10], 32)
    assert width[64] == ([784, 64, 64, 10], 128)
    assert batch[8] == ([784, 128, 10], 8)


def test_memory():
    assert memory.needed([3, 2], 5) == 4 * (4 * 8 + 5 * 5)
    peaks = {"made": 2_000_000, "trained": 1_500_000, "forgotten": True}
    out = memory.table({"needed": 1_000_000, "peaks": {"chainrule": peaks}})
    assert out.endswith("| chainrule | 1.50 MB, 1.50 | 2.00 MB, 2.00 |")
    peaks["forgotten"] = False
    assert "since the process started" in memory.table({"needed": 1, "peaks": {"chainrule": peaks}})


def test_all_files_are_written(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(imports, "IMPORTS", {imports.THEIRS: ("", "pass"), imports.OURS: ("", "")})
    files = {kind: tmp_path / kind for kind in ("json", "markdown")}
    options = [f"--{kind}={path}" for kind, path in files.items()]
    monkeypatch.setattr(sys, "argv", ["compare", "--what", "imports", "--rounds=2", *options])
    compare.main()
    page = files["markdown"].read_text(encoding="utf-8")
    assert capsys.readouterr().out == page
    assert re.search(r"^- NumPy's BLAS: \S+ .*kernels \S+, threads \S+$", page, re.MULTILINE)
    results = json.loads(files["json"].read_text())
    assert results["versions"]["numpy"] == np.__version__
    assert len(results["imports"][imports.OURS]) == 2
    assert {"processor", "cores", "blas", "environment"} <= set(results["machine"])


def test_networks_for_images(monkeypatch):
    """The table shows times and memory, and each library starts with the same weights."""
    layers = image_networks._conv(1, 2, 3, 1) + image_networks._POOL + image_networks._dense(18, 10)
    monkeypatch.setattr(
        image_networks, "NETWORKS", {"tiny": image_networks.Network((1, 6, 6), 2, layers)}
    )
    losses, calls = image_networks.calls("chainrule", "tiny")
    plain = image_networks.TASKS["chainrule"]("tiny", image_networks._data("tiny"))
    np.testing.assert_allclose([plain.step() for _ in range(5)], losses, rtol=1e-5)
    assert list(calls) == [("step", "chainrule"), ("floor", "NumPy")]
    calls["floor", "NumPy"]()
    seconds = {"step": {"chainrule": [1.0], "torch": [2.0]}, "floor": {"NumPy": [0.5]}}
    results = {"tiny": {"seconds": seconds, "peaks": {"chainrule": 10**6, "torch": 2 * 10**6}}}
    lines = image_networks.table(results).splitlines()
    assert any(line.startswith("| tiny, 2 | torch | 2.00 s") for line in lines)
    assert lines[-1].endswith("chainrule 50%, torch 25% |")


@pytest.fixture
def tiny_sequences(monkeypatch):
    networks = {kind: sequences.Network(kind, 2, 3, 4, 5) for kind in ("LSTM", "GRU")}
    monkeypatch.setattr(sequences, "NETWORKS", networks)


@pytest.mark.parametrize("other", ["torch", "jax"])
@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
def test_sequences_in_each_library(kind, other, tiny_sequences):
    """All libraries start with the same weights and compute the same losses."""
    pytest.importorskip(other)
    losses, timed = sequences.calls("chainrule", kind)
    theirs, _ = sequences.calls(other, kind)
    np.testing.assert_allclose(theirs, losses, rtol=1e-5)
    assert list(timed) == [("step", "chainrule"), ("step", sequences.FLOOR)]


@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
def test_bare_products_match_a_step_of_a_recurrent_layer(kind, tiny_sequences, monkeypatch):
    """A training step and the floor have the same products, up to their order."""
    shapes: list[tuple[int, ...]] = []

    def recorded(matmul):
        def record(*arguments, **options):
            a, b, *_ = (a for a in arguments if isinstance(a, np.ndarray))
            shapes.append((a.shape, b.shape))
            return matmul(*arguments, **options)

        return record

    _, timed = sequences.calls("chainrule", kind)
    for place in (np, type(cr.get_backend("numpy"))):
        monkeypatch.setattr(place, "matmul", recorded(place.matmul))
    timed["step", sequences.FLOOR]()
    floor = sorted(shapes)
    shapes.clear()
    timed["step", "chainrule"]()
    assert sorted(shapes) == floor


def test_the_table_of_sequences():
    step = {"chainrule": [2.0], "torch": [3.0], sequences.FLOOR: [1.0]}
    *_, ours, theirs, floor = sequences.table({"GRU": {"step": step}}).splitlines()
    assert ours.endswith("| chainrule | 2.00 s (2.00 to 2.00) |  | 2.00 (2.00 to 2.00) |")
    assert theirs.endswith("| 1.50 (1.50 to 1.50) | 3.00 (3.00 to 3.00) |")
    assert floor.endswith("| 0.50 (0.50 to 0.50) |  |")
