"""The cells of recurrent layers on every backend: the same results as their formulas."""

import array_api_compat.numpy as xp
import numpy as np
import pytest

from chainrule.cells import gru_cell, lstm_cell, relu_cell, tanh_cell

# Each row: the number of gates, and the number of states.
CELLS = {tanh_cell: (1, 1), relu_cell: (1, 1), lstm_cell: (4, 2), gru_cell: (3, 1)}
SUMS = {tanh_cell: 1, relu_cell: 1, lstm_cell: 1, gru_cell: 2}  # with different gradients
LARGE = {"float32": 1e3, "float64": 1e4}  # gates are then exactly 0 or 1, and nothing overflows

cells = pytest.mark.parametrize(
    ("cell", "gates", "states"),
    [(cell, *numbers) for cell, numbers in CELLS.items()],
    ids=[cell.__name__ for cell in CELLS],
)


def results(cell, arrays, gradients, sums):
    """Return all results of both passes of a cell, except gradients that are None."""
    from_x, *others = arrays
    new, backward = cell(from_x + 0.0, *others)  # a kernel may overwrite the first argument
    dsums = [from_x * 0.0 for _ in range(sums)]
    before = backward(*dsums, *gradients)
    return [*new, *dsums, *(d for d in before if d is not None)]


def drawn(rng, gates, states, dtype, shape, scale=1.0):
    """Return the arguments of both passes."""
    batch, hidden = shape
    sums = [scale * rng.normal(size=(batch, gates * hidden)) for _ in range(2)]
    others = [rng.normal(size=shape) for _ in range(2 * states)]
    arrays = [a.astype(dtype) for a in (*sums, *others)]
    return arrays[: 2 + states], arrays[2 + states :]


def assert_same(library, cell, arrays, gradients, convert=lambda a: a):
    ours = (
        [convert(library.asarray(a)) for a in arrays],
        [convert(library.asarray(a)) for a in gradients],
    )
    found = results(library.backend.kernel(cell), *ours, SUMS[cell])
    expected = results(lambda *a: cell(xp, *a), arrays, gradients, SUMS[cell])
    assert len(found) == len(expected)
    tolerance = {"float32": 2e-6, "float64": 4e-15}[str(expected[0].dtype)]
    for one, other in zip(found, expected, strict=True):
        one = library.to_numpy(one)
        assert (one.dtype, one.shape) == (other.dtype, other.shape)
        np.testing.assert_allclose(one, other, rtol=tolerance, atol=tolerance)


@cells
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(1, 1), (5, 3), (33, 17)])
def test_a_cell(cell, gates, states, dtype, shape, library):
    rng = np.random.default_rng(0)
    assert_same(library, cell, *drawn(rng, gates, states, dtype, shape))


@cells
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_large_sums_do_not_overflow(cell, gates, states, dtype, library):
    arrays, gradients = drawn(np.random.default_rng(1), gates, states, dtype, (9, 4), LARGE[dtype])
    assert_same(library, cell, arrays, gradients)


@cells
def test_views_of_larger_arrays(cell, gates, states, library):
    """The states that a user passes are views of arrays ``(batch, layers, hidden)``."""
    arrays, gradients = drawn(np.random.default_rng(2), gates, states, "float64", (6, 5))

    def view(a):
        return library.backend.xp.stack([a, a, a], axis=1)[:, 1, :]

    assert_same(library, cell, arrays, gradients, view)


@cells
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_both_passes_leave_their_inputs_alone(cell, gates, states, dtype, library):
    arrays, gradients = drawn(np.random.default_rng(3), gates, states, dtype, (4, 3))
    ours = [library.asarray(a) for a in arrays], [library.asarray(a) for a in gradients]
    found = [results(library.backend.kernel(cell), *ours, SUMS[cell]) for _ in range(2)]
    for one, other in zip(*found, strict=True):
        np.testing.assert_array_equal(library.to_numpy(one), library.to_numpy(other))
    for one, other in zip((*ours[0], *ours[1]), (*arrays, *gradients), strict=True):
        np.testing.assert_array_equal(library.to_numpy(one), other)


@cells
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_backward_pass_can_be_repeated(cell, gates, states, dtype, library):
    arrays, gradients = drawn(np.random.default_rng(4), gates, states, dtype, (4, 3))
    from_x, *others = map(library.asarray, arrays)
    _, backward = library.backend.kernel(cell)(from_x + 0.0, *others)
    gradients = [library.asarray(a) for a in gradients]
    first, again = ([from_x * 0.0 for _ in range(SUMS[cell])] for _ in range(2))
    backward(*first, *gradients)
    backward(*again, *gradients)
    for one, other in zip(first, again, strict=True):
        np.testing.assert_array_equal(library.to_numpy(one), library.to_numpy(other))


def test_the_compiled_tanh():
    """The quotient of polynomials is within three units in the last place, and NaN stays NaN."""
    tanh = pytest.importorskip("chainrule.backends.fused_cells")._tanh
    sizes = np.logspace(-30, 3, 20_000, dtype=np.float32)
    x = np.concatenate([-sizes, [0.0], sizes, np.linspace(8.0, 10.0, 999)], dtype=np.float32)
    found, expected = np.asarray([tanh(one) for one in x]), np.tanh(x.astype(np.float64))
    np.testing.assert_allclose(found, expected, rtol=3e-7)
    assert np.abs(found).max() <= 1.0
    assert np.isnan(tanh(np.float32(np.nan)))
    assert tanh(np.float32(np.inf)) == pytest.approx(1.0, abs=3e-7)
