"""Losses accept any dtype, and report formulas that return another dtype."""

import numpy as np
import pytest

import chainrule as cr


def arrays(library, *given):
    """Move the arrays to this library, or skip the test if the library lacks their dtypes."""
    try:
        return [library.backend.xp.asarray(a, device=library.backend.device) for a in given]
    except (TypeError, KeyError):
        pytest.skip(f"{library.name} does not have all of these dtypes")


@pytest.mark.parametrize("dtype", ["int8", "int64", "uint8", "float16"])
def test_targets_and_weights_are_not_cast_to_integers(dtype, library):
    """Fractional targets and weights keep their values, whatever the dtype of the outputs."""
    y, halves, far, half = arrays(
        library, np.asarray([1, 2, 3], dtype), np.asarray([1.5, 2.5, 3.5]),
        np.asarray([1, 2, 5]), np.full(3, 0.5),
    )  # fmt: skip
    value, back = cr.MSELoss()(y, halves)
    assert float(value) == 0.25
    assert value.dtype == back().dtype == library.backend.dtype("float64")
    np.testing.assert_allclose(library.to_numpy(back()), np.full(3, -1 / 3))
    weighted = cr.MSELoss()(y, far, sample_weight=half)[0]
    assert float(weighted) == pytest.approx(4 / 3, rel=1e-12)
    assert float(cr.MSELoss(weight=[0.5])(y[:, None], halves[:, None])[0]) == 0.125
    assert float(cr.L1Loss()(y, halves)[0]) == 0.5
    assert float(cr.HuberLoss(delta=0.25)(y, halves)[0]) == 0.25 * (0.5 - 0.125)


def test_outputs_may_be_booleans(library):
    y, labels = arrays(library, np.asarray([[True, False], [False, True]]), np.asarray([0, 0]))
    e = np.e
    expected = np.mean([-np.log(e / (1 + e)), -np.log(1 / (1 + e))])
    assert float(cr.CrossEntropyLoss()(y, labels)[0]) == pytest.approx(expected, rel=1e-12)
    value = cr.BCEWithLogitsLoss()(y[:, :1], arrays(library, np.asarray([[0.5], [0.5]]))[0])[0]
    assert float(value) == pytest.approx(np.mean([np.log(1 + e) - 0.5, np.log(2)]), rel=1e-12)


def test_sums_are_not_taken_in_float16(library):
    """A loss above 65504 does not overflow. Targets whose float16 sum is 1.006 are accepted."""
    y, t = arrays(library, np.full((5000, 1), 100, "float16"), np.zeros((5000, 1)))
    assert float(cr.MSELoss(reduction="sum")(y, t)[0]) == 5e7
    rows = np.full((2, 2000), 1 / 2000, "float16")
    y, t = arrays(library, np.zeros((2, 2000), "float16"), rows)
    assert float(cr.CrossEntropyLoss()(y, t)[0]) == pytest.approx(np.log(2000), rel=1e-3)


@pytest.mark.parametrize("reduction", ["mean", "none"])
def test_the_gradient_has_the_dtype_of_the_outputs(reduction, library):
    y, t = (library.asarray(np.asarray(x, "float32")) for x in ([[3.0], [1.0]], [[1.0], [1.0]]))
    backward = cr.MSELoss(reduction=reduction)(y, t)[1]
    twice = 2.0 * library.to_numpy(backward())
    factors = [2, np.float64(2.0), np.float32(2.0), library.asarray(np.asarray(2.0))]
    for factor in [*factors, *([[[2.0], [2.0]]] if reduction == "none" else [])]:
        dy = backward(factor)
        assert dy.dtype == y.dtype
        np.testing.assert_array_equal(library.to_numpy(dy), twice)


class Float64Values(cr.Loss):
    def formula(self, xp, y, target):
        d = y - target
        w = xp.asarray([1.0, 2.0], dtype=xp.float64)
        return w * d * d, lambda: 2.0 * d


class Float64Gradient(cr.Loss):
    def formula(self, xp, y, target):
        d = y - target
        w = xp.asarray([1.0, 2.0], dtype=xp.float64)
        return d * d, lambda: w * d


@pytest.mark.parametrize(
    ("make", "what"), [(Float64Values, "values"), (Float64Gradient, "gradient")]
)
@pytest.mark.parametrize("reduction", ["mean", "none"])
def test_a_formula_that_changes_the_dtype_is_reported(make, what, reduction, library):
    loss = make(reduction=reduction)
    y, t = arrays(library, np.ones((3, 2), "float32"), np.zeros((3, 2), "float32"))
    with pytest.raises(TypeError, match=rf"{make.__name__}\(.*\): {what} is .*float64, .*float32"):
        loss(y, t)[1]()
    y, t = arrays(library, np.ones((3, 2)), np.zeros((3, 2)))
    loss(y, t)[1]()
