"""Batches contain each sample once, and can start at any step of an epoch."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

import chainrule as cr


@st.composite
def batches(draw):
    """Draw data, and a function that makes the same batches of this data in each call."""
    samples = draw(st.integers(1, 40))
    x = np.arange(2.0 * samples).reshape(samples, 2)
    y = np.arange(samples)
    options = {
        "batch_size": draw(st.integers(1, samples)),
        "seed": draw(st.integers(0, 2**32)),
        "shuffle": draw(st.booleans()),
        "drop_last": draw(st.booleans()),
    }
    return lambda: cr.minibatches(x, y, **options), x, y, options


def same(found, expected):
    found, expected = list(found), list(expected)
    assert len(found) == len(expected)
    for pair in zip(found, expected, strict=True):
        for a, b in zip(*pair, strict=True):
            np.testing.assert_array_equal(a, b)


@given(st.data(), batches())
def test_starting_at_a_step_leaves_the_remaining_batches(data, drawn):
    make = drawn[0]
    whole, rest = make(), make()
    for label in ("first", "second"):  # each epoch has its own order
        start = data.draw(st.integers(0, len(whole) + 1), label=label)
        same(rest.starting_at(start), list(whole)[start:])


@given(batches())
def test_each_sample_occurs_once(drawn):
    make, x, y, options = drawn
    whole = make()
    for _ in range(2):
        parts = list(whole)
        assert len(parts) == len(whole)
        sizes = [len(part) for part, _ in parts]
        full, left = divmod(len(x), options["batch_size"])
        ends = [left] if left and not options["drop_last"] else []
        assert sizes == [options["batch_size"]] * full + ends
        rows = np.concatenate([rows for _, rows in parts])
        np.testing.assert_array_equal(np.concatenate([part for part, _ in parts]), x[rows])
        assert len(set(rows.tolist())) == len(rows)
        if not options["shuffle"]:
            np.testing.assert_array_equal(rows, y[: len(rows)])
