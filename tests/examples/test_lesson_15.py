"""Lesson 15 runs as a script and prints the right numbers."""

import numpy as np
import pytest
from running import lesson, mnist_is_here, numbers

pytest.importorskip("matplotlib")

pytestmark = pytest.mark.lessons

NUMBER = r"(\d\S*)"


def check_adding_problem(out):
    """Check the errors and the gradients at the first step. Return the errors."""
    line = (
        f"squared error {NUMBER} at 30 steps; gradient at the first step {NUMBER}, trained {NUMBER}"
    )
    found = {name: numbers(f"{name}: {line}", out) for name in ("RNN", "LSTM", "GRU")}
    (guess,) = numbers(f"always predicting 1: squared error {NUMBER}", out)
    assert guess == pytest.approx(1 / 6, abs=0.02)
    assert found["RNN"][0] > 0.7 * guess
    assert found["RNN"][1] < 1e-3
    for name in ("LSTM", "GRU"):
        error, before, trained = found[name]
        assert error < 0.02
        assert trained > 0.05
        assert trained > 10 * before


def check_text(out):
    entropies = [
        numbers(f"epoch {n}: cross-entropy {NUMBER} per character", out)[0] for n in (1, 2, 3)
    ]
    assert (np.diff(entropies) < 0).all()
    assert entropies[-1] < 1.7  # the frequencies of characters alone give about 3.3
    shares = [
        numbers(f"temperature {t}: {NUMBER}% of the words are in the text", out)[0]
        for t in (0.3, 0.7, 1.2)
    ]
    assert shares[0] > 85
    assert shares[0] > shares[1] > shares[2]


@pytest.mark.skipif(not mnist_is_here(), reason="CHAINRULE_DATA does not point at MNIST")
def test_sequences(tmp_path):
    gradients = tmp_path / "gradients.png"
    out = lesson("15_sequences.py", tmp_path, "--gradients", gradients)
    check_adding_problem(out)
    assert numbers(f"digits row by row: test accuracy {NUMBER}", out)[0] > 0.92
    check_text(out)
    assert gradients.exists()


def test_sequences_on_digits(tmp_path, backend_name):
    nowhere = {"HTTPS_PROXY": "http://127.0.0.1:9", "XDG_CACHE_HOME": str(tmp_path)}
    nowhere["CHAINRULE_DATA"] = str(tmp_path)
    out = lesson("15_sequences.py", tmp_path, "--backend", backend_name, **nowhere)
    assert "Reading scikit-learn's handwritten digits instead" in out
    check_adding_problem(out)
    assert numbers(f"digits row by row: test accuracy {NUMBER}", out)[0] > 0.85
    check_text(out)
