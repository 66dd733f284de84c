"""Metrics accept any real dtype, and refuse targets with several labels per sample."""

from functools import partial

import numpy as np
import pytest

import chainrule as cr
from chainrule import metrics
from chainrule.metrics import (
    binary_accuracy,
    confusion_matrix,
    f1,
    mean_absolute_error,
    precision,
    r2,
    recall,
    top_k_accuracy,
)

DTYPES = ["bool", "int8", "uint8", "int64", "float16", "float32", "float64"]


def arrays(library, *given):
    """Move the arrays to this library, or skip the test if the library lacks their dtypes."""
    try:
        return [library.backend.xp.asarray(a, device=library.backend.device) for a in given]
    except (TypeError, KeyError):
        pytest.skip(f"{library.name} does not have {given[0].dtype}")


@pytest.mark.parametrize("dtype", DTYPES)
def test_counts_are_exact(dtype, library):
    """Counts of 3000 and more are exact in every dtype, although float16 counts only to 2048."""
    samples = 6001
    y, one, t = arrays(
        library,
        np.tile(np.asarray([[0, 1]], dtype), (samples, 1)),
        np.ones(samples, dtype),
        np.arange(samples) % 2,
    )
    for outputs in (y, one):
        found = library.to_numpy(confusion_matrix(outputs, t, threshold=0.5))
        np.testing.assert_array_equal(found, [[0, 3001], [0, 3000]])
        for score, expected in (
            (precision, 3000 / 6001),
            (recall, 1.0),
            (f1, 2 * 3000 / (3000 + 6001)),
            (partial(precision, average="micro"), 3000 / 6001),
            (partial(recall, average="macro"), 0.5),
            (partial(f1, average="weighted"), 3000 / 6001 * 2 * 3000 / (3000 + 6001)),
        ):
            assert float(score(outputs, t, threshold=0.5)) == pytest.approx(expected, rel=1e-7)
    for metric, outputs in (
        (metrics.accuracy, y),
        (top_k_accuracy(1), y),
        (binary_accuracy(0.5), one),
    ):
        assert float(metric(outputs, t)) == pytest.approx(3000 / 6001, rel=1e-7)


@pytest.mark.slow
def test_counts_beyond_the_range_of_float32():
    """Counts of 20 million are exact, although float32 counts only to 2^24 (16.8 million)."""
    outputs = np.ones(20_000_000, "float32")
    targets = np.arange(20_000_000) % 4 > 0
    assert float(precision(outputs, targets)) == 0.75
    assert confusion_matrix(outputs, targets).tolist() == [[0, 5_000_000], [0, 15_000_000]]
    assert float(binary_accuracy(0.0)(outputs, targets)) == 0.75
    columns = np.stack([outputs, targets * 2.0], axis=1)
    assert float(r2(columns, columns + 0.5)) == pytest.approx(1.0 - np.mean([1.0, 0.25 / 0.75]))


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int64", "float16", "float32", "float64"])
@pytest.mark.parametrize("kind", ["float32", "float64"])
def test_targets_are_not_cast_to_the_dtype_of_the_outputs(kind, dtype, library):
    """Fractional targets keep their values, whatever the dtype of the outputs."""
    y, t = arrays(library, np.asarray([1, 2, 3], dtype), np.asarray([1.5, 2.5, 3.5], kind))
    assert float(mean_absolute_error(y, t)) == 0.5
    assert float(r2(y, t)) == 0.625
    assert float(mean_absolute_error(t, y)) == 0.5
    assert float(r2(t, y)) == 0.625


def test_small_dtypes_neither_wrap_nor_overflow(library):
    y, t = arrays(library, np.asarray([250, 0], "uint8"), np.asarray([0, 250], "uint8"))
    assert float(mean_absolute_error(y, t)) == 250.0
    assert float(r2(y, t)) == -3.0
    rng = np.random.default_rng(0).normal(size=5000) * 30
    y, t = arrays(library, (rng + 3).astype("float16"), rng.astype("float16"))
    a, b = (library.to_numpy(x).astype(float) for x in (y, t))
    expected = 1.0 - np.sum((a - b) ** 2) / np.sum((b - b.mean()) ** 2)
    assert float(r2(y, t)) == pytest.approx(expected, rel=1e-6)


def test_long_sums_in_float32(library):
    n = 1_000_000 if library.name.startswith("numpy") else 1_000
    t = np.random.default_rng(0).normal(size=(n, 2)).astype("float32")
    y = t + np.float32(0.1)
    a, b = y.astype(float), t.astype(float)
    expected = np.mean(1.0 - np.sum((a - b) ** 2, 0) / np.sum((b - b.mean(0)) ** 2, 0))
    assert float(r2(*arrays(library, y, t))) == pytest.approx(expected, rel=1e-7)
    assert float(mean_absolute_error(*arrays(library, y, t))) == pytest.approx(
        np.mean(np.abs(a - b)), rel=1e-6
    )


def test_several_labels_per_sample_are_refused(library):
    outputs = np.asarray([[2.0, 4, -4], [-4, 4, 2], [-4, -3, -2]])
    several = np.asarray([[1, 1, 0], [0, 1, 1], [1, 0, 0]])
    for targets in (several, several.astype(bool), several * 0, several / 3, several - 1):
        y, t = arrays(library, outputs, targets)
        for metric in (metrics.accuracy, top_k_accuracy(2), confusion_matrix, recall, f1):
            with pytest.raises(cr.DataError, match="sum to 1, found a sum that|from 0 to inf"):
                metric(y, t)
    y, t = arrays(library, outputs, (outputs > 0).astype(int))
    assert float(binary_accuracy(0.0)(y, t)) == 1.0
    with pytest.raises(cr.DataError, match=r"f1: .* 1 by 1 \(for several .* binary_accuracy\)"):
        f1(y, t)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_the_class_of_a_smoothed_row_is_its_largest_entry(dtype, library):
    rows = np.full((4, 1000), 0.1 / 1000)
    rows[np.arange(4), [5, 999, 0, 7]] += 0.9
    y, t = arrays(library, np.eye(1000)[[5, 999, 0, 8]], rows.astype(dtype))
    assert float(metrics.accuracy(y, t)) == 0.75
    assert float(cr.CrossEntropyLoss()(y, t)[0]) > 0.0


def test_complex_outputs_are_refused():
    for metric in (metrics.accuracy, r2, cr.MSELoss()):
        with pytest.raises(cr.DataError, match="real numbers, found dtype complex128"):
            metric(np.ones((2, 2), complex), np.eye(2))


@pytest.mark.parametrize(
    ("outputs", "targets", "expected"),
    [
        ([9e-170] * 3, [1e-170, 2e-170, 4e-170], 1.0 - 138.0 * 3.0 / 14.0),
        ([1e200, 2e200, 3e200], [1e200, 2e200, 4e200], 1.0 - 1.0 * 3.0 / 14.0),
    ],
)
def test_r2_of_numbers_whose_squares_overflow_or_vanish(outputs, targets, expected, library):
    """R² is correct even if the squares of the numbers overflow or underflow to 0."""
    found = metrics.r2(library.asarray(outputs), library.asarray(targets))
    assert float(found) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("targets", [[255, 0], [-1, 1], [2.0, 0.0]])
def test_targets_of_two_classes_must_be_from_0_to_1(targets, library):
    if library.name == "cupy":
        pytest.skip("values on a device are not checked")
    with pytest.raises(cr.DataError, match="targets of two classes from 0 to 1"):
        metrics.binary_accuracy(0.0)(library.asarray([2.0, -1.0]), library.asarray(targets))
