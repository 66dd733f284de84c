"""Lessons 12 to 14 run as scripts and print the right numbers."""

import numpy as np
import pytest
from running import lesson, mnist_is_here, numbers

pytest.importorskip("matplotlib")

pytestmark = pytest.mark.lessons


def accuracies(name, parameters, out):
    """Return the accuracies of a network for digits shifted by 0 to 4 pixels."""
    start = rf"{name}: {parameters} parameters, test accuracy (0\.\d+)"
    lines = [rf"  moved by {n} pixels: (0\.\d+)" for n in range(1, 5)]
    return np.array(numbers("\n".join([start, *lines]), out))


@pytest.mark.skipif(not mnist_is_here(), reason="CHAINRULE_DATA does not point at MNIST")
def test_convolution(tmp_path):
    out = lesson("12_convolution.py", tmp_path)
    lenet, mlp = accuracies("LeNet-5", 61706, out), accuracies("MLP", 62020, out)
    assert lenet[0] > 0.975
    assert 0.93 < mlp[0] < lenet[0] - 0.01
    assert (np.diff(lenet) < 0).all()
    assert (np.diff(mlp) < 0).all()
    assert lenet[2] > 0.88
    assert mlp[2] < lenet[2] - 0.15
    assert mlp[4] < lenet[4] - 0.15


def without_mnist(folder):
    """Return environment variables with which MNIST is neither found nor downloaded."""
    nowhere = {"HTTPS_PROXY": "http://127.0.0.1:9", "XDG_CACHE_HOME": str(folder)}
    return {**nowhere, "CHAINRULE_DATA": str(folder)}


def test_convolution_on_digits(tmp_path, backend_name):
    options = ("--epochs", 10, "--batch-size", 32, "--backend", backend_name)
    out = lesson("12_convolution.py", tmp_path, *options, **without_mnist(tmp_path))
    assert "Training on scikit-learn's handwritten digits instead" in out
    lenet, mlp = accuracies("LeNet-5", 61706, out), accuracies("MLP", 62020, out)
    assert lenet[0] > 0.93
    assert mlp[0] > 0.88
    assert lenet[2] > mlp[2]


def check_mnist_1d(name, out):
    return numbers(rf"{name}: (0\.\d+) in order, (0\.\d+) shuffled", out)


def test_mnist_1d(tmp_path):
    """The authors report 32, 68 and 94 %, and after shuffling 32, 68 and 56 %."""
    out = lesson("13_mnist_1d.py", tmp_path)
    for accuracy in check_mnist_1d("logistic regression", out):
        assert accuracy == pytest.approx(0.32, abs=0.04)
    for accuracy in check_mnist_1d("MLP", out):
        assert accuracy == pytest.approx(0.68, abs=0.05)
    in_order, shuffled = check_mnist_1d("CNN", out)
    assert in_order > 0.92
    assert shuffled == pytest.approx(0.56, abs=0.08)


def test_mnist_1d_on_other_backends(tmp_path, other_backend):
    options = ("--epochs", 20, "--backend", other_backend)
    out = lesson("13_mnist_1d.py", tmp_path, *options)
    in_order, shuffled = check_mnist_1d("CNN", out)
    assert in_order > shuffled + 0.2


AUGMENTATIONS = [
    "nothing", "RandomFlip", "RandomShift", "RandomCrop",
    "RandomAffine", "RandomElastic", "Compose",
]  # fmt: skip


def errors(out):
    """Return the test errors with each augmentation, in percent."""
    return {name: numbers(rf"{name}: (\d+\.\d+) % errors", out)[0] for name in AUGMENTATIONS}


@pytest.mark.skipif(not mnist_is_here(), reason="CHAINRULE_DATA does not point at MNIST")
def test_augmentation(tmp_path):
    found = errors(lesson("14_augmentation.py", tmp_path))
    assert 10 < found["nothing"] < 12
    assert found["RandomFlip"] > found["nothing"] + 1
    assert found["RandomShift"] < 7
    for name in ("RandomAffine", "RandomElastic", "Compose"):
        assert found[name] < 5.5


def test_augmentation_on_digits(tmp_path, backend_name):
    options = ("--images", 200, "--epochs", 20, "--backend", backend_name)
    out = lesson("14_augmentation.py", tmp_path, *options, **without_mnist(tmp_path))
    assert "Training on scikit-learn's handwritten digits instead" in out
    found = errors(out)
    assert found["nothing"] < 25
    assert found["RandomFlip"] > found["RandomElastic"]
