"""The MNIST example runs as a script and prints the correct numbers."""

import re
import runpy
import sys
from itertools import pairwise

import numpy as np
import pytest
from running import EXAMPLES, mnist_is_here, run_example

import chainrule as cr


def accuracy(out):
    last = out.strip().splitlines()[-1]
    return float(re.fullmatch(r"test accuracy (0\.\d{4}) in \d+\.\d s on \w+", last)[1])


def test_digits_with_picture_and_model(tmp_path, backend_name):
    picture, model = tmp_path / "picture.png", tmp_path / "model.safetensors"
    options = ("--dataset", "digits", "--hidden", 32, 32, "--dropout", 0.1, "--optimizer", "adamw")
    files = ("--plot", picture, "--save", model, "--seed", 3, "--batch-size", 32)
    out = run_example("mnist.py", *options, *files, "--epochs", 12, "--backend", backend_name)
    assert accuracy(out) > 0.93
    assert len(re.findall(r"^epoch \d+/12  loss \d", out, re.MULTILINE)) == 12
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert cr.load(model).predict(np.zeros((2, 8, 8), np.uint8)).shape == (2, 10)


def test_without_data_and_network_it_trains_on_the_digits(tmp_path):
    nowhere = {"HTTPS_PROXY": "http://127.0.0.1:9", "XDG_CACHE_HOME": str(tmp_path)}
    out = run_example("mnist.py", "--epochs", 4, CHAINRULE_DATA=str(tmp_path), **nowhere)
    assert "cannot be downloaded" in out
    assert "Training on scikit-learn's handwritten digits instead" in out
    assert accuracy(out) > 0.85


def test_augmented_digits(monkeypatch, capsys):
    """Larger changes give a larger training loss. Running in this process saves imports."""
    losses = []
    for name, least in (("none", 0.95), ("affine", 0.93), ("elastic", 0.9), ("shift", 0.4)):
        options = ("--dataset", "digits", "--batch-size", "32", "--epochs", "3", "--augment", name)
        monkeypatch.setattr(sys, "argv", ["mnist.py", *options])
        runpy.run_path(str(EXAMPLES / "mnist.py"), run_name="__main__")
        out = capsys.readouterr().out
        assert accuracy(out) > least
        losses.append(float(re.search(r"^epoch 3/3  loss (\S+)", out, re.MULTILINE)[1]))
    assert all(b > 1.5 * a for a, b in pairwise(losses))


@pytest.mark.skipif(not mnist_is_here(), reason="CHAINRULE_DATA does not point at MNIST")
def test_two_epochs_of_mnist():
    assert accuracy(run_example("mnist.py", "--epochs", 2)) >= 0.97


@pytest.mark.slow
@pytest.mark.skipif(not mnist_is_here(), reason="CHAINRULE_DATA does not point at MNIST")
def test_mnist_by_default_over_five_seeds():
    assert np.mean([accuracy(run_example("mnist.py", "--seed", seed)) for seed in range(5)]) >= 0.98


@pytest.mark.slow
@pytest.mark.skipif(not mnist_is_here(), reason="CHAINRULE_DATA does not point at MNIST")
def test_lenet_over_five_seeds():
    options = ("--model", "lenet", "--seed")
    runs = [run_example("mnist.py", *options, seed) for seed in range(5)]
    assert np.mean([accuracy(out) for out in runs]) >= 0.99


@pytest.mark.slow
@pytest.mark.skipif(not mnist_is_here(), reason="CHAINRULE_DATA does not point at MNIST")
def test_ten_epochs_with_elastic_distortions():
    options = ("--hidden", 800, "--augment", "elastic", "--schedule", "cosine", "--lr", 1e-3)
    # After 30 epochs, the accuracy is 0.9926, or 0.9844 without distortions.
    assert accuracy(run_example("mnist.py", *options, "--epochs", 10)) >= 0.987


def test_lenet_expects_images_of_mnist(monkeypatch, capsys):
    script = str(EXAMPLES / "mnist.py")
    monkeypatch.setattr(sys, "argv", [script, "--model", "lenet", "--dataset", "digits"])
    with pytest.raises(SystemExit, match="2"):
        runpy.run_path(script, run_name="__main__")
    expected = "LeNet-5 expects images of 28x28 pixels, and the digits have 8x8"
    assert expected in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.skipif(not mnist_is_here(), reason="CHAINRULE_DATA does not point at MNIST")
def test_mnist_with_128_units_and_a_constant_rate():
    out = run_example(
        "mnist.py", "--hidden", 128, "--schedule", "constant", "--lr", 1e-3, "--epochs", 10
    )
    assert accuracy(out) >= 0.975  # this is one seed, and the mean of five seeds is 0.977
