"""Lesson 1 runs as a script and prints the correct numbers."""

import numpy as np
import pytest
from running import all_numbers, lesson

pytest.importorskip("matplotlib")


def test_one_neuron(tmp_path, backend_name):
    out = lesson("01_one_neuron.py", tmp_path, "--backend", backend_name)
    only_m, m_and_b, repeated, varied = all_numbers("m #  b #  squared", out)
    # Five steps at x = 2 multiply the distance to the nearest solution of 2 m + b = y by
    # (1 - 0.08 * 2 * (x² + 1))^5. Without b, the factor is (1 - 0.08 * 2 * x²)^5.
    np.testing.assert_allclose(only_m, [3 * (1 - 0.36**5), 0], atol=6e-4)
    np.testing.assert_allclose(m_and_b, np.multiply([2.4, 1.2], 1 - 0.2**5), atol=6e-4)
    np.testing.assert_allclose(repeated, np.multiply([4.4, 2.2], 1 - 0.2**5), atol=6e-4)
    np.testing.assert_allclose(varied, [3, 5], atol=2e-3)
    only_m, m_and_b, repeated, varied = all_numbers("largest error on others # %", out)
    assert only_m < 1
    assert varied < 1
    assert min(m_and_b, repeated) > 20
    assert all_numbers("squared error on the last number #", out).max() < 0.02
    assert len(differences := all_numbers("SGD and by hand #", out)) == 4
    assert differences.max() < 1e-12


@pytest.mark.lessons
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_one_neuron_is_within_one_percent_for_other_seeds(seed, tmp_path):
    out = lesson("01_one_neuron.py", tmp_path, "--seed", seed)
    assert all_numbers("largest error on others # %", out)[-1] < 1
