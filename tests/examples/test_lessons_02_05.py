"""Lessons 2 to 5 run as scripts and print the correct numbers."""

from itertools import product

import numpy as np
import pytest
from running import all_numbers, lesson

pytest.importorskip("matplotlib")


pytestmark = pytest.mark.lessons


def test_vectorised(tmp_path, backend_name):
    out = lesson("02_vectorised.py", tmp_path, "--backend", backend_name)
    assert all_numbers("difference #", out).max() < 1e-11
    ((one_at_a_time, at_once),) = all_numbers("# s one at a time, # s at once", out)
    assert one_at_a_time > 5 * at_once
    rows = all_numbers("rate #, .*: test error # at best, in epoch #, # at the end, .* by # %", out)
    slow, right, fast, bouncing = rows
    training = all_numbers("training error #, at the end #", out)
    assert (slow[2], slow[1]) == (1000, slow[3])  # the test error falls until the end
    for row, errors in zip((right, fast), training[1:3], strict=True):
        assert row[2] < 500
        assert row[3] > 1.2 * row[1]  # overfitting: the test error rises again
        assert errors[1] < errors[0]  # the training error keeps falling
    assert max(slow[4], right[4], fast[4]) < 1.5
    assert bouncing[4] > 3
    assert bouncing[1] > 1.2 * right[1]


def test_hidden_layers(tmp_path, backend_name):
    out = lesson("03_hidden_layers.py", tmp_path, "--backend", backend_name)
    rows = all_numbers("rate #, hidden layers #: error # .* after #, m #, b #", out)
    depths = [0, 1, 2, 4, 6, 8]
    np.testing.assert_array_equal(rows[:, :2], list(product([0.01, 0.005], depths)))
    np.testing.assert_allclose(rows[:, 4], 3, atol=0.05)
    np.testing.assert_allclose(rows[:, 5], 2, atol=0.002)

    # The single neuron's error has a closed form, because m and b approach 3 and 2 independently.
    square = np.mean(np.linspace(-1, 1, 20) ** 2)
    for rate, error in rows[[0, 6], :][:, [0, 2]]:
        m, b = 2.5 * (1 - 2 * rate * square) ** 99, 2 * (1 - 2 * rate) ** 99
        assert error == pytest.approx(square * m**2 + b**2, rel=0.06)  # printed with two digits

    fast, slow = np.reshape(rows[:, 3], (2, 6))
    np.testing.assert_allclose(slow / fast, 2, rtol=0.05)
    for epochs in (fast, slow):
        assert epochs[2] < 0.8 * epochs[1] < 0.3 * epochs[0]  # deeper chains learn faster
        assert epochs[2] < epochs[4] < epochs[5]  # very deep chains start slowly
    assert rows[5, 2] > 100 * rows[2, 2]


def test_deep(tmp_path, backend_name):
    out = lesson("04_deep.py", tmp_path, "--backend", backend_name)
    rows = all_numbers("cost # # # # #, #% of the test points right", out)
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
    right = all_numbers(
        "#% of the test points right", lesson("04_deep.py", tmp_path, "--seed", seed)
    )
    assert right[:2].min() > 95
    assert right[2:].max() <= 75


def test_no_linear_threshold_separates_odd_from_even():
    signs = np.array(list(product([1, -1], repeat=4)))
    odd = np.prod(signs, axis=1) < 0
    directions = np.random.default_rng(0).normal(size=(20_000, 4))
    order = np.argsort(directions @ signs.T, axis=1)
    below = np.cumsum(
        np.where(odd, 1, -1)[order], axis=1
    )  # below each threshold, the number of odd points minus the number of even points
    best = (8 + np.abs(below).max()) / 16
    assert best <= 0.75


def test_vanishing_gradient(tmp_path, backend_name):
    out = lesson("05_vanishing_gradient.py", tmp_path, "--backend", backend_name)
    sigmoid, relu = all_numbers("first to last layer:" + " #" * 7, out)
    assert (sigmoid[1:] > 1.5 * sigmoid[:-1]).all()
    assert sigmoid[0] < 1e-3 * sigmoid[-1]
    assert relu[0] > 0.03 * relu[-1]
    sigmoid, relu = all_numbers("weights moved by #%", out)
    assert sigmoid < 0.5
    assert relu > 2
    sigmoid, relu = all_numbers("loss #, accuracy #", out)
    assert sigmoid[0] == pytest.approx(np.log(2), abs=0.01)
    assert sigmoid[1] < 0.7
    assert relu[0] < 0.02
    assert relu[1] >= 0.99
    rows = all_numbers("NaN: # of # steps with cr.BCELoss, # of # epochs by the naive formula", out)
    np.testing.assert_array_equal(rows[:, 0], 0)
    assert rows[0, 2] == 0
    assert rows[1, 2] > 20
