"""The benchmark of the estimators."""

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("sklearn", "1.9")  # older scikit-learn versions need an older version of SciPy
from fitted import NUMBER, X

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def test_the_benchmark_takes_turns_and_makes_a_table(monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parents[2])
    from benchmarks import estimators as benchmark

    prices = benchmark.housing()
    assert prices[0].shape == (20640, 8)
    assert np.isfinite(prices[0]).all()
    assert 0.15 <= prices[1].min() < prices[1].max() == 5.0
    small = (lambda: (X, NUMBER)), "MLPRegressor", {"max_iter": 2}
    monkeypatch.setattr(benchmark, "TASKS", {"small": small})
    found = benchmark.measure("small", 3)
    assert {len(of["seconds"]) for of in found.values()} == {3}
    np.testing.assert_allclose(*(of["scores"] for of in found.values()), atol=0.5)
    table = benchmark.table({"small": found})
    assert table.count("| small |") == 2
    assert "100%" in table
