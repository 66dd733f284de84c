"""Lessons 1 to 5, as a user runs them, and the numbers that they print."""

import re
from itertools import product

import numpy as np
import pytest
from running import run_example

pytest.importorskip("matplotlib")


def run(script, folder, *options):
    """What the lesson prints, once its picture is found to be one."""
    picture = folder / "picture.png"
    # One thread: where the cores are busy, PyTorch's threads wait for each other for most of a run.
    out = run_example(script, "--plot", picture, *options, OMP_NUM_THREADS="1")
    assert picture.read_bytes().startswith(b"\x89PNG")
    return out


def numbers(pattern, text):
    """The numbers where ``#`` stands in the pattern, each time that it is found."""
    pattern = pattern.replace("#", r"(-?\d+\.?\d*(?:e[+-]\d+)?)")
    found = re.findall(pattern, text)
    assert found, f"no {pattern!r} in {text}"
    return np.array(found, dtype=float)


def test_one_neuron(tmp_path, backend_name):
    out = run("01_one_neuron.py", tmp_path, "--backend", backend_name)
    only_m, m_and_b, repeated, varied = numbers("m #  b #  squared", out)
    # From zero, five steps at x = 2 leave the share (1 - 0.08 * 2 * (x² + 1))^5 of the way to the
    # nearest m and b with 2 m + b = y; without b it is (1 - 0.08 * 2 * x²)^5.
    np.testing.assert_allclose(only_m, [3 * (1 - 0.36**5), 0], atol=6e-4)
    np.testing.assert_allclose(m_and_b, np.multiply([2.4, 1.2], 1 - 0.2**5), atol=6e-4)
    np.testing.assert_allclose(repeated, np.multiply([4.4, 2.2], 1 - 0.2**5), atol=6e-4)
    np.testing.assert_allclose(varied, [3, 5], atol=2e-3)
    only_m, m_and_b, repeated, varied = numbers("largest error on others # %", out)
    assert only_m < 1
    assert varied < 1
    assert min(m_and_b, repeated) > 20
    assert numbers("squared error on the last number #", out).max() < 0.02
    assert len(differences := numbers("SGD and by hand #", out)) == 4
    assert differences.max() < 1e-12


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_one_neuron_is_within_one_percent_whatever_the_new_numbers(seed, tmp_path):
    out = run("01_one_neuron.py", tmp_path, "--seed", seed)
    assert numbers("largest error on others # %", out)[-1] < 1


def test_vectorised(tmp_path, backend_name):
    out = run("02_vectorised.py", tmp_path, "--backend", backend_name)
    assert numbers("difference #", out).max() < 1e-11
    ((one_at_a_time, at_once),) = numbers("# s one at a time, # s at once", out)
    assert one_at_a_time > 5 * at_once
    rows = numbers("rate #, .*: test error # at best, in epoch #, # at the end, .* by # %", out)
    slow, right, fast, bouncing = rows
    training = numbers("training error #, at the end #", out)
    assert (slow[2], slow[1]) == (1000, slow[3])  # its test error still falls
    for row, errors in zip((right, fast), training[1:3], strict=True):
        assert row[2] < 500
        assert row[3] > 1.2 * row[1]  # over-trained: the test error is up again,
        assert errors[1] < errors[0]  # and the training error further down
    assert max(slow[4], right[4], fast[4]) < 1.5
    assert bouncing[4] > 3
    assert bouncing[1] > 1.2 * right[1]


def test_hidden_layers(tmp_path, backend_name):
    out = run("03_hidden_layers.py", tmp_path, "--backend", backend_name)
    rows = numbers("rate #, hidden layers #: error # .* after #, m #, b #", out)
    depths = [0, 1, 2, 4, 6, 8]
    np.testing.assert_array_equal(rows[:, :2], list(product([0.01, 0.005], depths)))
    np.testing.assert_allclose(rows[:, 4], 3, atol=0.05)
    np.testing.assert_allclose(rows[:, 5], 2, atol=0.002)

    # The error of the single neuron, in closed form: m and b approach 3 and 2 each on its own.
    square = np.mean(np.linspace(-1, 1, 20) ** 2)
    for rate, error in rows[[0, 6], :][:, [0, 2]]:
        m, b = 2.5 * (1 - 2 * rate * square) ** 99, 2 * (1 - 2 * rate) ** 99
        assert error == pytest.approx(square * m**2 + b**2, rel=0.06)  # two digits are printed

    fast, slow = np.reshape(rows[:, 3], (2, 6))
    np.testing.assert_allclose(slow / fast, 2, rtol=0.05)
    for epochs in (fast, slow):
        assert epochs[2] < 0.8 * epochs[1] < 0.3 * epochs[0]  # depth helps,
        assert epochs[2] < epochs[4] < epochs[5]  # until it makes the start slow
    assert rows[5, 2] > 100 * rows[2, 2]


def test_deep(tmp_path, backend_name):
    out = run("04_deep.py", tmp_path, "--backend", backend_name)
    rows = numbers("cost # # # # #, #% of the test points right", out)
    wide, mixed, linear, *narrow = rows
    for row in (wide, mixed):
        assert (np.diff(row[:5]) <= 0).all()
        assert row[4] < 0.05
        assert row[5] > 97
    assert len(narrow) == 3
    for row in (linear, *narrow):
        assert row[4] > 0.55
        assert row[5] <= 75
    np.testing.assert_allclose([row[4] for row in (linear, *narrow[:2])], np.log(2), atol=2e-3)


@pytest.mark.parametrize("seed", [1, 2])
def test_deep_with_other_points(seed, tmp_path):
    right = numbers("#% of the test points right", run("04_deep.py", tmp_path, "--seed", seed))
    assert right[:2].min() > 95
    assert right[2:].max() <= 75


def test_no_threshold_of_a_linear_function_tells_odd_from_even():
    signs = np.array(list(product([1, -1], repeat=4)))
    odd = np.prod(signs, axis=1) < 0
    directions = np.random.default_rng(0).normal(size=(20_000, 4))
    order = np.argsort(directions @ signs.T, axis=1)
    below = np.cumsum(np.where(odd, 1, -1)[order], axis=1)  # odd less even below each threshold
    best = (8 + np.abs(below).max()) / 16
    assert best <= 0.75


def test_vanishing_gradient(tmp_path, backend_name):
    out = run("05_vanishing_gradient.py", tmp_path, "--backend", backend_name)
    sigmoid, relu = numbers("first to last layer:" + " #" * 7, out)
    assert (sigmoid[1:] > 1.5 * sigmoid[:-1]).all()
    assert sigmoid[0] < 1e-3 * sigmoid[-1]
    assert relu[0] > 0.03 * relu[-1]
    sigmoid, relu = numbers("weights moved by #%", out)
    assert sigmoid < 0.5
    assert relu > 2
    sigmoid, relu = numbers("loss #, accuracy #", out)
    assert sigmoid[0] == pytest.approx(np.log(2), abs=0.01)
    assert sigmoid[1] < 0.7
    assert relu[0] < 0.02
    assert relu[1] >= 0.99
    rows = numbers("NaN: # of # steps with cr.BCELoss, # of # epochs by the naive formula", out)
    np.testing.assert_array_equal(rows[:, 0], 0)
    assert rows[0, 2] == 0
    assert rows[1, 2] > 20
