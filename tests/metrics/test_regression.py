"""R² and the mean absolute error equal sums computed sample by sample."""

import numpy as np
import pytest
from predictions import PREDICTED, TARGETS

from chainrule.metrics import (
    mean_absolute_error,
    r2,
)


def determined(y, t):
    """Compute R² of one output, one sample at a time."""
    mean = sum(t) / len(t)
    unexplained = sum((b - a) ** 2 for a, b in zip(y, t, strict=True))
    return 1.0 - unexplained / sum((b - mean) ** 2 for b in t)


def test_r2(library):
    each = [determined(PREDICTED[:, i], TARGETS[:, i]) for i in range(3)]
    assert min(each) < 0.0 < max(each)
    for i, expected in enumerate(each):
        for columns in (i, slice(i, i + 1)):
            y, t = library.asarray(PREDICTED[:, columns]), library.asarray(TARGETS[:, columns])
            assert float(r2(y, t)) == pytest.approx(expected, rel=1e-11)
    found = r2(library.asarray(PREDICTED), library.asarray(TARGETS))
    assert float(found) == pytest.approx(np.mean(each), rel=1e-11)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_r2_of_targets_that_do_not_vary(dtype, library):
    targets = np.full((7, 2), 0.1, dtype)
    off = targets + np.asarray([0.0, 1.0], dtype)
    t = library.asarray(targets)
    assert float(r2(t, t)) == 1.0
    assert float(r2(library.asarray(off), t)) == 0.5
    assert float(r2(library.asarray(off[:, 1:]), t[:, 1:])) == 0.0


def test_r2_of_the_mean_is_zero(library):
    t = np.arange(6)
    assert float(r2(library.asarray(np.full(6, 2.5)), library.asarray(t))) == pytest.approx(0.0)
    assert float(r2(library.asarray(t.astype(float)), library.asarray(t))) == 1.0


def test_mean_absolute_error(library):
    y, t = library.asarray(PREDICTED), library.asarray(TARGETS)
    by_hand = sum(abs(a - b) for a, b in zip(PREDICTED.flat, TARGETS.flat, strict=True))
    assert float(mean_absolute_error(y, t)) == pytest.approx(by_hand / TARGETS.size, rel=1e-12)
    whole = library.asarray([1.0, 4.0]), library.asarray([2, 2])
    assert float(mean_absolute_error(*whole)) == 1.5
